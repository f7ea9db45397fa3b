// Package eventsource runs Lambda's event source mappings for DynamoDB streams and
// SQS queues on the laptop: it reads the streams of tables, receives the messages of
// queues, and invokes functions with them, with the rules for batches, filters and
// failures that Lambda documents.
//
// Messages that are not handled stay in their queue, which the engine keeps. But it
// forgets the records of streams when it stops. So a mapping for a stream keeps every
// record in a journal on disk, from the moment that it is fetched until it is handled.
// At the end of a run Keeper reads the streams to their end into the journals, while
// the engine still runs and nothing writes any more; after a run that was killed the
// engine's guard does the same by Drain.
//
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
package eventsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"plaudit/local/engine"
	"plaudit/local/lambda"
	"plaudit/local/part"
	"plaudit/local/pattern"
	"plaudit/local/process"
	"plaudit/local/template"
)

// Service is the part that runs event source mappings. It starts after the
// functions and stops before them.
type Service struct {
	laptop    part.Laptop
	engine    *engine.Engine
	functions Functions
	dir       string
	configs   []Config // for streams
	running   []*mapping
	queues    []queueConfig
	polling   []*queueMapping
	client    *queueClient // of those
	timing    queueTiming  // of those
	cancel    context.CancelFunc
	held      *os.File // the lock of the journals
}

// Functions finds functions; *lambda.Part does.
type Functions interface {
	Function(nameOrARN string) (*lambda.Function, bool)
}

// New returns the service for a stack, without mappings. If the laptop cloud is
// killed, the engine's guard reads the streams to their end.
func New(l part.Laptop, e *engine.Engine, functions Functions) *Service {
	s := &Service{laptop: l, engine: e, functions: functions, dir: dirIn(l.Folder), timing: defaultQueueTiming}
	e.BeforeEnd(s.drainCommand)
	return s
}

// Types implements part.Part.
func (s *Service) Types() []string { return []string{"AWS::Lambda::EventSourceMapping"} }

// Values implements part.Part.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-eventsourcemapping.html
func (s *Service) Values(r template.Resource) map[string]any {
	id := s.uuid(r)
	return map[string]any{"Ref": id, "Id": id, "EventSourceMappingArn": s.laptop.ARN("lambda", "event-source-mapping:"+id)}
}

func (s *Service) uuid(r template.Resource) string {
	h := s.laptop.Hex(r, 32)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// ignored are properties without effect on a laptop, with the reason.
var ignored = map[string]string{"Tags": "nothing reads them"}

// Limits of a mapping, and of one for a stream.
// https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html
const (
	defaultBatch = 100
	maxBatch     = 10000
	maxWindow    = 300
	maxRetries   = 10000
	minAge       = 60
	maxAge       = 604800
	maxFilters   = 10
)

// Read implements part.Part.
func (s *Service) Read(r template.Resource) error {
	s.engine.Want()
	// The ARN of another service is an error of readStream.
	if source, _ := r.Properties["EventSourceArn"].(string); serviceOf(source) == "sqs" {
		return s.readQueue(r)
	}
	return s.readStream(r)
}

// filterCriteria are the filters of a mapping.
type filterCriteria struct {
	Filters []struct {
		Pattern string `cfn:"Pattern,required"`
	} `cfn:"Filters"`
}

// faults are what is wrong with a resource.
type faults struct {
	id   string
	errs []error
}

func (f *faults) wrong(property, format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("%s: %s: %s", f.id, property, fmt.Sprintf(format, args...)))
}

func (f *faults) between(property string, value, low, high int) {
	if value < low || value > high {
		f.wrong(property, "it must be between %d and %d, not %d", low, high, value)
	}
}

// filters returns the patterns. Check finds what else may be wrong with one.
func (f *faults) filters(in filterCriteria, check func(text string) error) (out []string) {
	if n := len(in.Filters); n > maxFilters {
		f.wrong("FilterCriteria.Filters", "it must have at most %d filters, not %d", maxFilters, n)
	}
	for i, one := range in.Filters {
		_, err := pattern.Parse(one.Pattern)
		if err == nil {
			err = check(one.Pattern)
		}
		if err != nil {
			f.wrong(fmt.Sprintf("FilterCriteria.Filters[%d].Pattern", i), "%v", err)
		}
		out = append(out, one.Pattern)
	}
	return out
}

