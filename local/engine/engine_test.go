package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"plaudit/local/ministack/enginetest"
	"plaudit/local/part"
)

// other returns an engine of another program, which answers with handler.
func other(t *testing.T, handler http.HandlerFunc) *Engine {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	e := New(part.Laptop{Engine: server.URL, Log: slog.New(slog.DiscardHandler), Started: func(string, string, time.Duration) {}})
	e.Want()
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e
}

func TestProxyPassesRequestsAsTheyAre(t *testing.T) {
	type request struct {
		uri, host, body string
		header          http.Header
	}
	got := make(chan request, 1)
	e := other(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" && r.Method == http.MethodGet {
			return // the start's
		}
		body, _ := io.ReadAll(r.Body)
		got <- request{r.RequestURI, r.Host, string(body), r.Header}
		w.Header().Set("Content-Encoding", "gzip") // which it is not: nobody may touch it
		w.Header().Set("X-Amz-Crc32", "1")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("\x00as it is\xff"))
	})
	front := httptest.NewServer(e.Proxy(1 << 20))
	defer front.Close()
	const uri = "/a%2Fb//c+d/%C3%A4?x=1;y&z=%2f&X-Amz-Signature=0"
	in, err := http.NewRequest(http.MethodPut, front.URL, strings.NewReader("body\r\n\x00"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := url.ParseRequestURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	in.URL.Path, in.URL.RawPath, in.URL.RawQuery = parsed.Path, parsed.RawPath, parsed.RawQuery
	in.Host = "bucket.s3.example:1"
	in.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a")
	in.Header.Set("X-Forwarded-For", "192.0.2.1")
	in.Header.Set("User-Agent", "sdk")
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	out, err := client.Do(in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	body, _ := io.ReadAll(out.Body)
	if out.StatusCode != http.StatusTeapot || string(body) != "\x00as it is\xff" || out.Header.Get("X-Amz-Crc32") != "1" || out.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("the answer is %d %v %q", out.StatusCode, out.Header, body)
	}
	r := <-got
	if r.uri != uri || r.host != in.Host || r.body != "body\r\n\x00" || r.header.Get("Authorization") != "AWS4-HMAC-SHA256 Credential=a" ||
		r.header.Get("User-Agent") != "sdk" || r.header.Get("Accept-Encoding") != "" {
		t.Errorf("the engine got %+v", r)
	}
}

// A part of a body reaches the engine, and a part of an answer the client, before
// the rest is there.
func TestProxyStreams(t *testing.T) {
	first := make(chan string, 1)
	goOn := make(chan struct{})
	e := other(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			return // the start's
		}
		begin := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, begin)
		first <- string(begin)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write([]byte("begin"))
		_ = http.NewResponseController(w).Flush()
		<-goOn
	})
	front := httptest.NewServer(e.Proxy(1 << 20))
	defer front.Close()
	read, write := io.Pipe()
	in, err := http.NewRequestWithContext(t.Context(), http.MethodPut, front.URL+"/a", read)
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan string, 1)
	go func() {
		_, _ = write.Write([]byte("first"))
		arrived <- <-first // while the body goes on
		write.Close()
	}()
	out, err := http.DefaultClient.Do(in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	begin := make([]byte, 5)
	if _, err := io.ReadFull(out.Body, begin); err != nil || string(begin) != "begin" {
		t.Errorf("the answer begins with %q, %v", begin, err)
	}
	close(goOn)
	if got := <-arrived; got != "first" {
		t.Errorf("the engine got %q", got)
	}
}

func TestProxyRefuses(t *testing.T) {
	var reached atomic.Int32
	e := other(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			reached.Add(1)
		}
	})
	reached.Store(0)
	proxy := e.Proxy(10)
	for _, c := range []struct {
		name, path string
		body       io.Reader
		status     int
	}{
		{"a body that says it is too large", "/b/k", strings.NewReader("12345678901"), http.StatusRequestEntityTooLarge},
		{"a body of unknown length", "/b/k", io.MultiReader(bytes.NewReader(make([]byte, 11))), http.StatusRequestEntityTooLarge},
		{"the engine's own requests", "/_ministack/reset", nil, http.StatusForbidden},
	} {
		w := httptest.NewRecorder()
		proxy.ServeHTTP(w, httptest.NewRequest(http.MethodPost, c.path, c.body))
		if w.Code != c.status || reached.Load() != 0 {
			t.Errorf("%s: %d, the engine got %d requests", c.name, w.Code, reached.Load())
		}
	}
	e.Stop()
	w := httptest.NewRecorder()
	proxy.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/b/k", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("without an engine: %d", w.Code)
	}
}

