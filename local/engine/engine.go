// Package engine is the program behind the AWS services that the laptop cloud
// does not implement itself: MiniStack, or another engine of the same protocols
// that the user runs. The services' own folders, such as local/dynamodb, make in
// it what the template describes.
package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"plaudit/local/ministack"
	"plaudit/local/part"
	"plaudit/local/process"
	"plaudit/local/template"
)

// name is the engine's name in run.json and in its log.
const name = "engine"

// Engine is the part that runs the engine. It has no resource types of its own.
type Engine struct {
	laptop    part.Laptop
	transport *http.Transport

	wanted   bool
	group    *process.Group
	program  *ministack.Engine
	before   func(url string) *process.Command
	restores []func(ctx context.Context) error

	mu    sync.Mutex
	sent  []func()      // of AfterSend
	url   string        // "": it does not run
	ended int           // processes that ended and were replaced
	ready chan struct{} // closed while requests may pass
}

// New returns the engine of a laptop cloud, which does not run yet.
func New(l part.Laptop) *Engine {
	return &Engine{laptop: l, transport: newTransport(), ready: make(chan struct{})}
}

// Want makes Start start the engine. A part calls it when it reads a resource
// that needs the engine.
func (e *Engine) Want() { e.wanted = true }

// BeforeEnd sets the program that runs before the engine ends because the laptop
// cloud was killed: it gets the engine's address. It must be called before Start.
// It does not run for an engine that the user runs.
func (e *Engine) BeforeEnd(command func(url string) *process.Command) { e.before = command }

// AfterLoss adds what must be done after the engine was killed and runs again
// without what it had not saved: nothing reaches it through the laptop cloud
// until then. Functions run in the order in which they were added.
func (e *Engine) AfterLoss(restore func(ctx context.Context) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.restores = append(e.restores, restore)
}

// AfterSend adds what is called when messages may have come into a queue: after each
// request that sends some, of clients through Proxy or of the laptop cloud's own with
// Config. It must not block.
func (e *Engine) AfterSend(sent func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sent = append(e.sent, sent)
}

// noticeSend calls what AfterSend was given if a request sent messages.
func (e *Engine) noticeSend(request http.Header) {
	if !strings.HasPrefix(request.Get("X-Amz-Target"), "AmazonSQS.SendMessage") { // or SendMessageBatch
		return
	}
	e.mu.Lock()
	sent := slices.Clone(e.sent)
	e.mu.Unlock()
	for _, call := range sent {
		call()
	}
}

// URL returns the engine's own address, or "" if it does not run. That of MiniStack
// has a path that opens it.
func (e *Engine) URL() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.url
}

// Ended returns how many processes of the engine have ended, each with what it had
// not saved. The count changes before the next process starts. It is always 0 for
// an engine that the user runs.
func (e *Engine) Ended() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ended
}

// Config returns the configuration of clients that call the engine directly.
// They see the laptop's account.
func (e *Engine) Config() aws.Config {
	return aws.Config{
		Region:       e.laptop.Region,
		BaseEndpoint: aws.String(e.URL()),
		// The engine takes a key id of 12 digits for the account.
		Credentials: credentials.NewStaticCredentialsProvider(e.laptop.AccountID, "laptop", ""),
		Retryer:     func() aws.Retryer { return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = 5 }) },
		APIOptions:  []func(*middleware.Stack) error{e.watchSends},
	}
}

// watchSends adds noticeSend to the requests of a client.
func (e *Engine) watchSends(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("WatchSends",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			if request, ok := in.Request.(*smithyhttp.Request); ok {
				e.noticeSend(request.Header)
			}
			return out, metadata, err
		}), middleware.Before)
}

// Types implements part.Part.
func (e *Engine) Types() []string { return nil }

// Values implements part.Part.
func (e *Engine) Values(template.Resource) map[string]any { return nil }

// Read implements part.Part.
func (e *Engine) Read(template.Resource) error { return nil }

