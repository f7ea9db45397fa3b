package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"plaudit/local/ecs"
	"plaudit/local/elb"
	"plaudit/local/lambda"
	"plaudit/local/part"
	"plaudit/local/process"
	"plaudit/local/rds"
	"plaudit/local/template"
)

// accountID is the AWS account of every laptop.
const accountID = "000000000000"

// cloud is a stack on this machine.
type cloud struct {
	options
	folder   string // .local in the root
	postgres string // folder of PostgreSQL's programs
	config   template.Config
	screen   *screen
	log      *slog.Logger
	group    *process.Group
	run      *runFile

	ports           *ports
	balancerAddress string // host:port
	parts           parts
	names           names
	stack           *template.Stack
	plan            *plan
	endpointURL     string
	awsHeld         int                          // port of the AWS endpoint
	bridge          netip.Prefix                 // this machine's address for containers; zero: it has none but 127.0.0.1
	samEnv          map[string]map[string]string // variables for containers, by function

	data      string // folder of the databases
	functions *lambda.Service
	services  map[string]*ecs.Service // by Go package
	fatal     chan error              // the first error that ends the run

	mu    sync.Mutex
	stops []func() // called by stop, last one first
}

// load reads the template, chooses ports and makes the plan. It starts nothing.
func (c *cloud) load(ctx context.Context) error {
	given, err := c.parameters(ctx)
	if err != nil {
		return err
	}
	values := map[string]string{}
	maps.Copy(values, c.config.Parameters)
	maps.Copy(values, given)
	for _, name := range c.config.Ports {
		if err := c.freeParameter(values, name); err != nil {
			return err
		}
	}
	pseudo := template.Pseudo{StackName: c.config.StackName, Region: c.config.Region, AccountID: accountID}
	loaded, err := template.Load(c.config.Template, pseudo, values)
	if err != nil {
		return err
	}
	naming := part.Names{Pseudo: pseudo}
	c.parts = newParts(c.laptop(naming))
	c.names = names{Names: naming, parts: c.parts, balancer: c.balancerAddress, host: loopback, databasePorts: map[string]int{}}
	if err := c.names.check(loaded.Resources()); err != nil {
		return err
	}
	for _, r := range loaded.Resources() {
		if p, ok := c.parts.byType[r.Type].(part.Preparer); ok {
			if err := p.Prepare(r); err != nil {
				return err
			}
		}
		if r.Type == "AWS::RDS::DBInstance" {
			if c.names.databasePorts[r.ID], err = c.ports.take(5433); err != nil {
				return err
			}
		}
	}
	if c.stack, err = loaded.Resolve(c.names.attribute); err != nil {
		return err
	}
	if c.plan, err = makePlan(c.stack, c.names); err != nil || c.hosts == "" {
		return err
	}
	c.samEnv, err = c.samEnvironment(loaded)
	return err
}

// laptop returns what the parts may use.
func (c *cloud) laptop(naming part.Names) part.Laptop {
	return part.Laptop{
		Names: naming, Folder: c.folder, Endpoint: c.endpointURL, Group: c.group, Log: c.log,
		Port:      c.ports.take,
		Program:   func(pkg string) string { return filepath.Join(c.programs(), path.Base(pkg)) },
		Started:   c.screen.line,
		JSONLog:   c.screen.logOutput,
		FileLog:   func(name string) io.Writer { return c.screen.output(name, never) },
		ChangeRun: c.run.change,
		Fail:      c.fail,
	}
}

// freeParameter replaces the value of a port parameter if the port is taken.
func (c *cloud) freeParameter(values map[string]string, name string) error {
	want, err := strconv.Atoi(values[name])
	if err != nil {
		return fmt.Errorf("parameter %s is a port; set it to a number in %s", name, configFile)
	}
	port, err := c.ports.take(want)
	if err != nil {
		return err
	}
	if port != want {
		c.screen.say("port %d is taken; %s is %d instead", want, name, port)
	}
	values[name] = fmt.Sprint(port)
	return nil
}