func TestAnEngineThatDoesNotAnswerEndsTheStart(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	e := New(part.Laptop{Engine: server.URL})
	if err := e.Start(t.Context()); err != nil {
		t.Errorf("nothing needs the engine: %v", err)
	}
	e.Want()
	if err := e.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "-aws-endpoint") {
		t.Errorf("got %v", err)
	}
}

// A user's kill of the engine must not wedge the laptop cloud: requests wait until
// it runs again with what the template describes.
func TestRequestsWaitForAnEngineThatWasKilled(t *testing.T) {
	laptop := enginetest.Laptop(t, nil)
	laptop.Engine, laptop.AccountID = "", enginetest.Account
	said := make(chan string, 100)
	laptop.Say = func(text string) { said <- text }
	pids := make(chan int, 100)
	laptop.ChangeRun = func(change func(*part.Run)) error {
		run := part.Run{PIDs: map[string]int{"engine": 1}}
		change(&run)
		pids <- run.PIDs["engine"]
		return nil
	}
	if err := os.Symlink(enginetest.Folder(t), filepath.Join(laptop.Folder, "ministack")); err != nil {
		t.Fatal(err)
	}
	e := New(laptop)
	e.Want()
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	table := func(ctx context.Context, name string) error {
		_, err := dynamodb.NewFromConfig(e.Config()).CreateTable(ctx, &dynamodb.CreateTableInput{
			TableName: &name, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: "S"}},
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: "HASH"}},
		})
		return err
	}
	if err := table(t.Context(), "things"); err != nil {
		t.Fatal(err)
	}
	failed := false
	e.AfterLoss(func(ctx context.Context) error {
		if !failed { // it is done again until it works
			failed = true
			return io.ErrUnexpectedEOF
		}
		return table(ctx, "things")
	})
	front := httptest.NewServer(e.Proxy(1 << 20))
	defer front.Close()
	client := dynamodb.NewFromConfig(enginetest.InAccount(front.URL, laptop.AccountID))
	before := <-pids
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if pid := <-pids; pid != 0 {
		t.Errorf("after the kill run.json has process %d", pid)
	}
	if n := e.Ended(); n != 1 {
		t.Errorf("%d processes have ended before the next one starts", n)
	}
	// From here on the laptop cloud knows.
	item := map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "a"}}
	if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("things"), Item: item}, func(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} }); err != nil {
		t.Errorf("a put while the engine starts again: %v", err)
	}
	if pid := <-pids; pid == 0 || pid == before {
		t.Errorf("run.json has process %d", pid)
	}
	for _, want := range []string{"signal: killed", "runs again"} {
		if text := <-said; !strings.Contains(text, want) {
			t.Errorf("it says %q", text)
		}
	}
}

func TestProxyKeepsLargeBodies(t *testing.T) {
	e := other(t, func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		_, _ = io.Copy(sum, r.Body)
		_, _ = w.Write(sum.Sum(nil))
	})
	front := httptest.NewServer(e.Proxy(64 << 20))
	defer front.Close()
	body := bytes.Repeat([]byte("0123456789abcdef"), 2<<20)
	out, err := http.Post(front.URL+"/b/k", "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	want := sha256.Sum256(body)
	if got, _ := io.ReadAll(out.Body); !bytes.Equal(got, want[:]) {
		t.Errorf("%d: the engine got another body", out.StatusCode)
	}
}

func TestTheUserIsToldThatTheStateIsNotSaved(t *testing.T) {
	laptop := enginetest.Laptop(t, nil)
	laptop.Engine = ""
	said := make(chan string, 100)
	laptop.Say = func(text string) { said <- text }
	started := make(chan string, 1)
	laptop.Started = func(_, detail string, _ time.Duration) { started <- detail }
	if err := os.Symlink(enginetest.Folder(t), filepath.Join(laptop.Folder, "ministack")); err != nil {
		t.Fatal(err)
	}
	e := New(laptop)
	e.Want()
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	secret := e.URL()[strings.LastIndex(e.URL(), "/")+1:]
	if line := <-started; len(secret) < 20 || strings.Contains(line, secret) {
		t.Errorf("the terminal shows %q", line)
	}
	// MiniStack cannot open a file of this name.
	if err := os.MkdirAll(filepath.Join(Data(laptop.Folder), "state", "s3.json.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(e.Proxy(1 << 20))
	defer front.Close()
	request, err := http.NewRequest(http.MethodPut, front.URL+"/bucket", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response, err)
	}
	response.Body.Close()
	e.Stop()
	select {
	case text := <-said:
		if !strings.Contains(text, "HAS NOT SAVED ITS STATE") {
			t.Errorf("it says %q", text)
		}
	default:
		t.Error("it says nothing")
	}
}
