package eventsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"plaudit/local/lambda"
	"plaudit/local/process"
)

// program is the binary of testdata/function, receiver that of testdata/receiver.
var program, receiver string

func TestMain(m *testing.M) {
	process.Guard()
	if len(os.Args) > 1 && os.Args[1] == DrainName { // as in the laptop cloud's main
		if err := Drain(os.Args[2:], os.Getenv(DrainEngine), slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "eventsource")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program, receiver = filepath.Join(dir, "function"), filepath.Join(dir, "receiver")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", dir, "./testdata/function", "./testdata/receiver")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the functions:", err)
		return 1
	}
	return m.Run()
}

const (
	testStream   = "arn:aws:dynamodb:ap-northeast-2:000000000000:table/log/stream/2026-11-01T00:00:00.000"
	testFunction = "arn:aws:lambda:ap-northeast-2:000000000000:function:consumer"
)

// memory is a stream in memory.
type memory struct {
	mu      sync.Mutex
	arn     string
	shards  []*memoryShard
	number  int   // of the last record
	fails   error // of every call
	started int   // reads
	// failures counts the reads that failed since set.
	failures int
}

type memoryShard struct {
	id, parent string
	records    []types.Record
	trimmed    int // records that are gone
	closed     bool
}

func newMemory() *memory { return &memory{arn: testStream, shards: []*memoryShard{{id: "shard-0"}}} }

// put adds a record to a shard for each thing to do, and numbers them.
func (s *memory) put(shard string, do ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.shards, func(one *memoryShard) bool { return one.id == shard })
	for _, what := range do {
		s.number++
		s.shards[i].records = append(s.shards[i].records, record(s.number, what, time.Now()))
	}
}

func record(number int, do string, at time.Time) types.Record {
	return types.Record{
		EventID: aws.String(fmt.Sprint("event-", number)), EventName: types.OperationTypeInsert, EventVersion: aws.String("1.1"), AwsRegion: aws.String("ap-northeast-2"),
		Dynamodb: &types.StreamRecord{
			ApproximateCreationDateTime: &at, SequenceNumber: aws.String(sequence(number)), SizeBytes: aws.Int64(20), StreamViewType: types.StreamViewTypeNewImage,
			Keys: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: fmt.Sprint("id-", number)}},
			NewImage: map[string]types.AttributeValue{
				"id": &types.AttributeValueMemberS{Value: fmt.Sprint("id-", number)}, "n": &types.AttributeValueMemberS{Value: strconv.Itoa(number)}, "do": &types.AttributeValueMemberS{Value: do},
			},
		},
	}
}

func sequence(number int) string { return fmt.Sprintf("%020d", 1000+number) }

// split closes a shard, which gets children.
func (s *memory) split(shard string, children ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.shards {
		if one.id == shard {
			one.closed = true
		}
	}
	for _, id := range children {
		s.shards = append(s.shards, &memoryShard{id: id, parent: shard})
	}
}

// trim forgets every record there is, as a stream does after a day.
func (s *memory) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.shards {
		one.trimmed += len(one.records)
		one.records = nil
	}
}

// restart forgets every record and every position, as MiniStack does when it ends
// and its process is replaced: the table, its stream and its shard are the same,
// and positions count from 0 again.
func (s *memory) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.shards {
		one.trimmed, one.records = 0, nil
	}
}

// failed waits until reads have failed.
func (s *memory) failed(t testing.TB) {
	t.Helper()
	eventually(t, "a read that fails", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.failures > 0
	})
}

// again makes the table again, with another stream.
func (s *memory) again(arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arn, s.shards = arn, []*memoryShard{{id: "shard-0"}}
}

func (s *memory) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.failures = err, 0
}

func (s *memory) ListStreams(context.Context, *dynamodbstreams.ListStreamsInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.ListStreamsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &dynamodbstreams.ListStreamsOutput{Streams: []types.Stream{{StreamArn: aws.String(s.arn)}}}, s.fails
}