// partial reports whether the function reports failures.
func (f *faults) partial(kinds []string) (partial bool) {
	for _, kind := range kinds {
		if partial = kind == "ReportBatchItemFailures"; !partial {
			f.wrong("FunctionResponseTypes", "it must be [ReportBatchItemFailures], not %q", kind)
		}
	}
	return partial
}

func (s *Service) readStream(r template.Resource) error {
	var in struct {
		EventSourceArn    string         `cfn:"EventSourceArn,required"`
		FunctionName      string         `cfn:"FunctionName,required"`
		StartingPosition  string         `cfn:"StartingPosition,required"`
		BatchSize         *int           `cfn:"BatchSize"`
		Window            int            `cfn:"MaximumBatchingWindowInSeconds"`
		Enabled           *bool          `cfn:"Enabled"`
		Bisect            bool           `cfn:"BisectBatchOnFunctionError"`
		Retries           *int           `cfn:"MaximumRetryAttempts"`
		MaxAge            *int           `cfn:"MaximumRecordAgeInSeconds"`
		Parallel          *int           `cfn:"ParallelizationFactor"`
		ResponseTypes     []string       `cfn:"FunctionResponseTypes"`
		FilterCriteria    filterCriteria `cfn:"FilterCriteria"`
		DestinationConfig struct {
			OnFailure struct {
				Destination string `cfn:"Destination,required"`
			} `cfn:"OnFailure"`
		} `cfn:"DestinationConfig"`
	}
	if err := template.Decode(r, &in, ignored); err != nil {
		return err
	}
	f := &faults{id: r.ID}
	c := Config{
		ID: r.ID, UUID: s.uuid(r), StreamARN: in.EventSourceArn, Function: in.FunctionName, Start: in.StartingPosition,
		BatchSize: orDefault(in.BatchSize, defaultBatch), Window: time.Duration(in.Window) * time.Second, Bisect: in.Bisect,
		Retries: orDefault(in.Retries, -1), MaxAge: -1, Destination: in.DestinationConfig.OnFailure.Destination,
	}
	if _, _, ok := tableOf(c.StreamARN); !ok {
		f.wrong("EventSourceArn", "the laptop cloud reads streams of DynamoDB tables and SQS queues, and this is not the ARN of one")
	}
	if c.Start != "TRIM_HORIZON" && c.Start != "LATEST" {
		f.wrong("StartingPosition", "it must be TRIM_HORIZON or LATEST, not %q", c.Start)
	}
	f.between("BatchSize", c.BatchSize, 1, maxBatch)
	f.between("MaximumBatchingWindowInSeconds", in.Window, 0, maxWindow)
	f.between("MaximumRetryAttempts", c.Retries, -1, maxRetries)
	if age := orDefault(in.MaxAge, -1); age != -1 {
		f.between("MaximumRecordAgeInSeconds", age, minAge, maxAge)
		c.MaxAge = time.Duration(age) * time.Second
	}
	if orDefault(in.Parallel, 1) != 1 {
		f.wrong("ParallelizationFactor", "the laptop cloud processes one batch of a shard at a time; it must be 1")
	}
	c.Partial = f.partial(in.ResponseTypes)
	c.Filters = f.filters(in.FilterCriteria, func(string) error { return nil })
	if c.Destination != "" {
		if _, _, err := destinationName(c.Destination); err != nil {
			f.wrong("DestinationConfig.OnFailure.Destination", "%v", err)
		}
	}
	c.Disabled = !orDefault(in.Enabled, true)
	s.configs = append(s.configs, c)
	return errors.Join(f.errs...)
}