// start starts everything, runs the hook `after`, and returns once everything
// answers.
func (c *cloud) start(ctx context.Context, balancer net.Listener, aws []net.Listener) error {
	c.functions = lambda.NewService(c.group, c.log)
	c.functions.Output = c.screen.logOutput("")
	var err error
	if c.data, err = rds.Root(c.root); err != nil {
		return err
	}
	// All of these start side by side.
	starts, startCtx := errgroup.WithContext(ctx)
	c.startRow(startCtx, starts, c.parts.served[0])
	for _, d := range c.plan.databases {
		starts.Go(func() error { return c.startDatabase(startCtx, d) })
	}
	var files map[string]string
	starts.Go(func() error {
		began := time.Now()
		var packages []string
		for _, f := range c.plan.functions {
			packages = append(packages, f.pkg)
		}
		for _, s := range c.plan.services {
			packages = append(packages, s.pkg)
		}
		defer c.screen.patiently(fmt.Sprintf("building %d functions and services", len(packages)))()
		var err error
		if files, err = c.build(startCtx, packages); err == nil {
			c.screen.line("build", fmt.Sprintf("functions %d, services %d", len(c.plan.functions), len(c.plan.services)), time.Since(began))
		}
		return err
	})
	if err := starts.Wait(); err != nil {
		return err
	}

	began := time.Now()
	for _, f := range c.plan.functions {
		f.config.Binary = files[f.pkg]
		f.config.Endpoint = c.endpointURL
		f.config.IdleAfter = c.idle
		if _, err := c.functions.Add(f.config); err != nil {
			return err
		}
	}
	c.onStop(func() {
		// Invocations in flight get a moment to end.
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		c.functions.Close(ctx)
	})
	if err := c.startRows(ctx, c.parts.served[1:]); err != nil {
		return err
	}
	c.serveAWS(aws)
	c.screen.line("AWS endpoint", c.endpointURL+", Lambda Invoke and GetSecretValue", time.Since(began))
	if err := c.startRows(ctx, c.parts.callers); err != nil {
		return err
	}
	if err := c.startServices(files); err != nil {
		return err
	}
	if err := c.serveBalancer(balancer); err != nil {
		return err
	}
	began = time.Now()
	if err := c.setup(ctx); err != nil {
		return err
	}
	if len(c.config.After) > 0 {
		c.screen.line("setup", "done", time.Since(began))
	}
	if err := c.awaitServices(ctx); err != nil {
		return err
	}
	for _, p := range c.parts.all {
		if awaited, ok := p.(part.Awaited); ok {
			if err := awaited.Await(ctx); err != nil {
				return err
			}
		}
	}
	return c.run.change(func(r *part.Run) {
		r.URL, r.AWS, r.Region = c.url(), c.endpointURL, c.config.Region
		r.Functions = map[string]string{}
		for _, f := range c.plan.functions {
			r.Functions[path.Base(f.pkg)] = f.config.Name
		}
	})
}

// startRow starts parts side by side.
func (c *cloud) startRow(ctx context.Context, starts *errgroup.Group, row part.List) {
	for _, p := range row {
		starts.Go(func() error {
			defer c.onStop(p.Stop) // also of half a start
			return p.Start(ctx)
		})
	}
}