func (s *memory) DescribeStream(_ context.Context, in *dynamodbstreams.DescribeStreamInput, _ ...func(*dynamodbstreams.Options)) (*dynamodbstreams.DescribeStreamOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		return nil, s.fails
	}
	if *in.StreamArn != s.arn {
		return nil, &types.ResourceNotFoundException{}
	}
	// Two shards a page.
	begin := 1 + slices.IndexFunc(s.shards, func(one *memoryShard) bool { return one.id == aws.ToString(in.ExclusiveStartShardId) })
	d := &types.StreamDescription{StreamArn: in.StreamArn}
	for _, one := range s.shards[begin:min(begin+2, len(s.shards))] {
		shard := types.Shard{ShardId: aws.String(one.id), SequenceNumberRange: &types.SequenceNumberRange{}}
		if one.parent != "" {
			shard.ParentShardId = aws.String(one.parent)
		}
		if one.closed {
			shard.SequenceNumberRange.EndingSequenceNumber = aws.String("9")
		}
		d.Shards = append(d.Shards, shard)
	}
	if begin+2 < len(s.shards) {
		d.LastEvaluatedShardId = d.Shards[1].ShardId
	}
	return &dynamodbstreams.DescribeStreamOutput{StreamDescription: d}, nil
}

func (s *memory) find(arn, id string) (*memoryShard, error) {
	if s.fails != nil {
		s.failures++
		return nil, s.fails
	}
	i := slices.IndexFunc(s.shards, func(one *memoryShard) bool { return one.id == id })
	if arn != s.arn || i < 0 {
		return nil, &types.ResourceNotFoundException{}
	}
	return s.shards[i], nil
}

func (s *memory) GetShardIterator(_ context.Context, in *dynamodbstreams.GetShardIteratorInput, _ ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetShardIteratorOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.find(*in.StreamArn, *in.ShardId)
	if err != nil {
		return nil, err
	}
	position := one.trimmed
	switch in.ShardIteratorType {
	case types.ShardIteratorTypeLatest:
		position += len(one.records)
	case types.ShardIteratorTypeAfterSequenceNumber:
		i := slices.IndexFunc(one.records, func(r types.Record) bool { return *r.Dynamodb.SequenceNumber == *in.SequenceNumber })
		if i < 0 {
			return nil, &types.TrimmedDataAccessException{}
		}
		position += i + 1
	}
	return &dynamodbstreams.GetShardIteratorOutput{ShardIterator: aws.String(fmt.Sprintf("%s %s %d", *in.StreamArn, *in.ShardId, position))}, nil
}

func (s *memory) GetRecords(_ context.Context, in *dynamodbstreams.GetRecordsInput, _ ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetRecordsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started++
	parts := strings.Fields(*in.ShardIterator)
	one, err := s.find(parts[0], parts[1])
	if err != nil {
		return nil, err
	}
	position, err := strconv.Atoi(parts[2])
	if err != nil {
		return nil, err
	}
	if position < one.trimmed {
		return nil, &types.TrimmedDataAccessException{}
	}
	from := min(position-one.trimmed, len(one.records)) // MiniStack returns an empty page
	page := one.records[from:min(from+1000, len(one.records))]
	out := &dynamodbstreams.GetRecordsOutput{Records: slices.Clone(page)}
	if position += len(page); !one.closed || position < one.trimmed+len(one.records) {
		out.NextShardIterator = aws.String(fmt.Sprintf("%s %s %d", parts[0], parts[1], position))
	}
	return out, nil
}

// box keeps discarded batches.
type box struct {
	mu   sync.Mutex
	got  []discarded
	fail error
}

func (b *box) Send(_ context.Context, d discarded) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail == nil {
		b.got = append(b.got, d)
	}
	return b.fail
}

