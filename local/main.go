// Command local is the laptop cloud: it reads a SAM template and its
// samconfig.toml and runs the stack on this machine, over the protocols of AWS.
// It knows nothing about the product, whose own steps are hooks that
// samconfig.toml names.
//
// Ctrl-C, SIGTERM and SIGHUP stop it in order; a second signal ends it at once.
// However it ends, none of its processes outlives it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"plaudit/local/engine"
	"plaudit/local/eventbridge"
	"plaudit/local/eventsource"
	"plaudit/local/ministack"
	"plaudit/local/process"
	"plaudit/local/rds"
	"plaudit/local/ses"
)

const configFile = "samconfig.toml"

const usage = `The laptop cloud runs template.yaml on this machine.

Usage: local [flags], in the folder of samconfig.toml
       local invoke [FUNCTION [EVENT]]

`

// options are the flags.
type options struct {
	root                string // folder of samconfig.toml
	env                 string
	httpPort, awsPort   int
	inboxPort           int
	httpGiven, awsGiven bool // no other port will do
	inboxGiven          bool
	idle                time.Duration
	verbose, clean      bool
	hosts               string // "docker": containers can reach the databases and the AWS endpoint
	watch               bool
	awsEngine           string // URL; "": MiniStack
	level               slog.Level
}

// Exit codes: 0 after an orderly end, 1 after an error, 2 for wrong flags.
func main() {
	process.Guard()
	if len(os.Args) > 1 && os.Args[1] == "invoke" {
		exitOn(invoke(context.Background(), ".local", os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
		return
	}
	if len(os.Args) > 1 && os.Args[1] == eventsource.DrainName { // called by a guard
		exitOn(eventsource.Drain(os.Args[2:], os.Getenv(eventsource.DrainEngine), slog.New(slog.NewTextHandler(os.Stderr, nil))))
		return
	}
	o, err := parse(os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	exitOn(err)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		cancel(interrupt{<-signals})
		<-signals
		os.Exit(1) // the guard ends the children
	}()
	// Without this, a write to a pipe that nobody reads any more would kill the
	// program: Ctrl-C of `make run | tee` ends tee, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	if o.clean {
		err = clean(o)
	} else {
		err = run(ctx, o, terminal{os.Stdout, cancel})
	}
	exitOn(err)
}

// terminal is the standard output of a run, which ends in order when nobody reads it.
type terminal struct {
	io.Writer
	cancel context.CancelCauseFunc
}

func (t terminal) Write(p []byte) (int, error) {
	n, err := t.Writer.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		t.cancel(errors.New("nobody reads its output any more"))
	}
	return n, err
}

func exitOn(err error) {
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "error: %v\n", err)
	if errors.As(err, &usageError{}) {
		os.Exit(2)
	}
	os.Exit(1)
}

// interrupt is the signal that ended the run.
type interrupt struct{ os.Signal }

func (i interrupt) Error() string { return i.Signal.String() }

// parse reads the flags. It prints the help to stdout, if that is asked for,
// and returns flag.ErrHelp.
func parse(args []string, stdout io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error is printed once, last
	flags.Usage = func() {}
	flags.StringVar(&o.env, "config-env", "local", "`environment` of samconfig.toml")
	flags.IntVar(&o.httpPort, "http-port", 8080, "`port` of the load balancer; if the default is taken, the next free one; 0: any free one")
	flags.IntVar(&o.awsPort, "aws-port", 4566, "`port` of the AWS endpoint; if the default is taken, the next free one; 0: any free one")
	flags.IntVar(&o.inboxPort, "inbox-port", 8025, "`port` of the inbox, which shows the mail that the stack sends; if the default is taken, the next free one; 0: any free one")
	flags.DurationVar(&o.idle, "idle", 5*time.Minute, "how long a function's process stays after its last request")
	flags.BoolVar(&o.verbose, "verbose", false, "show every line of every part; .local/laptop.log always has them")
	flags.TextVar(&o.level, "log-level", slog.LevelWarn, "`level` from which the laptop cloud's own log is shown: DEBUG, INFO, WARN or ERROR")
	flags.BoolVar(&o.watch, "watch", false, "when a Go file changes, rebuild and replace the functions and services that contain it")
	flags.StringVar(&o.hosts, "hosts", "", "docker: the databases and the AWS endpoint also listen on the container `engine`'s bridge, and .local/sam-env.json is written for sam local invoke")
	flags.StringVar(&o.awsEngine, "aws-endpoint", "", "`URL` of another engine that serves DynamoDB, S3 and SQS; none is installed or started then")
	flags.BoolVar(&o.clean, "clean", false, "delete the databases of this folder, what the engine and the event buses keep, stream records that wait and the inbox's mails, and end")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return o, err
	} else if err != nil {
		return o, usageError{"", err}
	}
	flags.Visit(func(f *flag.Flag) {
		o.httpGiven = o.httpGiven || f.Name == "http-port"
		o.awsGiven = o.awsGiven || f.Name == "aws-port"
		o.inboxGiven = o.inboxGiven || f.Name == "inbox-port"
	})
	switch {
	case flags.NArg() > 0:
		return o, usageError{"", fmt.Errorf("unexpected argument %q", flags.Arg(0))}
	case slices.ContainsFunc([]int{o.httpPort, o.awsPort, o.inboxPort}, func(port int) bool { return port < 0 || port > 65535 }):
		return o, usageError{"", errors.New("a port must be between 0 and 65535")}
	case o.idle <= 0:
		return o, usageError{"", errors.New("-idle must be more than 0")}
	case o.hosts != "" && o.hosts != "docker":
		return o, usageError{"", fmt.Errorf("-hosts must be docker, not %q", o.hosts)}
	case o.awsEngine != "" && !isBaseURL(o.awsEngine):
		return o, usageError{"", fmt.Errorf("-aws-endpoint must be a URL such as http://127.0.0.1:8000, without a path, not %q", o.awsEngine)}
	}
	o.awsEngine = strings.TrimSuffix(o.awsEngine, "/")
	var err error
	o.root, err = os.Getwd()
	return o, err
}

func isBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil &&
		strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
}

// usageError is an error in the arguments. It points to the help instead of
// printing it, which would push the error off the screen.
type usageError struct {
	command string // " invoke", or "" for the laptop cloud itself
	error
}

func (e usageError) Error() string {
	return fmt.Sprintf("%v; see `%s%s --help`", e.error, os.Args[0], e.command)
}

// run runs the stack until ctx ends or something fails.
func run(ctx context.Context, o options, terminal io.Writer) (err error) {
	began := time.Now()
	s := &screen{terminal: terminal, all: o.verbose}
	folder := filepath.Join(o.root, ".local")
	config, postgres, err := preflight(ctx, o.root, configFile, o.env, s)
	if err != nil {
		return err
	}
	held, err := lock(folder)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := s.openLog(folder); err != nil {
		return err
	}
	group, err := process.NewGroup()
	if err != nil {
		return err
	}
	c := &cloud{
		options: o, folder: folder, postgres: postgres, config: config, screen: s, log: s.logger(o.level),
		group: group, run: newRunFile(folder), ports: &ports{given: map[int]*os.File{}, addresses: []string{loopback}}, fatal: make(chan error, 1),
	}
	defer c.stop()
	// A run that was killed leaves its files behind.
	if err := errors.Join(c.run.remove(), c.removeSAMEnvironment()); err != nil {
		return err
	}
	if o.hosts != "" {
		if c.bridge, err = findBridge(ctx); err != nil {
			return err
		}
		if c.bridge.IsValid() {
			c.ports.addresses = append(c.ports.addresses, c.bridge.Addr().String())
		}
	}

	hold := func(what, option string, addresses []string, want int, must bool) (all []net.Listener, port int, err error) {
		if all, port, err = c.ports.hold(addresses, want, must); err != nil {
			return nil, 0, fmt.Errorf("%s: %w; choose another port with %s", what, err, option)
		}
		if port != want && want != 0 {
			s.say("port %d is taken; the %s uses %d instead", want, what, port)
		}
		return all, port, nil
	}
	balancer, _, err := hold("load balancer", "-http-port", []string{loopback}, o.httpPort, o.httpGiven)
	if err != nil {
		return err
	}
	defer closeAll(balancer)
	inbox, _, err := hold("inbox", "-inbox-port", []string{loopback}, o.inboxPort, o.inboxGiven)
	if err != nil {
		return err
	}
	defer closeAll(inbox)
	aws, port, err := hold("AWS endpoint", "-aws-port", c.ports.addresses, o.awsPort, o.awsGiven)
	if err != nil {
		return err
	}
	defer closeAll(aws)
	c.awsHeld = port
	c.endpointURL = fmt.Sprintf("http://127.0.0.1:%d", port)

	// A part that fails during the start ends the start.
	starting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	failed := make(chan error, 1)
	go func() {
		select {
		case err := <-c.fatal:
			failed <- err
			cancel(err)
		case <-starting.Done():
		}
	}()
	s.calm.Store(true)
	err = c.load(starting, entrances{balancer: balancer[0], inbox: inbox[0]})
	if err == nil {
		err = c.start(starting, aws)
	}
	if err == nil && o.watch {
		err = c.watch(ctx)
	}
	if err == nil && o.hosts != "" {
		err = c.writeSAMEnvironment()
	}
	if err == nil {
		err = c.run.publish()
	}
	if err != nil {
		if cause := context.Cause(starting); cause != nil {
			err = fmt.Errorf("stopped before it was ready: %w", cause)
		}
		return fmt.Errorf("%w\nsee also %s", err, filepath.Join(".local", "laptop.log"))
	}
	s.calm.Store(false)
	s.say("")
	s.say("ready in %.1f s: %s", time.Since(began).Seconds(), c.run.url())
	if o.watch {
		s.say("watching the Go files: functions and services that contain a changed one are rebuilt and replaced")
	}
	switch {
	case c.bridge.IsValid():
		s.say("containers of %s reach the databases and the AWS endpoint as %s; %s is for sam local invoke", c.bridge.Masked(), containerHost, filepath.Join(".local", samEnvFileName))
	case o.hosts != "":
		s.say("the container engine reaches 127.0.0.1 as %s; %s is for sam local invoke", containerHost, filepath.Join(".local", samEnvFileName))
	}
	s.say("addresses and passwords: %s; a demo to paste: README.md; stop with Ctrl-C", filepath.Join(".local", runFileName))

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		s.say("stopping (%v)", context.Cause(ctx))
		return nil
	}
}

// clean deletes the databases of the folder, what the engine and the event buses keep, the
// stream records that wait and the inbox's mails.
func clean(o options) error {
	folder := filepath.Join(o.root, ".local")
	held, err := lock(folder)
	if err != nil {
		return err
	}
	defer held.Close()
	// An engine of an earlier run would save its state after the deletion.
	say := func(text string) { fmt.Fprintln(os.Stderr, text) }
	return errors.Join(rds.Remove(o.root), ministack.Remove(context.Background(), engine.Data(folder), say), eventsource.Remove(folder), eventbridge.Remove(folder), ses.Remove(folder))
}