func (s *Service) readQueue(r template.Resource) error {
	var in struct {
		EventSourceArn string         `cfn:"EventSourceArn,required"`
		FunctionName   string         `cfn:"FunctionName,required"`
		BatchSize      *int           `cfn:"BatchSize"`
		Window         int            `cfn:"MaximumBatchingWindowInSeconds"`
		Enabled        *bool          `cfn:"Enabled"`
		ResponseTypes  []string       `cfn:"FunctionResponseTypes"`
		FilterCriteria filterCriteria `cfn:"FilterCriteria"`
		ScalingConfig  struct {
			Concurrency *int `cfn:"MaximumConcurrency"`
		} `cfn:"ScalingConfig"`
	}
	if err := template.Decode(r, &in, ignored); err != nil {
		return err
	}
	f := &faults{id: r.ID}
	c := queueConfig{
		ID: r.ID, QueueARN: in.EventSourceArn, Function: in.FunctionName, BatchSize: orDefault(in.BatchSize, defaultQueueBatch),
		Window: part.Seconds(in.Window), Concurrency: orDefault(in.ScalingConfig.Concurrency, 0), Disabled: !orDefault(in.Enabled, true),
	}
	if strings.HasSuffix(c.QueueARN, ".fifo") {
		f.wrong("EventSourceArn", "the laptop cloud receives messages of standard queues only, not of FIFO queues")
	}
	f.between("BatchSize", c.BatchSize, 1, maxBatch)
	f.between("MaximumBatchingWindowInSeconds", in.Window, 0, maxWindow)
	if c.BatchSize > maxQuickBatch && in.Window < 1 {
		f.wrong("MaximumBatchingWindowInSeconds", "it must be at least 1 if BatchSize is over %d", maxQuickBatch)
	}
	if in.ScalingConfig.Concurrency != nil {
		f.between("ScalingConfig.MaximumConcurrency", c.Concurrency, minConcurrency, maxConcurrency)
	}
	c.Partial = f.partial(in.ResponseTypes)
	c.Filters = f.filters(in.FilterCriteria, checkQueueFilter)
	s.queues = append(s.queues, c)
	return errors.Join(f.errs...)
}

func orDefault[T any](given *T, value T) T {
	if given == nil {
		return value
	}
	return *given
}

// API implements part.Part. Lambda's own API is that of package lambda.
func (s *Service) API() (string, http.Handler) { return "", nil }

// Start implements part.Part.
func (s *Service) Start(ctx context.Context) error {
	began := time.Now()
	for _, open := range []func(context.Context) error{s.openStreams, s.openQueues} {
		if err := open(ctx); err != nil {
			return err
		}
	}
	if len(s.running)+len(s.polling) == 0 {
		return nil
	}
	running, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for _, m := range s.running {
		m.run(running, s.laptop.Fail)
	}
	for _, m := range s.polling {
		s.engine.AfterSend(m.look)
		m.run(running)
	}
	s.laptop.Started("event sources", fmt.Sprintf("streams %d, queues %d", len(s.running), len(s.polling)), time.Since(began))
	return nil
}

// function finds the function of a mapping.
func (s *Service) function(id, name string) (*lambda.Function, Invoke, error) {
	function, ok := s.functions.Function(name)
	if !ok {
		return nil, nil, fmt.Errorf("event source mapping %s: the function %s does not exist", id, name)
	}
	return function, func(ctx context.Context, event []byte) ([]byte, string, error) {
		return function.Invoke(ctx, event, "")
	}, nil
}

func (s *Service) openStreams(ctx context.Context) error {
	source := newLive(s.engine.Config, s.engine.Ended)
	for _, c := range s.configs {
		if c.Disabled {
			continue
		}
		function, invoke, err := s.function(c.ID, c.Function)
		if err != nil {
			return err
		}
		c.FunctionARN = function.ARN()
		m, err := newMapping(c, source, s.dir, s.laptop.Log)
		if err != nil {
			return fmt.Errorf("event source mapping %s: %w", c.ID, err)
		}
		m.invoke = invoke
		if c.Destination != "" {
			if m.failures, err = newDestination(c.Destination, s.engine.Config); err != nil {
				return fmt.Errorf("event source mapping %s: %w", c.ID, err)
			}
		}
		s.running = append(s.running, m)
		if err := m.open(ctx); err != nil {
			return fmt.Errorf("event source mapping %s: %w", c.ID, err)
		}
	}
	return nil
}