func (b *box) batches() []discarded {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

// bench is a mapping with a stream in memory and a real function.
type bench struct {
	t         testing.TB
	stream    *memory
	failures  *box
	config    Config
	dir       string
	calls     string // file
	functions *lambda.Service
	function  *lambda.Function
	log       *buffer
	now       func() time.Time
	change    func(*mapping)

	mapping *mapping
	stop    context.CancelFunc
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newBench makes a mapping that is not started, with the defaults of Lambda.
func newBench(t testing.TB, change func(*Config)) *bench {
	t.Helper()
	b := &bench{
		t: t, stream: newMemory(), failures: &box{}, dir: t.TempDir(), calls: filepath.Join(t.TempDir(), "calls"), log: &buffer{}, now: time.Now,
		config: Config{ID: "Stream", UUID: "316aa6d0-8154-4a9b-9af7-85d5f4a6bc81", StreamARN: testStream, Start: "TRIM_HORIZON", BatchSize: 100, Retries: -1, MaxAge: -1, FunctionARN: testFunction},
	}
	if change != nil {
		change(&b.config)
	}
	group, err := process.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	b.functions = lambda.NewService(group, slog.New(slog.NewTextHandler(b.log, nil)))
	b.functions.Output = b.log
	t.Cleanup(func() {
		b.halt()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		b.functions.Close(ctx)
		if err := group.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("calls: %q\nlog:\n%s", b.invocations(), b.log)
		}
	})
	b.function, err = b.functions.Add(lambda.Config{
		Name: "consumer", ARN: testFunction, Region: "ap-northeast-2", Binary: program, Timeout: time.Minute, Env: map[string]string{"CALLS": b.calls}, Concurrency: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// start starts the mapping, as a new run of the laptop cloud does.
func (b *bench) start() {
	b.t.Helper()
	m, err := newMapping(b.config, b.stream, b.dir, slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		b.t.Fatal(err)
	}
	m.timing = timing{
		busyPoll: time.Millisecond, idlePoll: 5 * time.Millisecond, discovery: 20 * time.Millisecond, backlog: 64 << 20, grace: time.Minute,
		retryDelays: [2]time.Duration{time.Millisecond, 5 * time.Millisecond}, throttleDelays: [2]time.Duration{time.Millisecond, 5 * time.Millisecond},
		destinationPatience: time.Minute,
	}
	m.now = b.now
	m.failures = b.failures
	m.invoke = func(ctx context.Context, event []byte) ([]byte, string, error) {
		return b.function.Invoke(ctx, event, "")
	}
	if b.change != nil {
		b.change(m)
	}
	if err := m.open(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.run(ctx, func(err error) { b.t.Error(err) })
	b.mapping, b.stop = m, cancel
}

// halt stops the mapping.
func (b *bench) halt() {
	if b.mapping == nil {
		return
	}
	b.stop()
	b.mapping.wait()
	b.mapping.close()
	b.mapping = nil
}

// invocations are the numbers of the records of each invocation so far.
func (b *bench) invocations() []string {
	text, err := os.ReadFile(b.calls)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		b.t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// want waits until the invocations are these.
func (b *bench) want(invocations ...string) {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("the invocations %q", invocations), func() bool { return slices.Equal(b.invocations(), invocations) })
	b.settled()
	if got := b.invocations(); !slices.Equal(got, invocations) {
		b.t.Fatalf("invocations %q, want %q", got, invocations)
	}
}

// settled waits until every record is read and handled.
func (b *bench) settled() {
	b.t.Helper()
	eventually(b.t, "every record read and handled", func() bool {
		b.mapping.mu.Lock()
		defer b.mapping.mu.Unlock()
		return !slices.ContainsFunc(b.mapping.shards, func(s *shard) bool {
			return s.journal.waiting() > 0 || !s.ended.Load() && s.journal.at().Sequence < b.stream.last(s)
		})
	})
}

// last returns the sequence number of a shard's last record.
func (s *memory) last(of *shard) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.shards {
		if n := len(one.records); one.id == of.id && of.stream == s.arn && n > 0 {
			return *one.records[n-1].Dynamodb.SequenceNumber
		}
	}
	return ""
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func (b *bench) mappingLog() *slog.Logger { return slog.New(slog.NewTextHandler(b.log, nil)) }

// wantDiscarded checks the one batch that was discarded.
func wantDiscarded(t *testing.T, b *bench, reason string, tries, first, last int) {
	t.Helper()
	got := b.failures.batches()
	if len(got) != 1 {
		t.Fatalf("%d batches were discarded: %+v", len(got), got)
	}
	d := got[0]
	if d.reason != reason || d.tries != tries || d.entries[0].sequence != sequence(first) || d.entries[len(d.entries)-1].sequence != sequence(last) {
		t.Errorf("discarded by %s after %d tries: %s to %s", d.reason, d.tries, d.entries[0].sequence, d.entries[len(d.entries)-1].sequence)
	}
}

// shard returns the first shard that the mapping knows.
func (b *bench) shard() *shard {
	b.mapping.mu.Lock()
	defer b.mapping.mu.Unlock()
	return b.mapping.shards[0]
}
