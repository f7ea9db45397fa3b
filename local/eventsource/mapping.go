package eventsource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"plaudit/local/lambda"
)

// Config is an event source mapping for a stream, as the template describes it.
type Config struct {
	ID          string        // logical id; the journal's folder
	UUID        string        // Ref
	StreamARN   string        // EventSourceArn
	Function    string        // FunctionName
	FunctionARN string        // set when the mapping starts
	Start       string        // StartingPosition: TRIM_HORIZON or LATEST
	Filters     []string      // patterns, of which one must match; none: every record
	BatchSize   int           // at least 1
	Window      time.Duration // MaximumBatchingWindowInSeconds
	Partial     bool          // ReportBatchItemFailures
	Bisect      bool          // BisectBatchOnFunctionError
	Retries     int           // MaximumRetryAttempts; -1: as long as the stream keeps a record
	MaxAge      time.Duration // MaximumRecordAgeInSeconds; -1: no limit
	Destination string        // ARN of DestinationConfig.OnFailure; "": none
	Disabled    bool          // not Enabled: records wait in the journal
}

// mapping is an event source mapping for a stream that runs.
//
// Each shard has a reader and a processor. The reader fetches records, puts them
// into the shard's journal, and then moves on; the processor takes those that a
// filter lets through from the journal in batches. So the journal is where
// records wait, on disk, and neither a slow function nor a long stop needs
// memory.
type mapping struct {
	Config
	source   Source
	invoke   Invoke
	failures Destination // nil: none
	log      *slog.Logger
	dir      string // of the journals
	filters  filters
	began    time.Time
	now      func() time.Time
	timing

	mu     sync.Mutex
	stream string // ARN that the table's stream has now
	shards []*shard
	work   sync.WaitGroup
	look   chan struct{} // asks for the list of shards
}

// timing is how a mapping waits. Tests wait less.
type timing struct {
	busyPoll, idlePoll  time.Duration // between reads of a shard: after records, and at most
	discovery           time.Duration // between lists of the shards
	backlog             int64         // bytes in a journal from which its reader waits
	grace               time.Duration // for an invocation that runs at the stop
	retryDelays         [2]time.Duration
	throttleDelays      [2]time.Duration
	destinationPatience time.Duration
}

// Lambda polls a shard four times a second. Between records that follow each
// other the laptop is faster, so that events are where they belong soon.
var defaultTiming = timing{
	busyPoll: 20 * time.Millisecond, idlePoll: 250 * time.Millisecond, discovery: 10 * time.Second, backlog: 64 << 20,
	grace: 3 * time.Second, retryDelays: [2]time.Duration{100 * time.Millisecond, 30 * time.Second},
	throttleDelays: [2]time.Duration{20 * time.Millisecond, time.Second}, destinationPatience: time.Minute,
}

// shard is a shard of a stream with its journal.
type shard struct {
	stream, id string   // ARN of the stream, shard id
	parents    []*shard // their records come first
	journal    *journal
	ended      atomic.Bool
	end        chan struct{} // closes with ended
	done       chan struct{} // closes when it has ended and every record is handled

	linked   bool    // parents are known
	iterator *string // of the reader
	drained  bool    // read to its present end by drain
}

func (s *shard) finish() {
	if s.ended.CompareAndSwap(false, true) {
		close(s.end)
	}
}

func newMapping(c Config, source Source, dir string, log *slog.Logger) (*mapping, error) {
	m := &mapping{
		Config: c, source: source, log: log, dir: filepath.Join(dir, c.ID), began: time.Now(), now: time.Now,
		timing: defaultTiming, stream: c.StreamARN, look: make(chan struct{}, 1),
	}
	var err error
	m.filters, err = parseFilters(c.Filters)
	return m, err
}

// open opens the journals that an earlier run left behind, and finds the shards
// of the stream.
func (m *mapping) open(ctx context.Context) error {
	if err := m.reopen(); err != nil {
		return err
	}
	if err := m.discover(ctx); err != nil {
		return err
	}
	// The table's own shards wait for those of its other streams, so none of these may
	// wait for them. One does if its label is the newer one: after some time with
	// another engine.
	for _, s := range m.shards {
		if s.stream != m.stream {
			s.parents = slices.DeleteFunc(s.parents, func(parent *shard) bool { return parent.stream == m.stream })
		}
	}
	return nil
}