// startRows starts rows of parts, one after another.
func (c *cloud) startRows(ctx context.Context, rows []part.List) error {
	for _, row := range rows {
		starts, startCtx := errgroup.WithContext(ctx)
		c.startRow(startCtx, starts, row)
		if err := starts.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (c *cloud) url() string {
	if c.plan.balancer == nil {
		return ""
	}
	return "http://" + c.balancerAddress
}

// serveAWS serves the one endpoint of every AWS API.
func (c *cloud) serveAWS(listeners []net.Listener) {
	services := map[string]http.Handler{"lambda": c.functions.Handler()}
	for _, p := range c.parts.all {
		if service, handler := p.API(); service != "" {
			services[service] = handler
		}
	}
	server := &http.Server{
		Handler:           endpoint{services: services},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	var serving sync.WaitGroup
	for i, l := range listeners {
		if i > 0 {
			l = fromBridge{l, c.bridge.Masked()}
		}
		serving.Go(func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				c.fail(fmt.Errorf("AWS endpoint: %w", err))
			}
		})
	}
	c.onStop(func() {
		server.Close()
		serving.Wait()
	})
}

func (c *cloud) serveBalancer(l net.Listener) error {
	if c.plan.balancer == nil {
		l.Close()
		return nil
	}
	began := time.Now()
	for arn, group := range c.plan.groups {
		if to, ok := c.plan.invokes[arn]; ok {
			function, ok := c.functions.Function(to)
			if !ok {
				return fmt.Errorf("target group %s: the function %s does not exist", group.Name, to)
			}
			group.Function = function
		}
	}
	config := *c.plan.balancer
	config.Log = c.log
	balancer, err := elb.New(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := balancer.Serve(ctx, l); err != nil {
			c.fail(err)
		}
	}()
	c.onStop(func() {
		cancel()
		<-done
	})
	c.screen.line("load balancer", fmt.Sprintf("%s, rules %d", c.balancerAddress, len(config.Listener.Rules)), time.Since(began))
	return nil
}

func (c *cloud) startServices(files map[string]string) error {
	c.services = map[string]*ecs.Service{}
	for _, s := range c.plan.services {
		env, err := s.environment(c.endpointURL, c.parts.secrets)
		if err != nil {
			return err
		}
		config := s.config
		config.Binary = files[s.pkg]
		config.Dir = filepath.Join(c.folder, "services", config.Name)
		if err := os.MkdirAll(config.Dir, 0o755); err != nil {
			return err
		}
		config.Env = env
		config.Log = c.log
		config.Output = c.screen.logOutput(config.Name)
		for _, arn := range s.groups {
			group, ok := c.plan.groups[arn]
			if !ok {
				return fmt.Errorf("ECS service %s: the stack has no target group %s", config.Name, arn)
			}
			config.Targets = append(config.Targets, group)
		}
		config.Changed = func(pid int) {
			err := c.run.change(func(r *part.Run) {
				delete(r.PIDs, config.Name)
				if pid != 0 {
					r.PIDs[config.Name] = pid
				}
			})
			if err != nil {
				c.log.Error("run.json is not up to date", "error", err)
			}
		}
		running, err := ecs.Start(c.group, config)
		if err != nil {
			return err
		}
		c.services[s.pkg] = running
		c.onStop(running.Stop)
	}
	return nil
}

// awaitServices waits until every task answers the health check of its target
// groups.
func (c *cloud) awaitServices(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("it does not answer its target group's health check within a minute"))
	defer cancel()
	for _, s := range c.plan.services {
		if s.config.DesiredCount == 0 {
			continue
		}
		began := time.Now()
		for _, arn := range s.groups {
			check := c.plan.groups[arn].Health.Path
			if check == "" {
				check = "/"
			}
			url := fmt.Sprintf("http://127.0.0.1:%d%s", s.config.Port, check)
			if err := awaitOK(ctx, url); err != nil {
				return fmt.Errorf("ECS service %s, %s: %w", s.config.Name, check, err)
			}
		}
		c.screen.line(s.config.Name+" service", fmt.Sprintf("127.0.0.1:%d", s.config.Port), time.Since(began))
	}
	return nil
}

func awaitOK(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 2 * time.Second}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// fail ends the run with an error. Only the first error counts.
func (c *cloud) fail(err error) {
	select {
	case c.fatal <- err:
	default:
	}
}

func (c *cloud) onStop(undo func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stops = append(c.stops, undo)
}

// stop ends everything in the reverse order of the start: the listeners first,
// the databases last.
func (c *cloud) stop() {
	if c.run != nil {
		if err := c.run.remove(); err != nil {
			c.log.Error("run.json is not removed", "error", err)
		}
	}
	if err := c.removeSAMEnvironment(); err != nil {
		c.log.Error("sam-env.json is not removed", "error", err)
	}
	c.mu.Lock()
	stops := slices.Clone(c.stops)
	c.stops = nil
	c.mu.Unlock()
	for _, undo := range slices.Backward(stops) {
		undo()
	}
	if err := c.group.Close(); err != nil {
		c.log.Warn("some processes had to be killed", "error", err)
	}
}
