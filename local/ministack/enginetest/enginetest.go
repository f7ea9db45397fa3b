// Package enginetest starts MiniStack, the laptop's DynamoDB, S3 and SQS, for
// tests. A machine that cannot run it fails the test: no test is skipped.
//
// The engine never outlives the test program, however that ends. The first test
// installs the engine in .local/ministack of the repository, which the laptop
// cloud uses too.
package enginetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"plaudit/local/ministack"
	"plaudit/local/part"
	"plaudit/local/process"
	"plaudit/local/template"
)

// Account and Region are those of every engine, as on the laptop.
const (
	Account = "000000000000"
	Region  = "ap-northeast-2"
)

// The guard of the engines is this test program under another name; see package
// process. It must not run tests, whatever the package's TestMain does.
func init() { process.Guard() }

// Engine is an engine with a state of its own, which Stop keeps for the next
// Start.
type Engine struct {
	*ministack.Engine
	t    testing.TB
	data string
}

// New starts an engine for a test, which ends with the test.
func New(t testing.TB) *Engine {
	t.Helper()
	e := &Engine{t: t, data: t.TempDir()}
	e.Start()
	t.Cleanup(func() {
		if err := e.Engine.Stop(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// Start starts an engine for a test, which ends with the test, and returns its
// address.
func Start(t testing.TB) (endpoint string) {
	t.Helper()
	return New(t).URL()
}

// Start starts the engine again after Stop, with the state that it has saved.
func (e *Engine) Start() {
	e.t.Helper()
	group, err := group()
	if err != nil {
		e.t.Fatal(err)
	}
	engine, err := start(ministack.Config{Group: group, Data: e.data})
	if err != nil {
		e.t.Fatalf("the engine: %v", err)
	}
	e.Engine = engine
}

// Stop stops the engine, which saves its state.
func (e *Engine) Stop() {
	e.t.Helper()
	if err := e.Engine.Stop(); err != nil {
		e.t.Fatalf("the engine: %v", err)
	}
}

// Shared returns the address of an engine that all tests of a test program share.
// It starts with the first call. Use it with Config, whose accounts keep tests
// apart.
func Shared(t testing.TB) (endpoint string) {
	t.Helper()
	url, err := shared()
	if err != nil {
		t.Fatalf("the engine: %v", err)
	}
	return url
}

var shared = sync.OnceValues(func() (string, error) {
	// Its guard removes what it leaves, because no test knows that it is the last.
	group, err := process.NewGroup()
	if err != nil {
		return "", err
	}
	data, err := os.MkdirTemp("", "engine-")
	if err != nil {
		return "", err
	}
	group.BeforeEnd(&process.Command{Path: "/bin/rm", Args: []string{"-rf", data}, Dir: "/", Limit: time.Minute})
	engine, err := start(ministack.Config{Group: group, Data: data, Forget: true, More: "events"})
	if err != nil {
		return "", err
	}
	return engine.URL(), nil
})

// Config returns the configuration of an AWS client for an engine, in an account
// of its own: it sees nothing that other calls' clients have made.
func Config(endpoint string) aws.Config { return InAccount(endpoint, newAccount()) }

// InAccount is Config for a given account of 12 digits, which is also the key id.
func InAccount(endpoint, account string) aws.Config {
	return aws.Config{
		Region:       Region,
		BaseEndpoint: aws.String(endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider(account, "secret", ""),
	}
}

func newAccount() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1e11))
	if err != nil {
		panic(err) // never, says its documentation
	}
	return fmt.Sprintf("9%011d", n)
}

// Table makes a table and returns when it can be used.
func Table(t testing.TB, config aws.Config, in *dynamodb.CreateTableInput) {
	t.Helper()
	client := dynamodb.NewFromConfig(config)
	// The second attempt of a call whose answer was lost finds the table.
	var exists *types.ResourceInUseException
	if _, err := client.CreateTable(t.Context(), in); err != nil && !errors.As(err, &exists) {
		t.Fatal(err)
	}
	waiter := dynamodb.NewTableExistsWaiter(client)
	if err := waiter.Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: in.TableName}, time.Minute); err != nil {
		t.Fatal(err)
	}
}

var group = sync.OnceValues(process.NewGroup)

func start(c ministack.Config) (*ministack.Engine, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	log := &output{}
	c.Folder = filepath.Join(root, ".local", "ministack")
	c.Account, c.Region = Account, Region
	c.Output, c.Log = log, slog.New(slog.DiscardHandler)
	c.Say = func(text string) { fmt.Fprintln(os.Stderr, text) }
	engine, err := ministack.Start(context.Background(), c)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, log)
	}
	return engine, nil
}

// repository returns the folder of go.mod.
func repository() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	path := strings.TrimSpace(string(out))
	if path == "" || path == os.DevNull {
		return "", fmt.Errorf("the test does not run in the repository")
	}
	return filepath.Dir(path), nil
}

// output keeps the engine's log for an error.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Laptop returns a laptop cloud for the part of one service, whose engine is the
// shared one, in an account of its own.
func Laptop(t testing.TB, say func(text string)) part.Laptop {
	t.Helper()
	return part.Laptop{
		Names:     part.Names{Pseudo: template.Pseudo{StackName: "shop", Region: Region, AccountID: newAccount()}},
		Folder:    t.TempDir(),
		Endpoint:  "http://127.0.0.1:4566",
		Engine:    Shared(t),
		Log:       slog.New(slog.DiscardHandler),
		Started:   func(string, string, time.Duration) {},
		Say:       say,
		FileLog:   func(string) io.Writer { return io.Discard },
		ChangeRun: func(func(*part.Run)) error { return nil },
		Fail:      func(err error) { t.Error(err) },
	}
}

// Folder returns the folder of the installed engine, for a laptop cloud that
// runs in another folder.
func Folder(t testing.TB) string {
	t.Helper()
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	g, err := group()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(root, ".local", "ministack")
	if _, err := ministack.Install(t.Context(), g, folder, func(text string) { fmt.Fprintln(os.Stderr, text) }); err != nil {
		t.Fatalf("the engine: %v", err)
	}
	return folder
}
