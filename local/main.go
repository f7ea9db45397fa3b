// Command local is the laptop cloud: it reads a SAM template and its
// samconfig.toml and runs what they describe on this machine, over the
// protocols of AWS. It knows nothing of the product; what only the product
// knows is done by the hooks that samconfig.toml names.
//
// It stops on Ctrl-C, SIGTERM and SIGHUP, in order; a second signal ends it at
// once. Whatever ends it, no process of it lives on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"plaudit/local/process"
	"plaudit/local/rds"
)

const configFile = "samconfig.toml"

const usage = `The laptop cloud runs template.yaml on this machine.

Usage: local [flags], in the folder of samconfig.toml
       local invoke FUNCTION EVENT

`

// options are the flags.
type options struct {
	root                string // folder of samconfig.toml
	env                 string
	httpPort, awsPort   int
	httpGiven, awsGiven bool // the port must be that one
	idle                time.Duration
	verbose, clean      bool
	hosts               string // "docker": containers reach databases and AWS endpoint
	watch               bool
	level               slog.Level
}

// Exit codes: 0 after an orderly end, 1 after an error, 2 for wrong flags.
func main() {
	process.Guard()
	if len(os.Args) > 1 && os.Args[1] == "invoke" {
		err := invoke(context.Background(), ".local", os.Args[2:], os.Stdin, os.Stdout, os.Stderr)
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		exitOn(err)
		return
	}
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		os.Exit(2) // the flag package has said why
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		cancel(interrupt{<-signals})
		<-signals
		os.Exit(1) // the guard ends the children
	}()
	if o.clean {
		err = clean(o)
	} else {
		err = run(ctx, o, os.Stdout)
	}
	exitOn(err)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// interrupt is the signal that asked for the end.
type interrupt struct{ os.Signal }

func (i interrupt) Error() string { return i.Signal.String() }

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.env, "config-env", "local", "`environment` of samconfig.toml")
	flags.IntVar(&o.httpPort, "http-port", 8080, "`port` of the load balancer; where the default is taken, the next free one; 0: any")
	flags.IntVar(&o.awsPort, "aws-port", 4566, "`port` of the AWS endpoint; where the default is taken, the next free one; 0: any")
	flags.DurationVar(&o.idle, "idle", 5*time.Minute, "how long a function's process stays without work")
	flags.BoolVar(&o.verbose, "verbose", false, "show every line of every part; .local/laptop.log always has them")
	flags.TextVar(&o.level, "log-level", slog.LevelWarn, "`level` from which the laptop cloud's own log is shown: DEBUG, INFO, WARN or ERROR")
	flags.BoolVar(&o.watch, "watch", false, "rebuild and replace what contains a Go file that changes")
	flags.StringVar(&o.hosts, "hosts", "", "docker: the databases and the AWS endpoint also listen on the container `engine`'s bridge, and .local/sam-env.json is written for sam local invoke")
	flags.BoolVar(&o.clean, "clean", false, "delete the databases of this folder, and end")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	flags.Visit(func(f *flag.Flag) {
		o.httpGiven = o.httpGiven || f.Name == "http-port"
		o.awsGiven = o.awsGiven || f.Name == "aws-port"
	})
	var wrong error
	switch {
	case flags.NArg() > 0:
		wrong = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.httpPort < 0 || o.httpPort > 65535 || o.awsPort < 0 || o.awsPort > 65535:
		wrong = errors.New("a port is 0 to 65535")
	case o.idle <= 0:
		wrong = errors.New("-idle must be more than 0")
	case o.hosts != "" && o.hosts != "docker":
		wrong = fmt.Errorf("-hosts is docker or nothing, not %q", o.hosts)
	}
	if wrong != nil {
		fmt.Fprintf(stderr, "%v\n", wrong)
		flags.Usage()
		return o, wrong
	}
	var err error
	o.root, err = os.Getwd()
	if err != nil {
		fmt.Fprintf(stderr, "%v\n", err)
	}
	return o, err
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
	// What a killed run left is not this one's.
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

	balancer, port, err := c.ports.hold([]string{loopback}, o.httpPort, o.httpGiven)
	if err != nil {
		return fmt.Errorf("load balancer: %w; name another one by -http-port", err)
	}
	defer closeAll(balancer)
	if port != o.httpPort && o.httpPort != 0 {
		s.say("port %d is taken; the load balancer takes %d instead", o.httpPort, port)
	}
	c.balancerAddress = fmt.Sprintf("127.0.0.1:%d", port)
	aws, port, err := c.ports.hold(c.ports.addresses, o.awsPort, o.awsGiven)
	if err != nil {
		return fmt.Errorf("AWS endpoint: %w; name another one by -aws-port", err)
	}
	defer closeAll(aws)
	if port != o.awsPort && o.awsPort != 0 {
		s.say("port %d is taken; the AWS endpoint takes %d instead", o.awsPort, port)
	}
	c.awsHeld = port
	c.endpointURL = fmt.Sprintf("http://127.0.0.1:%d", port)

	// What fails while the rest still starts ends the start.
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
	err = c.load(starting)
	if err == nil {
		err = c.start(starting, balancer[0], aws)
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
		return fmt.Errorf("%w\n%s may say more", err, filepath.Join(".local", "laptop.log"))
	}
	s.calm.Store(false)
	s.say("")
	s.say("ready in %.1f s: %s", time.Since(began).Seconds(), c.url())
	if o.watch {
		s.say("what contains a Go file that changes is rebuilt and replaced")
	}
	switch {
	case c.bridge.IsValid():
		s.say("containers of %s reach databases and AWS endpoint as %s; %s is for sam local invoke", c.bridge.Masked(), containerHost, filepath.Join(".local", samEnvFileName))
	case o.hosts != "":
		s.say("the container engine reaches 127.0.0.1 as %s; %s is for sam local invoke", containerHost, filepath.Join(".local", samEnvFileName))
	}
	s.say("addresses and passwords are in %s; README.md has a demo to paste; Ctrl-C stops it", filepath.Join(".local", runFileName))

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		s.say("stopping (%v)", context.Cause(ctx))
		return nil
	}
}

// clean deletes the databases of the folder.
func clean(o options) error {
	held, err := lock(filepath.Join(o.root, ".local"))
	if err != nil {
		return err
	}
	defer held.Close()
	return rds.Remove(o.root)
}