func (m *mapping) reopen() error {
	streams, err := os.ReadDir(m.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	_, current, _ := tableOf(m.stream)
	for _, stream := range streams { // labels are times, so the oldest comes first
		if !stream.IsDir() {
			continue
		}
		shards, err := os.ReadDir(filepath.Join(m.dir, stream.Name()))
		if err != nil {
			return err
		}
		older := slices.Clone(m.shards)
		for _, one := range shards {
			arn := strings.TrimSuffix(m.stream, current) + stream.Name()
			s, err := m.openShard(arn, one.Name())
			if err != nil {
				return err
			}
			s.parents = older
			m.shards = append(m.shards, s)
		}
	}
	return nil
}

func (m *mapping) openShard(stream, id string) (*shard, error) {
	_, label, _ := tableOf(stream)
	j, err := openJournal(filepath.Join(m.dir, label, id), m.log.With("mapping", m.ID))
	if err != nil {
		return nil, err
	}
	s := &shard{stream: stream, id: id, journal: j, end: make(chan struct{}), done: make(chan struct{})}
	if j.at().Ended {
		s.finish()
	}
	return s, nil
}

// startedFile marks that the starting position was used.
const startedFile = "started"

func (m *mapping) started() bool {
	_, err := os.Stat(filepath.Join(m.dir, startedFile))
	return err == nil
}

// discover adds the shards that the stream has and the mapping does not know
// yet, each after its parent. LATEST counts for the shards that are open when the
// mapping starts for the first time; those that come later follow from the
// beginning.
func (m *mapping) discover(ctx context.Context) error {
	listed, enabled, err := listShards(ctx, m.source, m.stream)
	if notFound := new(types.ResourceNotFoundException); errors.As(err, &notFound) || err == nil && !enabled && m.allRead() {
		if err := m.move(ctx); err != nil {
			return err
		}
		listed, _, err = listShards(ctx, m.source, m.stream)
	}
	if err != nil {
		return fmt.Errorf("the shards of %s: %w", m.stream, err)
	}
	first := !m.started()

	m.mu.Lock()
	defer m.mu.Unlock()
	known := map[string]*shard{}
	var older []*shard // of streams that the table had before
	for _, s := range m.shards {
		if s.stream == m.stream {
			known[s.id] = s
		} else {
			s.finish() // nothing is read from it any more
			older = append(older, s)
		}
	}
	for id, s := range known {
		if !slices.ContainsFunc(listed, func(one types.Shard) bool { return aws.ToString(one.ShardId) == id }) {
			s.finish() // the stream keeps nothing of it any more
		}
	}
	for _, one := range listed {
		id := aws.ToString(one.ShardId)
		s := known[id]
		if s == nil {
			if s, err = m.openShard(m.stream, id); err != nil {
				return err
			}
			known[id] = s
			m.shards = append(m.shards, s)
		}
		// An earlier start may have ended before the file was written.
		if first && m.Start == string(types.ShardIteratorTypeLatest) && s.journal.at() == (position{}) {
			if err := m.skip(ctx, s, one); err != nil {
				return err
			}
		}
	}
	for _, one := range listed {
		s, parent := known[aws.ToString(one.ShardId)], known[aws.ToString(one.ParentShardId)]
		if s.linked {
			continue
		}
		s.parents, s.linked = older, true
		if parent != nil {
			s.parents = append(slices.Clone(older), parent)
		}
	}
	m.forget(listed)
	if first {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(m.dir, startedFile), []byte(m.Start+"\n"), 0o600)
	}
	return nil
}

// skip moves the position of a shard behind the records that it has. The position
// and not an iterator at LATEST makes that last: nothing may have been read when the
// mapping stops, or the engine does.
func (m *mapping) skip(ctx context.Context, s *shard, listed types.Shard) error {
	if r := listed.SequenceNumberRange; r != nil && r.EndingSequenceNumber != nil {
		s.finish()
		return s.journal.mark("", true)
	}
	iterator, err := getIterator(ctx, m.source, s.stream, s.id, "")
	last := ""
	for empty := 0; err == nil && iterator != nil && empty < emptyPages; {
		var out *dynamodbstreams.GetRecordsOutput
		if out, err = m.source.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: iterator}); err != nil {
			break
		}
		empty++
		for _, r := range out.Records {
			empty = 0
			if r.Dynamodb != nil {
				last = aws.ToString(r.Dynamodb.SequenceNumber)
			}
		}
		iterator = out.NextShardIterator
	}
	if err != nil {
		return fmt.Errorf("skip the records of the shard %s: %w", s.id, err)
	}
	return s.journal.mark(last, false)
}

// forget removes the journals of shards that are done and that the stream has no
// more.
func (m *mapping) forget(listed []types.Shard) {
	m.shards = slices.DeleteFunc(m.shards, func(s *shard) bool {
		select {
		case <-s.done:
		default:
			return false
		}
		if s.stream == m.stream && slices.ContainsFunc(listed, func(one types.Shard) bool { return aws.ToString(one.ShardId) == s.id }) {
			return false
		}
		s.journal.close()
		if err := os.RemoveAll(s.journal.dir); err != nil {
			m.log.Warn("a journal that is no longer needed is left", "folder", s.journal.dir, "error", err)
		}
		return true
	})
}

// allRead reports whether every shard is read to its end.
func (m *mapping) allRead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !slices.ContainsFunc(m.shards, func(s *shard) bool { return !s.ended.Load() })
}

// move follows a table that was made again, whose stream has another name now.
func (m *mapping) move(ctx context.Context) error {
	stream, err := findStream(ctx, m.source, m.stream)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stream = stream
	return nil
}