func (s *Service) openQueues(ctx context.Context) error {
	s.client = newQueueClient(s.engine.Config)
	for _, c := range s.queues {
		if c.Disabled {
			continue
		}
		function, invoke, err := s.function(c.ID, c.Function)
		if err != nil {
			return err
		}
		if c.Concurrency == 0 {
			c.Concurrency = function.Concurrency()
		}
		m, err := newQueueMapping(c, s.client, s.laptop.Region, s.laptop.Log)
		if err == nil {
			m.invoke, m.queueTiming = invoke, s.timing
			err = m.open(ctx, function.Timeout())
		}
		if err != nil {
			return fmt.Errorf("event source mapping %s: %w", c.ID, err)
		}
		s.polling = append(s.polling, m)
	}
	return nil
}

// Stop implements part.Part. Records that are not handled stay in the journals, and
// messages in their queues.
func (s *Service) Stop() {
	if s.cancel != nil {
		s.cancel()
	}
	for _, m := range s.running {
		m.wait()
		m.close()
	}
	for _, m := range s.polling {
		m.wait()
	}
	if s.client != nil {
		s.client.close()
	}
	s.running, s.polling = nil, nil
}

// Keeper is the part that holds the journals. It starts after the engine and
// before everything that writes into tables, and so stops between them.
type Keeper struct{ *Service }

// Keeper returns the keeper of the service's journals.
func (s *Service) Keeper() *Keeper { return &Keeper{s} }

// Types implements part.Part: the resources are the service's.
func (k *Keeper) Types() []string { return nil }

// plan is what Drain needs to know. The file holds it while the streams have
// something to lose.
type plan struct {
	Account string `json:"account"`
	Region  string `json:"region"`
	// Engine is the address of the user's own engine, which has the records as long
	// as it runs; "": the laptop cloud's.
	Engine   string   `json:"engine"`
	Mappings []Config `json:"mappings"`
}

// planFile is the plan's file, and drainLog that of what the guard's command writes:
// the next start begins a new laptop.log, and shows this.
const (
	planFile = "drain.json"
	drainLog = "drain.log"
)

// DrainName is the name of the subcommand for which main calls Drain, and DrainEngine
// the variable that has the engine's address: an argument could be read by everybody.
const (
	DrainName   = "drain-streams"
	DrainEngine = "DRAIN_ENGINE"
)

func dirIn(folder string) string { return filepath.Join(folder, "streams") }

// Remove deletes the records that wait in .local. The engine of an earlier run must
// have ended: its guard writes them until then.
func Remove(folder string) error { return os.RemoveAll(dirIn(folder)) }

// drainCommand returns the command by which the guard of the engine reads the
// streams of a laptop cloud that was killed to their end.
func (s *Service) drainCommand(url string) *process.Command {
	self, err := os.Executable()
	if err != nil || len(s.configs) == 0 {
		return nil
	}
	return &process.Command{
		Path: self, Args: []string{DrainName, s.dir}, Env: []string{DrainEngine + "=" + url}, Dir: "/", Limit: drainLimit + 5*time.Second,
		Log: filepath.Join(s.dir, drainLog),
	}
}

// Start implements part.Part. It waits for an earlier laptop cloud whose streams
// are still being read.
func (k *Keeper) Start(ctx context.Context) error {
	if len(k.configs) == 0 {
		return nil
	}
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		return err
	}
	held, err := lock(ctx, k.dir)
	if err != nil {
		return err
	}
	k.held = held
	if err := k.reportDrain(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(plan{k.laptop.AccountID, k.laptop.Region, k.laptop.Engine, k.configs}, "", "  ")
	if err != nil {
		return err
	}
	return part.ReplaceFile(filepath.Join(k.dir, planFile), append(text, '\n'))
}

