package lambda

import (
	"fmt"
	"maps"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"plaudit/local/process"
)

// extensionGrace is how long a process may take to end after SIGTERM when it
// has registered an internal extension. Without one it gets SIGKILL at once.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
const extensionGrace = 500 * time.Millisecond

// environment is one process of a function with a Runtime API of its own.
type environment struct {
	function   *Function
	generation int
	address    string // of the Runtime API, host:port
	server     *server
	proc       *process.Process
	output     *output
	waiting    chan *conn    // the one on which the process has asked for its next event
	ready      chan struct{} // closes when initialisation has ended, well or not
	gone       chan struct{} // closes when the environment has ended
	endOnce    sync.Once
	idleSince  time.Time // guarded by the function's mutex

	mu          sync.Mutex
	current     *invocation // taken and not answered
	currentConn *conn       // where its event was written to
	takeBy      time.Time   // when the process must have asked for its next event
	isReady     bool
	initError   []byte // posted to /runtime/init/error
	registered  bool   // an extension, so SIGTERM comes before SIGKILL
	extension   string // its identifier
}

// start makes an environment for inv and waits until it asks for its first
// event. The initialisation has ten seconds; when they pass it begins again
// with the function's own timeout, which then covers the invocation as well.
// Without an environment it returns the outcome of the invocation.
func (f *Function) start(inv *invocation) (*environment, outcome) {
	limit := f.service.initTimeout
	for retry := false; ; retry = true {
		began := time.Now()
		env, err := f.newEnvironment(inv.tail)
		if err != nil {
			f.service.log.Error("a function's process does not start", "function", f.config.Name, "error", err)
			return nil, failure("Runtime.InvalidEntrypoint", "RequestId: "+inv.id+" Error: "+err.Error())
		}
		failed, timedOut := env.waitReady(inv, limit)
		if failed.functionError == "" && !timedOut {
			inv.deadline = time.Now().Add(f.config.Timeout)
			if retry {
				inv.deadline = began.Add(f.config.Timeout)
			}
			return env, outcome{}
		}
		f.end(env)
		if !timedOut {
			f.service.log.Warn("a function's initialisation failed", "function", f.config.Name, "reason", reason(failed.response))
			return nil, failed
		}
		f.service.log.Warn("a function's initialisation timed out", "function", f.config.Name, "limit", limit)
		if retry {
			return nil, timeoutFailure(inv.id, f.config.Timeout)
		}
		limit = f.config.Timeout
	}
}

func (f *Function) newEnvironment(t *tail) (*environment, error) {
	f.mu.Lock()
	binary, generation := f.binary, f.generation
	f.mu.Unlock()

	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the Runtime API: %w", err)
	}
	output, err := newOutput(f.service, f.config.Name)
	if err != nil {
		listener.Close()
		return nil, err
	}
	output.capture(t)
	env := &environment{
		function:   f,
		generation: generation,
		address:    listener.Addr().String(),
		output:     output,
		waiting:    make(chan *conn, 1),
		ready:      make(chan struct{}),
		gone:       make(chan struct{}),
	}
	env.server = &server{listener: listener, handler: env.runtimeAPI()}
	env.proc, err = f.service.group.Start(process.Spec{
		Name: f.config.Name, Path: binary, Dir: f.config.Dir, Env: env.variables(),
		Stdout: output.write, Stderr: output.write,
	})
	if err != nil {
		listener.Close()
		output.close()
		return nil, err
	}
	f.mu.Lock()
	f.all[env] = true
	tooLate := f.stopping
	f.mu.Unlock()
	if tooLate {
		go env.shutdown()
	}
	go env.server.serve()
	go func() {
		<-env.proc.Done()
		output.close()
		f.dropIdle(env)
	}()
	return env, nil
}

// variables returns the function's whole environment: the variables of Lambda and
// of the template. AWS_EXECUTION_ENV is not set for provided.al2023.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
func (env *environment) variables() []string {
	c := env.function.config
	vars := map[string]string{
		"LANG":                     "en_US.UTF-8",
		"PATH":                     "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"TZ":                       ":UTC",
		"AWS_LAMBDA_LOG_FORMAT":    c.LogFormat,
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
	}
	if c.LogLevel != "" {
		vars["AWS_LAMBDA_LOG_LEVEL"] = c.LogLevel
	}
	maps.Copy(vars, c.Env)
	// A template may declare it empty for tools that set only declared variables;
	// to the SDKs, empty is not set.
	if vars["AWS_ENDPOINT_URL"] == "" && c.Endpoint != "" {
		vars["AWS_ENDPOINT_URL"] = c.Endpoint
	}
	maps.Copy(vars, map[string]string{
		"_HANDLER":                        c.Handler,
		"AWS_REGION":                      c.Region,
		"AWS_DEFAULT_REGION":              c.Region,
		"AWS_ACCESS_KEY_ID":               "laptop",
		"AWS_SECRET_ACCESS_KEY":           "laptop",
		"AWS_SESSION_TOKEN":               "laptop",
		"AWS_LAMBDA_FUNCTION_NAME":        c.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(c.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + c.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      time.Now().UTC().Format("2006/01/02/[$LATEST]") + newHexID(),
		"AWS_LAMBDA_RUNTIME_API":          env.address,
		"LAMBDA_TASK_ROOT":                c.Dir,
		"LAMBDA_RUNTIME_DIR":              c.Dir,
	})
	list := make([]string, 0, len(vars))
	for name, value := range vars {
		list = append(list, name+"="+value)
	}
	return list
}

func newHexID() string {
	id := uuid.New()
	return fmt.Sprintf("%x", id[:])
}

// waitReady waits until the process asks for its first event.
func (env *environment) waitReady(inv *invocation, limit time.Duration) (failed outcome, timedOut bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-env.ready:
	case <-env.proc.Done():
	case <-timer.C:
		return outcome{}, true
	}
	env.mu.Lock()
	defer env.mu.Unlock()
	switch {
	case env.initError != nil:
		return outcome{env.initError, unhandled}, false
	case !env.isReady:
		return exitFailure(inv.id, env.proc), false
	}
	return outcome{}, false
}