// run reads and processes until ctx ends. failed gets what makes that
// impossible.
func (m *mapping) run(ctx context.Context, failed func(error)) {
	running := map[*shard]bool{}
	begin := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, s := range m.shards {
			if running[s] {
				continue
			}
			running[s] = true
			m.work.Go(func() { m.read(ctx, s) })
			m.work.Go(func() {
				err := m.process(ctx, s)
				switch {
				case err == nil:
					close(s.done)
				case ctx.Err() == nil && !errors.Is(err, lambda.ErrClosed):
					failed(fmt.Errorf("event source mapping %s: %w", m.ID, err))
				}
			})
		}
	}
	begin()
	m.work.Go(func() {
		tick := time.NewTicker(m.discovery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-m.look:
			case <-tick.C:
			}
			if err := m.discover(ctx); err != nil {
				if ctx.Err() == nil {
					m.log.Warn("the shards of a stream cannot be listed; they are listed again", "mapping", m.ID, "error", err)
				}
				continue
			}
			begin()
		}
	})
}

// wait returns when what run started has ended.
func (m *mapping) wait() { m.work.Wait() }

// read reads a shard into its journal until it ends or ctx does.
func (m *mapping) read(ctx context.Context, s *shard) {
	wait := m.busyPoll
	failing := false
	for !s.ended.Load() {
		if s.journal.waiting() < m.backlog {
			n, err := m.fetch(ctx, s)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				if !failing {
					m.log.Warn("a stream cannot be read; it is tried again", "mapping", m.ID, "shard", s.id, "error", err)
				}
				failing, wait = true, m.idlePoll
			case n >= fullPage:
				wait = 0
			case n > 0:
				wait = m.busyPoll
			default:
				wait = min(max(wait, m.busyPoll)*3/2, m.idlePoll)
			}
			failing = failing && err != nil
		} else {
			wait = m.idlePoll
			s.iterator = nil // it becomes old meanwhile, or its engine ends
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.end:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
	select { // children may follow
	case m.look <- struct{}{}:
	default:
	}
}

// emptyPages is how many empty pages mean the present end of a shard: one may come
// before it.
const emptyPages = 2

// fullPage is how many records in one answer mean that more are waiting.
const fullPage = 200

// fetch reads one page of a shard into its journal, and returns how many records
// the page had. The iterator moves on when they are on disk.
func (m *mapping) fetch(ctx context.Context, s *shard) (int, error) {
	if s.iterator == nil {
		iterator, err := getIterator(ctx, m.source, s.stream, s.id, s.journal.at().Sequence)
		if err != nil {
			return 0, m.readFailed(s, err)
		}
		s.iterator = iterator
	}
	out, err := m.source.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: s.iterator})
	if err != nil {
		return 0, m.readFailed(s, err)
	}
	var entries []entry
	sequence := ""
	for _, r := range out.Records {
		record, err := Record(s.stream, r)
		if err != nil {
			return 0, err
		}
		if r.Dynamodb == nil || aws.ToString(r.Dynamodb.SequenceNumber) == "" {
			return 0, errors.New("the stream has a record without a sequence number")
		}
		sequence = *r.Dynamodb.SequenceNumber
		entries = append(entries, entry{sequence: sequence, arrived: arrivedAt(r), record: record})
	}
	if err := s.journal.append(entries); err != nil {
		return 0, err
	}
	ended := out.NextShardIterator == nil
	if sequence != "" || ended {
		if err := s.journal.mark(sequence, ended); err != nil {
			return 0, err
		}
	}
	s.iterator = out.NextShardIterator
	if ended {
		s.finish()
	}
	return len(out.Records), nil
}

// readFailed forgets the iterator: the stream may have refused it, and after a
// lost connection the engine may be another one, in which the iterator's position
// is behind records that were not read. The next one begins behind the last
// record in the journal.
func (m *mapping) readFailed(s *shard, err error) error {
	s.iterator = nil
	var expired *types.ExpiredIteratorException
	var trimmed *types.TrimmedDataAccessException
	var notFound *types.ResourceNotFoundException
	if errors.As(err, &expired) || errors.As(err, &trimmed) || errors.As(err, &notFound) {
		select { // the table may have been made again
		case m.look <- struct{}{}:
		default:
		}
	}
	return err
}

// drain reads every shard to its present end into its journal. Nothing else may
// read or write the journals. It adds to read how many records it has read.
func (m *mapping) drain(ctx context.Context, read *atomic.Int64) error {
	for {
		if err := m.discover(ctx); err != nil {
			return err
		}
		i := slices.IndexFunc(m.shards, func(s *shard) bool { return !s.ended.Load() && !s.drained })
		if i < 0 {
			return nil
		}
		if err := m.drainShard(ctx, m.shards[i], read); err != nil {
			return err
		}
	}
}

func (m *mapping) drainShard(ctx context.Context, s *shard, read *atomic.Int64) error {
	failed := false
	for empty := 0; empty < emptyPages && !s.ended.Load(); {
		n, err := m.fetch(ctx, s)
		read.Add(int64(n))
		switch {
		case err != nil && failed:
			return err
		case err != nil: // once more, with another iterator
			failed = true
		case n == 0:
			empty++
		default:
			empty, failed = 0, false
		}
	}
	s.drained = true
	return nil
}

func (m *mapping) close() {
	for _, s := range m.shards {
		s.journal.close()
	}
}