// API implements part.Part. Other parts serve their APIs by Proxy.
func (e *Engine) API() (string, http.Handler) { return "", nil }

// Start implements part.Part. It starts nothing if nothing needs the engine.
func (e *Engine) Start(ctx context.Context) error {
	if !e.wanted {
		return nil
	}
	began := time.Now()
	if e.laptop.Engine != "" {
		if err := answers(ctx, e.laptop.Engine); err != nil {
			return fmt.Errorf("the engine %s of -aws-endpoint: %w", e.laptop.Engine, err)
		}
		e.open(e.laptop.Engine)
		e.laptop.Started(name, e.laptop.Engine+", which is not the laptop cloud's own", time.Since(began))
		return nil
	}
	var err error
	// A group of its own: its guard waits until the state is saved.
	if e.group, err = process.NewGroup(); err != nil {
		return err
	}
	e.program, err = ministack.Start(ctx, ministack.Config{
		Group: e.group, Folder: filepath.Join(e.laptop.Folder, "ministack"), Data: Data(e.laptop.Folder),
		Account: e.laptop.AccountID, Region: e.laptop.Region, Output: e.laptop.FileLog(name), Log: e.laptop.Log, Say: e.laptop.Say,
		Changed: e.changed, Restarted: e.restarted, BeforeEnd: e.before,
	})
	if err != nil {
		return err
	}
	e.open(e.program.URL())
	e.laptop.Started(name, fmt.Sprintf("%s, MiniStack %s, process %d", e.program.Address(), ministack.Version, e.program.PID()), time.Since(began))
	return nil
}

// Data returns the folder of the engine's state in .local.
func Data(folder string) string { return filepath.Join(folder, name) }

// Stop implements part.Part. It returns when the engine has saved its state.
func (e *Engine) Stop() {
	e.setURL("")
	e.transport.CloseIdleConnections() // the engine waits for them
	if e.program != nil {
		if err := e.program.Stop(); err != nil {
			e.laptop.Say(err.Error())
		}
	}
	if e.group != nil {
		if err := e.group.Close(); err != nil {
			e.laptop.Log.Warn(name, "error", err)
		}
	}
}

func (e *Engine) setURL(url string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.url = url
}

// changed notes the engine's process. While there is none, requests wait.
func (e *Engine) changed(pid int) {
	if pid == 0 {
		e.mu.Lock()
		e.ended++
		if isClosed(e.ready) {
			e.ready = make(chan struct{})
		}
		e.mu.Unlock()
	}
	err := e.laptop.ChangeRun(func(r *part.Run) {
		delete(r.PIDs, name)
		if pid != 0 {
			r.PIDs[name] = pid
		}
	})
	if err != nil {
		e.laptop.Log.Error("run.json is not up to date", "error", err)
	}
}

// restarted makes again what the engine has lost.
func (e *Engine) restarted(ctx context.Context, url string) error {
	e.setURL(url)
	e.transport.CloseIdleConnections()
	e.mu.Lock()
	restores := slices.Clone(e.restores)
	e.mu.Unlock()
	for _, restore := range restores {
		if err := restore(ctx); err != nil {
			return err
		}
	}
	e.open(url)
	return nil
}

// open lets requests through to the engine.
func (e *Engine) open(url string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.url = url
	if !isClosed(e.ready) {
		close(e.ready)
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Settle calls do, which looks at what the engine has and then makes or changes it, and
// calls it again if the engine refuses something. The SDK repeats a call whose answer was
// lost, and the engine refuses the repetition if the call had its effect: the second look
// finds that.
func Settle(do func() error) error {
	err := do()
	if refused := smithy.APIError(nil); errors.As(err, &refused) {
		return do()
	}
	return err
}

// answers returns an error if nothing answers HTTP at an address. Any status
// will do: engines differ in what they serve at their root.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("it does not answer within 10 seconds"))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	return response.Body.Close()
}
