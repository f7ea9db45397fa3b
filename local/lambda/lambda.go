// Package lambda runs functions on this machine over the protocols of AWS
// Lambda: the Runtime API and the Extensions API towards the functions, the
// Invoke API towards their callers.
//
// A function is a program for the runtime provided.al2023. Each of its
// execution environments is one process with a Runtime API of its own on a
// loopback port, and serves one invocation at a time. Environments start when
// they are needed, up to the function's concurrency, and end when they have
// been idle for a while.
//
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
package lambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"plaudit/local/process"
)

// Limits of AWS Lambda.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const (
	maxRequest      = 6 << 20     // bytes of a synchronous invocation's payload
	maxAsyncRequest = 1 << 20     // of an asynchronous one's
	maxResponse     = 6<<20 + 100 // of a response
	maxTimeout      = 15 * time.Minute
)

// Errors of an invocation that reached no function.
var (
	// ErrThrottled: every environment is busy and no more are allowed.
	ErrThrottled = errors.New("the function's concurrency is used up")
	// ErrTooLarge: the payload is over 6 MB.
	ErrTooLarge = fmt.Errorf("the payload is larger than %d bytes", maxRequest)
	// ErrClosed: the service is shutting down.
	ErrClosed = errors.New("the Lambda service is closed")
)

// Config is a function, as the template describes it.
type Config struct {
	Name, ARN, Region string
	Binary            string            // path of the function's program
	Dir               string            // its working directory, LAMBDA_TASK_ROOT; default the binary's folder
	Handler           string            // default bootstrap
	Env               map[string]string // the template's environment variables
	Timeout           time.Duration     // of one invocation; default 3 s, at most 15 min
	MemoryMB          int               // told to the function, not enforced; default 128
	Concurrency       int               // environments at most; default 10
	IdleAfter         time.Duration     // how long an environment stays idle before it ends; default 5 min
	// LogFormat is Text or JSON, LogLevel the ApplicationLogLevel. They are
	// told to the function.
	LogFormat, LogLevel string
	// Async is how asynchronous invocations are retried; nil is Lambda's default.
	Async *Async
	// Endpoint, if any, is where the function finds every AWS service
	// (AWS_ENDPOINT_URL).
	Endpoint string
}

// Async is a function's EventInvokeConfig.
// https://docs.aws.amazon.com/lambda/latest/dg/API_PutFunctionEventInvokeConfig.html
type Async struct {
	Retries int           // after the first attempt, if the function failed; 0 to 2
	MaxAge  time.Duration // of an event when it is handed to the function; 1 min to 6 h
}

// reserved are the environment variables that a function cannot be given.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
var reserved = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
	"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
	"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	"AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}

// Service holds the functions.
type Service struct {
	// Output takes the functions' standard output and error, whole lines, each
	// after its function's name. Set it before the first invocation; nil is
	// this program's standard error.
	Output io.Writer

	group       *process.Group
	log         *slog.Logger
	initTimeout time.Duration // of a function's initialisation

	outputMu sync.Mutex // one line at a time
	events   events

	mu        sync.Mutex
	functions map[string]*Function // by name
	closed    bool
}

// NewService makes a service without functions. Their processes belong to
// group.
func NewService(group *process.Group, log *slog.Logger) *Service {
	s := &Service{group: group, log: log, initTimeout: 10 * time.Second, functions: map[string]*Function{}}
	s.events.init()
	return s
}

// Add adds a function. It starts no process: the first invocation does.
func (s *Service) Add(c Config) (*Function, error) {
	switch {
	case c.Name == "":
		return nil, errors.New("a function needs a name")
	case c.Binary == "":
		return nil, fmt.Errorf("function %s has no binary", c.Name)
	case c.Timeout < 0 || c.Timeout > maxTimeout:
		return nil, fmt.Errorf("function %s: timeout %v is not between 1 s and 15 min", c.Name, c.Timeout)
	}
	for _, name := range reserved {
		if _, ok := c.Env[name]; ok {
			return nil, fmt.Errorf("function %s: Lambda sets the environment variable %s itself, so the template cannot", c.Name, name)
		}
	}
	setDefault(&c.Timeout, 3*time.Second)
	setDefault(&c.IdleAfter, 5*time.Minute)
	setDefault(&c.Concurrency, 10)
	setDefault(&c.MemoryMB, 128)
	setDefault(&c.Handler, "bootstrap")
	setDefault(&c.LogFormat, "Text")
	setDefault(&c.Dir, filepath.Dir(c.Binary))
	setDefault(&c.Async, &Async{Retries: maxRetries, MaxAge: maxEventAge})

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.functions[c.Name] != nil {
		return nil, fmt.Errorf("a function named %s already exists", c.Name)
	}
	f := newFunction(s, c)
	s.functions[c.Name] = f
	return f, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Function finds a function by its name, its ARN or the part of the ARN that
// begins with the account, each with or without the qualifier $LATEST.
func (s *Service) Function(nameOrARN string) (*Function, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	nameOrARN = strings.TrimSuffix(nameOrARN, ":$LATEST")
	if f, ok := s.functions[nameOrARN]; ok {
		return f, true
	}
	for _, f := range s.functions {
		arn := f.config.ARN
		if arn == "" {
			continue
		}
		// arn:partition:lambda:region:account:function:name
		if parts := strings.SplitN(arn, ":", 5); nameOrARN == arn || len(parts) == 5 && nameOrARN == parts[4] {
			return f, true
		}
	}
	return nil, false
}

// Close takes no new invocations, waits for the running ones as long as ctx
// lasts, and ends every process: with SIGTERM if the function asked for it
// by registering an extension, and half a second later SIGKILL.
func (s *Service) Close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	var all []*Function
	for _, f := range s.functions {
		all = append(all, f)
	}
	s.mu.Unlock()
	s.events.close()

	drained := make(chan struct{})
	for _, f := range all {
		f.close()
	}
	go func() {
		for _, f := range all {
			f.environments.Wait()
		}
		close(drained)
	}()
	select {
	case <-drained:
	case <-ctx.Done():
		for _, f := range all {
			f.stopAll()
		}
		<-drained
	}
	s.events.wait()
}

// write writes one line of a function's output.
func (s *Service) write(function string, line []byte) {
	out := s.Output
	if out == nil {
		out = os.Stderr
	}
	buf := slices.Concat([]byte(function), []byte(" "), line, []byte("\n"))
	s.outputMu.Lock()
	defer s.outputMu.Unlock()
	_, _ = out.Write(buf) // nothing is left to report a broken log to
}