// How an environment is left by an invocation.
type how int

const (
	completed how = iota // it has answered
	broken               // it must end
	untaken              // it must end, and has not seen the event
	cancelled            // the caller has gone
)

// run takes inv through the environment. inv.deadline is set.
func (env *environment) run(inv *invocation, cancel <-chan struct{}) (outcome, how) {
	if inv.tail != nil {
		inv.tail.start(inv.id)
		env.output.capture(inv.tail)
		defer func() {
			env.output.drain()
			env.output.capture(nil)
		}()
	}
	inv.done = make(chan struct{})
	inv.began = time.Now()
	var conn *conn
	select {
	case conn = <-env.waiting:
	default:
		// It is still busy after its last answer.
		var how how
		if conn, how = env.awaitConn(inv, cancel); conn == nil {
			if how == broken {
				return env.timedOut(inv)
			}
			return outcome{}, how
		}
	}
	if conn.gone() {
		return outcome{}, untaken
	}
	inv.taken = true
	env.mu.Lock()
	env.current, env.currentConn = inv, conn
	env.mu.Unlock()
	_ = conn.writeEvent(inv, env.function.config.ARN) // a process that has gone is noticed by its end
	return env.await(inv, cancel)
}

// awaitConn waits until the process asks for its next event. After an answer
// it has until the deadline of that invocation to do so.
func (env *environment) awaitConn(inv *invocation, cancel <-chan struct{}) (*conn, how) {
	env.mu.Lock()
	takeBy := env.takeBy
	env.mu.Unlock()
	overdue := time.NewTimer(time.Until(takeBy))
	defer overdue.Stop()
	deadline := time.NewTimer(time.Until(inv.deadline))
	defer deadline.Stop()
	select {
	case conn := <-env.waiting:
		return conn, completed
	case <-env.proc.Done():
		return nil, untaken
	case <-overdue.C:
		return nil, untaken
	case <-deadline.C:
		return nil, broken
	case <-cancel:
		return nil, cancelled
	}
}

// await waits for the outcome of an invocation whose event is written.
func (env *environment) await(inv *invocation, cancel <-chan struct{}) (outcome, how) {
	timer := time.NewTimer(time.Until(inv.deadline))
	defer timer.Stop()
	select {
	case <-inv.done:
		return inv.outcome, completed
	case <-cancel:
		return outcome{}, cancelled
	case <-timer.C:
		return env.timedOut(inv)
	case <-env.proc.Done():
	}
	// The process ended. An answer given before stands: that is how a Go
	// function panics. An event that was never read is no crash.
	env.mu.Lock()
	answered, conn := env.current != inv, env.currentConn
	env.mu.Unlock()
	switch {
	case answered:
		return inv.outcome, completed
	case conn.unread():
		return outcome{}, untaken
	}
	return exitFailure(inv.id, env.proc), broken
}

// timedOut is for an invocation that passed its deadline, unless its answer
// came just now.
func (env *environment) timedOut(inv *invocation) (outcome, how) {
	env.mu.Lock()
	defer env.mu.Unlock()
	if inv.taken && env.current != inv {
		return inv.outcome, completed
	}
	env.current = nil // an answer that comes too late is refused
	return timeoutFailure(inv.id, env.function.config.Timeout), broken
}

func timeoutFailure(id string, timeout time.Duration) outcome {
	return failure("", fmt.Sprintf("%s %s Task timed out after %.2f seconds", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), id, timeout.Seconds()))
}

func exitFailure(id string, p *process.Process) outcome {
	return failure("Runtime.ExitError", "RequestId: "+id+" Error: "+exitReason(p))
}

func exitReason(p *process.Process) string {
	if err := p.Err(); err != nil {
		return "Runtime exited with error: " + err.Error()
	}
	return "Runtime exited without providing a reason"
}

func ended(p *process.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// shutdown ends the process and the Runtime API, and returns when both have
// ended.
func (env *environment) shutdown() {
	env.endOnce.Do(func() {
		env.mu.Lock()
		registered := env.registered
		env.mu.Unlock()
		if registered {
			if err := env.proc.Stop(extensionGrace); err != nil {
				env.function.service.log.Debug("a function's process did not end by itself", "error", err)
			}
		} else {
			_ = env.proc.Signal(syscall.SIGKILL) // one that has ended already is what we want
			<-env.proc.Done()
		}
		close(env.gone)
		env.server.close()
	})
	<-env.gone
}