// reportDrain shows how the guard of an earlier laptop cloud read the streams, unless
// that went well. A plan that is left means that they were not read to their end.
func (k *Keeper) reportDrain() error {
	text, err := os.ReadFile(filepath.Join(k.dir, planFile))
	if err == nil {
		var p plan
		if json.Unmarshal(text, &p) != nil || p.Engine == "" {
			k.laptop.Log.Error("the last run was killed, and its streams were not read to their end: functions do not get the records that the engine has forgotten")
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	log := filepath.Join(k.dir, drainLog)
	if text, err = os.ReadFile(log); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		k.laptop.Say("the streams of the last run: " + strings.TrimSuffix(line, "\n"))
	}
	return os.Remove(log)
}

// Stop implements part.Part. It reads the streams to their end.
func (k *Keeper) Stop() {
	if k.held == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	if err := drain(ctx, newLive(k.engine.Config, k.engine.Ended), k.dir, k.configs, k.laptop.Log, k.laptop.Say); err != nil {
		k.laptop.Log.Error("the streams were not read to their end, and the engine may forget records when it stops", "error", err)
	}
	_ = os.Remove(filepath.Join(k.dir, planFile)) // the guard has nothing left to read
	k.held.Close()
	k.held = nil
}

// drainLimit is how long reading the streams to their end may take, and
// drainProgress after which time it is shown how far it is.
const (
	drainLimit    = time.Minute
	drainProgress = 5 * time.Second
)

// Drain does what Stop of Keeper does, after the laptop cloud was killed. Its
// argument is the folder of the journals, and the engine's address is that of the
// variable DrainEngine. It returns at once if the streams are in the journals.
func Drain(args []string, url string, log *slog.Logger) error {
	if len(args) != 1 || url == "" {
		return fmt.Errorf("%s wants the folder of the journals, and the engine's address in %s", DrainName, DrainEngine)
	}
	dir := args[0]
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	held, err := lock(ctx, dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer held.Close()
	file := filepath.Join(dir, planFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	var p plan
	if err := json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	source := newLive(func() aws.Config {
		return aws.Config{Region: p.Region, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider(p.Account, "laptop", "")}
	}, func() int { return 0 }) // nobody starts it again any more
	// Writes went through the laptop cloud. What the engine had taken when that
	// ended is done by the second time.
	for range 2 {
		if err := drain(ctx, source, dir, p.Mappings, log, func(string) {}); err != nil {
			return err
		}
		time.Sleep(straggling)
	}
	return os.Remove(file)
}

// straggling is how long the engine may work on a request after its client has
// gone.
const straggling = 250 * time.Millisecond

// drain reads streams to their end. A mapping that is not enabled goes on where it
// was when it is enabled, as in Lambda, so its records wait in the journal too. It
// has no place yet if it was never enabled and begins with LATEST. Say gets a line
// now and then while it lasts.
func drain(ctx context.Context, source Source, dir string, configs []Config, log *slog.Logger, say func(text string)) error {
	var read atomic.Int64
	ended := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(drainProgress)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				say(fmt.Sprintf("reading the streams to their end: %d records so far", read.Load()))
			case <-ended:
				return
			}
		}
	})
	defer telling.Wait()
	defer close(ended)
	var errs []error
	for _, c := range configs {
		m, err := newMapping(c, source, dir, log)
		if err == nil && c.Disabled && c.Start == string(types.ShardIteratorTypeLatest) && !m.started() {
			continue
		}
		if err == nil {
			err = m.reopen()
		}
		if err == nil {
			err = m.drain(ctx, &read)
		}
		if m != nil {
			m.close()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("event source mapping %s: %w", c.ID, err))
		}
	}
	return errors.Join(errs...)
}

// lock locks the journals for this process, and waits for another one that holds
// them. The lock ends with the process.
func lock(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("lock %s: another process holds it: %w", dir, context.Cause(ctx))
		}
	}
}
