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
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"plaudit/local/part"
	"plaudit/local/process"
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

	ports       *ports
	parts       parts
	stack       *template.Stack
	endpointURL string
	awsHeld     int                          // port of the AWS endpoint
	bridge      netip.Prefix                 // this machine's address for containers; zero: it has none but 127.0.0.1
	samEnv      map[string]map[string]string // variables for containers, by function
	fatal       chan error                   // the first error that ends the run

	mu    sync.Mutex
	stops []func() // called by stop, last one first
}

// load reads the template, chooses ports, and lets the parts read the resources.
// It starts nothing.
func (c *cloud) load(ctx context.Context, on entrances) error {
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
	c.parts = newParts(c.laptop(pseudo), on, c.idle, c.postgres)
	if c.stack, err = c.parts.all().Read(loaded); err != nil || c.hosts == "" {
		return err
	}
	c.samEnv, err = c.samEnvironment(loaded)
	return err
}

// laptop returns what the parts may use.
func (c *cloud) laptop(pseudo template.Pseudo) part.Laptop {
	return part.Laptop{
		Names: part.Names{Pseudo: pseudo}, Root: c.root, Folder: c.folder, Endpoint: c.endpointURL, Engine: c.awsEngine,
		Group: c.group, Log: c.log, Bridge: c.bridge,
		Port:      c.ports.take,
		Program:   func(pkg string) string { return filepath.Join(c.programs(), path.Base(pkg)) },
		Started:   c.screen.line,
		Say:       func(text string) { c.screen.say("%s", text) },
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
func (c *cloud) start(ctx context.Context, aws []net.Listener) error {
	// The programs are built beside the start of the first row.
	starts, startCtx := errgroup.WithContext(ctx)
	c.startRow(startCtx, starts, c.parts.served[0])
	starts.Go(func() error { return c.buildAll(startCtx) })
	if err := starts.Wait(); err != nil {
		return err
	}
	if err := c.startRows(ctx, c.parts.served[1:]); err != nil {
		return err
	}
	began := time.Now()
	c.serveAWS(aws)
	c.screen.line("AWS endpoint", c.endpointURL, time.Since(began))
	if err := c.startRows(ctx, c.parts.callers); err != nil {
		return err
	}
	began = time.Now()
	if err := c.setup(ctx); err != nil {
		return err
	}
	if len(c.config.After) > 0 {
		c.screen.line("setup", "done", time.Since(began))
	}
	for _, p := range c.parts.all() {
		if awaited, ok := p.(part.Awaited); ok {
			if err := awaited.Await(ctx); err != nil {
				return err
			}
		}
	}
	return c.run.change(func(r *part.Run) { r.AWS, r.Region = c.endpointURL, c.config.Region })
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

// serveAWS serves the one endpoint of every AWS API.
func (c *cloud) serveAWS(listeners []net.Listener) {
	services := map[string]http.Handler{}
	for _, p := range c.parts.all() {
		if service, handler := p.API(); service != "" {
			services[service] = handler
		}
	}
	server := &http.Server{
		Handler:           endpoint{services: services, port: strconv.Itoa(c.awsHeld), hosts: c.containerHosts()},
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

// containerHosts returns the names and addresses by which containers call the AWS
// endpoint.
func (c *cloud) containerHosts() (hosts []string) {
	if c.hosts != "" {
		hosts = append(hosts, containerHost)
	}
	if c.bridge.IsValid() {
		hosts = append(hosts, c.bridge.Addr().String())
	}
	return hosts
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
	c.stopParts()
	if err := c.group.Close(); err != nil {
		c.log.Warn("some processes had to be killed", "error", err)
	}
}

func (c *cloud) stopParts() {
	c.mu.Lock()
	stops := slices.Clone(c.stops)
	c.stops = nil
	c.mu.Unlock()
	for _, undo := range slices.Backward(stops) {
		undo()
	}
}
