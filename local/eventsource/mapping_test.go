package eventsource

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
)

// The rules are those of
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html and the pages that
// follow it. The function is a real process.

func TestRecordsArriveInOrderAndInBatches(t *testing.T) {
	b := newBench(t, func(c *Config) { c.BatchSize = 3 })
	b.stream.put("shard-0", make([]string, 7)...)
	b.start()
	b.want("1 2 3", "4 5 6", "7")
}

func TestTrimHorizonBeginsWithTheOldestRecord(t *testing.T) {
	b := newBench(t, nil)
	b.stream.put("shard-0", "", "")
	b.start()
	b.want("1 2")
}

func TestLatestBeginsWithTheNextRecord(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Start = "LATEST" })
	b.stream.put("shard-0", "", "")
	b.start()
	b.stream.put("shard-0", "")
	b.want("3")
}

func TestLatestLeavesOutClosedShardsAndReadsLaterOnesFromTheBeginning(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Start = "LATEST" })
	b.stream.put("shard-0", "")
	b.stream.split("shard-0", "shard-1")
	b.stream.put("shard-1", "")
	b.start()
	b.stream.put("shard-1", "")
	b.want("3")
	b.stream.split("shard-1", "shard-2")
	b.stream.put("shard-2", "")
	b.want("3", "4")
}

func TestLatestCountsForTheFirstStartOnly(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Start = "LATEST" })
	b.start()
	b.halt()
	b.stream.put("shard-0", "")
	b.start()
	b.want("1")
}

func TestLatestCountsForRecordsThatTheSecondStartFinds(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Start = "LATEST" })
	b.stream.put("shard-0", "", "")
	b.start()
	b.halt() // nothing was read
	b.stream.put("shard-0", "")
	b.start()
	b.want("3")
}

func TestLatestIsNoBeginningForADrain(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Start = "LATEST" })
	b.stream.put("shard-0", "", "")
	b.start()
	b.halt()
	b.stream.put("shard-0", "")
	if err := drain(t.Context(), b.stream, b.dir, []Config{b.config}, b.mappingLog(), silent); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.want("3")
}

func TestLatestIsWhereAMappingIsEnabledForTheFirstTime(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Start = "LATEST"; c.Disabled = true })
	b.stream.put("shard-0", "")
	if err := drain(t.Context(), b.stream, b.dir, []Config{b.config}, b.mappingLog(), silent); err != nil {
		t.Fatal(err)
	}
	b.stream.put("shard-0", "")
	b.config.Disabled = false
	b.start()
	b.stream.put("shard-0", "")
	b.want("3")
}

func TestLatestIsNoEndOfTheNextEngine(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Start = "LATEST" })
	b.stream.put("shard-0", "", "")
	b.start()
	b.stream.set(errors.New("connection refused"))
	b.stream.failed(t)
	b.stream.restart()
	b.stream.put("shard-0", "")
	b.stream.set(nil)
	b.want("3")
}

// The first start ended after it had made a journal, and before the file started.
func TestLatestAfterAStartThatEndedInTheMiddle(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Start = "LATEST" })
	b.stream.put("shard-0", "", "")
	m, err := newMapping(b.config, b.stream, b.dir, b.mappingLog())
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.openShard(testStream, "shard-0")
	if err != nil {
		t.Fatal(err)
	}
	s.journal.close()
	b.start()
	b.stream.put("shard-0", "")
	b.want("3")
}

func TestAParentShardComesBeforeItsChildren(t *testing.T) {
	b := newBench(t, func(c *Config) { c.BatchSize = 1 })
	release := filepath.Join(t.TempDir(), "released")
	b.stream.put("shard-0", "hold:"+release, "")
	b.stream.split("shard-0", "shard-1")
	b.stream.put("shard-1", "")
	b.stream.split("shard-1", "shard-2")
	b.stream.put("shard-2", "")
	b.start()
	eventually(t, "the children are in journals", func() bool {
		b.mapping.mu.Lock()
		defer b.mapping.mu.Unlock()
		return len(b.mapping.shards) == 3 && !slices.ContainsFunc(b.mapping.shards, func(s *shard) bool { return s.journal.waiting() == 0 })
	})
	touch(t, release)
	b.want("1", "2", "3", "4")
}

func TestAParentShardComesFirstAfterARestart(t *testing.T) {
	b := newBench(t, func(c *Config) { c.BatchSize = 1 })
	b.stream.put("shard-0", "fail-once", "")
	b.stream.split("shard-0", "shard-1")
	b.stream.put("shard-1", "")
	b.change = func(m *mapping) { m.retryDelays = [2]time.Duration{time.Hour, time.Hour} }
	b.start()
	eventually(t, "the first failure and a full journal", func() bool {
		b.mapping.mu.Lock()
		defer b.mapping.mu.Unlock()
		return len(b.invocations()) == 1 && len(b.mapping.shards) == 2 && b.mapping.shards[1].journal.waiting() > 0
	})
	b.halt()
	b.change = nil
	b.start()
	b.want("1", "1", "2", "3")
}

func TestOneBatchOfAShardRunsAtATime(t *testing.T) {
	b := newBench(t, func(c *Config) { c.BatchSize = 1 })
	release := filepath.Join(t.TempDir(), "released")
	b.stream.put("shard-0", "hold:"+release, "", "")
	b.start()
	eventually(t, "the first invocation", func() bool { return len(b.invocations()) == 1 })
	eventually(t, "every record in the journal", func() bool { return b.shard().journal.at().Sequence == sequence(3) })
	if got := b.invocations(); len(got) != 1 {
		t.Errorf("invocations %q while the first one runs", got)
	}
	touch(t, release)
	b.want("1", "2", "3")
}

func TestShardsWithoutRelationRunSideBySide(t *testing.T) {
	b := newBench(t, nil)
	release := filepath.Join(t.TempDir(), "released")
	b.stream.shards = append(b.stream.shards, &memoryShard{id: "shard-1"})
	b.stream.put("shard-0", "hold:"+release)
	b.stream.put("shard-1", "")
	b.start()
	eventually(t, "both invocations", func() bool { return len(b.invocations()) == 2 })
	touch(t, release)
	b.settled()
}

func TestTheWindowGathersABatch(t *testing.T) {
	b := newBench(t, func(c *Config) { c.BatchSize = 3; c.Window = time.Hour })
	b.start()
	b.stream.put("shard-0", "")
	eventually(t, "the first record in the journal", func() bool { return b.shard().journal.at().Sequence == sequence(1) })
	b.stream.put("shard-0", "", "")
	b.want("1 2 3")
}

func TestTheWindowEndsABatch(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Window = 50 * time.Millisecond })
	b.start()
	b.stream.put("shard-0", "", "")
	b.settled()
	if got := strings.Join(b.invocations(), " "); got != "1 2" {
		t.Errorf("invocations with %s", got)
	}
}

func TestABatchEndsBeforeThePayloadLimit(t *testing.T) {
	b := newBench(t, nil)
	big := "big:" + strings.Repeat("x", 350<<10)
	b.stream.put("shard-0", slices.Repeat([]string{big}, 20)...)
	b.start()
	b.settled()
	if got := b.invocations(); len(got) != 2 || strings.Join(got, " ") != "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20" {
		t.Errorf("invocations %q", got)
	}
}

// The window gathers records that come one at a time.
func TestAWindowEndsBeforeThePayloadLimit(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Window = time.Hour })
	b.start()
	big := "big:" + strings.Repeat("x", 350<<10)
	for n := 1; n <= 20; n++ {
		b.stream.put("shard-0", big)
		eventually(t, "the record in the journal", func() bool { return b.shard().journal.at().Sequence == sequence(n) })
	}
	numbers := func() []string { return strings.Fields(strings.Join(b.invocations(), " ")) }
	eventually(t, "an invocation", func() bool { return len(numbers()) > 0 })
	if got := numbers(); len(got) < 15 || len(got) > 19 {
		t.Errorf("an invocation with %d records of 350 KiB", len(got))
	}
}

func TestFiltersLeaveOutRecords(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Filters = []string{`{"dynamodb":{"NewImage":{"do":{"S":["a"]}}}}`, `{"eventName":["INSERT"],"dynamodb":{"NewImage":{"n":{"S":["4"]}}}}`}
	})
	b.stream.put("shard-0", "a", "b", "a", "b", "b")
	b.start()
	b.want("1 3 4")
	// What was left out is not read again.
	b.halt()
	b.start()
	b.stream.put("shard-0", "a")
	b.want("1 3 4", "6")
}

// Records wait in the journal while the template changes.
func TestAChangedFilterAppliesToRecordsThatWait(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Filters = []string{`{"dynamodb":{"NewImage":{"do":{"S":["a"]}}}}`}
	})
	b.start()
	b.halt()
	b.stream.put("shard-0", "a", "b", "c", "b")
	if err := drain(t.Context(), b.stream, b.dir, []Config{b.config}, b.mappingLog(), silent); err != nil {
		t.Fatal(err)
	}
	b.stream.restart()
	b.config.Filters = []string{`{"dynamodb":{"NewImage":{"do":{"S":["b"]}}}}`}
	b.start()
	b.want("2 4")
}

func TestABatchOfRecordsThatAFilterLeavesOutEndsNothing(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.BatchSize = 2
		c.Filters = []string{`{"dynamodb":{"NewImage":{"do":{"S":["a"]}}}}`}
	})
	b.stream.put("shard-0", "b", "b", "b", "a", "b", "a", "b")
	b.stream.split("shard-0", "shard-1")
	b.stream.put("shard-1", "b", "a")
	b.start()
	b.want("4 6", "9")
}

func TestTheFunctionGetsTheRecordAsLambdaSendsIt(t *testing.T) {
	r := record(1, "<&>", time.Unix(1700000000, 0))
	data, err := Record(testStream, r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Records":[{"eventID":"event-1","eventName":"INSERT","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"ap-northeast-2",` +
		`"dynamodb":{"ApproximateCreationDateTime":1700000000,"Keys":{"id":{"S":"id-1"}},"NewImage":{"do":{"S":"<&>"},"id":{"S":"id-1"},"n":{"S":"1"}},` +
		`"SequenceNumber":"00000000000000001001","SizeBytes":20,"StreamViewType":"NEW_IMAGE"},"eventSourceARN":"` + testStream + `"}]}`
	if got := string(Event(data)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var event events.DynamoDBEvent
	if err := json.Unmarshal([]byte(want), &event); err != nil || event.Records[0].Change.NewImage["do"].String() != "<&>" {
		t.Errorf("%v, %v", event, err)
	}
}

func TestAFailureIsRetriedWithTheWholeBatch(t *testing.T) {
	b := newBench(t, nil)
	b.stream.put("shard-0", "", "fail-once")
	b.start()
	b.want("1 2", "1 2")
}

func TestACrashIsRetried(t *testing.T) {
	b := newBench(t, nil)
	b.stream.put("shard-0", "exit-once")
	b.start()
	b.want("1", "1")
}

func TestRetriesAreLimited(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Retries = 2; c.BatchSize = 2 })
	b.stream.put("shard-0", "fail", "", "")
	b.start()
	b.want("1 2", "1 2", "1 2", "3")
	wantDiscarded(t, b, retriesExhausted, 3, 1, 2)
}

func TestNoRetryAtAll(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Retries = 0 })
	b.stream.put("shard-0", "fail")
	b.start()
	b.want("1")
	wantDiscarded(t, b, retriesExhausted, 1, 1, 1)
}

func TestEndlessRetries(t *testing.T) {
	b := newBench(t, nil)
	b.stream.put("shard-0", "fail")
	b.start()
	eventually(t, "twenty tries", func() bool { return len(b.invocations()) >= 20 })
	if got := b.failures.batches(); len(got) > 0 {
		t.Errorf("discarded %v", got)
	}
}

func TestEndlessRetriesEndWithTheRecord(t *testing.T) {
	b := newBench(t, nil)
	var mu sync.Mutex
	now := time.Now()
	b.now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	b.stream.put("shard-0", "fail")
	b.start()
	eventually(t, "a try", func() bool { return len(b.invocations()) > 0 })
	mu.Lock()
	now = now.Add(retention + time.Minute)
	mu.Unlock()
	b.settled()
	if got := b.failures.batches(); len(got) != 1 || got[0].reason != recordTooOld {
		t.Errorf("discarded %v", got)
	}
}

func TestBisectIsolatesTheBadRecord(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Bisect = true; c.Retries = 1 })
	b.stream.put("shard-0", "", "", "fail", "", "")
	b.start()
	// Dividing counts as no retry.
	b.want("1 2 3 4 5", "1 2", "3 4 5", "3", "3", "4 5")
	wantDiscarded(t, b, retriesExhausted, 2, 3, 3)
}

func TestReportedFailuresRunAgainFromTheLowest(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Partial = true })
	// The function reports them highest first.
	b.stream.put("shard-0", "", "report-once", "", "report-once", "")
	b.start()
	b.want("1 2 3 4 5", "2 3 4 5")
}

func TestReportedFailuresCountOnlyIfTheMappingSaysSo(t *testing.T) {
	b := newBench(t, nil)
	b.stream.put("shard-0", "report", "")
	b.start()
	b.want("1 2")
}

func TestReportedFailuresAndRetries(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Partial = true; c.Retries = 1 })
	b.stream.put("shard-0", "", "report", "")
	b.start()
	// Without bisect what follows the bad record is lost with it.
	b.want("1 2 3", "2 3")
	wantDiscarded(t, b, retriesExhausted, 2, 2, 3)
}

func TestReportedFailuresAndBisect(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Partial = true; c.Bisect = true; c.Retries = 1 })
	b.stream.put("shard-0", "", "report", "", "")
	b.start()
	// The batch is divided at the record that was reported.
	b.want("1 2 3 4", "2 3 4", "2", "2", "3 4")
	wantDiscarded(t, b, retriesExhausted, 2, 2, 2)
}

func TestAnswersThatMeanSuccess(t *testing.T) {
	for _, answer := range []string{`{"batchItemFailures":[]}`, `{"batchItemFailures":null}`, `{"batchItemFailures":[],"other":1}`, `{}`, `null`} {
		t.Run(answer, func(t *testing.T) {
			b := newBench(t, func(c *Config) { c.Partial = true })
			b.stream.put("shard-0", "", "answer:"+answer)
			b.start()
			b.want("1 2")
		})
	}
}

func TestAnswersThatMeanFailureOfTheWholeBatch(t *testing.T) {
	for _, answer := range []string{
		`{"batchItemFailures":[{"itemIdentifier":""}]}`, `{"batchItemFailures":[{"itemIdentifier":null}]}`, `{"batchItemFailures":[{"item":"1"}]}`,
		`{"batchItemFailures":[{"itemIdentifier":"event-2"}]}`, `{"batchItemFailures":"x"}`, `"x"`,
		`{"batchItemFailures":[{"itemIdentifier":"00000000000000001002"},{"itemIdentifier":"unknown"}]}`, `{"batchItemFailures":[null]}`,
		`{"BatchItemFailures":[{"itemIdentifier":"00000000000000001002"}]}`, `{"BatchItemFailures":[]}`, `{"batchItemFailures":[{"ItemIdentifier":"00000000000000001002"}]}`,
	} {
		t.Run(answer, func(t *testing.T) {
			b := newBench(t, func(c *Config) { c.Partial = true })
			b.stream.put("shard-0", "", "answer-once:"+answer)
			b.start()
			b.want("1 2", "1 2")
		})
	}
}

func TestAThrottledInvocationIsNoRetry(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Retries = 0 })
	release := filepath.Join(t.TempDir(), "released")
	b.stream.shards = []*memoryShard{{id: "shard-0"}, {id: "shard-1"}, {id: "shard-2"}}
	b.stream.put("shard-0", "hold:"+release)
	b.stream.put("shard-1", "hold:"+release)
	b.start()
	eventually(t, "two invocations, which are all that may run", func() bool { return len(b.invocations()) == 2 })
	b.stream.put("shard-2", "")
	eventually(t, "a throttled invocation", func() bool { return strings.Contains(b.log.String(), "throttled") })
	touch(t, release)
	eventually(t, "the third invocation", func() bool { return len(b.invocations()) == 3 })
	b.settled()
	if got := b.failures.batches(); len(got) > 0 {
		t.Errorf("discarded %v", got)
	}
}

func TestRecordsThatAreTooOldAreDiscarded(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxAge = time.Minute })
	var mu sync.Mutex
	now := time.Now()
	b.now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	b.stream.put("shard-0", "fail", "")
	b.start()
	eventually(t, "a try", func() bool { return len(b.invocations()) > 0 })
	mu.Lock()
	now = now.Add(2 * time.Minute)
	mu.Unlock()
	b.settled()
	got := b.failures.batches()
	if len(got) != 1 || got[0].reason != recordTooOld || len(got[0].entries) != 2 || got[0].tries == 0 {
		t.Errorf("discarded %+v", got)
	}
}

func TestAgeStandsStillWhileTheLaptopIsOff(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxAge = time.Minute })
	b.stream.shards[0].records = append(b.stream.shards[0].records, record(1, "", time.Now().Add(-time.Hour)))
	b.start()
	b.want("1")
}

func TestADestinationThatFailsForAWhileGetsTheBatch(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Retries = 0 })
	b.failures.fail = errors.New("down")
	b.stream.put("shard-0", "fail")
	b.start()
	eventually(t, "the failure", func() bool { return len(b.invocations()) == 1 })
	b.failures.mu.Lock()
	b.failures.fail = nil
	b.failures.mu.Unlock()
	b.want("1")
	wantDiscarded(t, b, retriesExhausted, 1, 1, 1)
}

func TestADestinationThatTakesNothingLosesTheBatchAndBlocksNobody(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Retries = 0; c.BatchSize = 1 })
	b.failures.fail = errors.New("no such bucket")
	b.change = func(m *mapping) { m.destinationPatience = 0 }
	b.stream.put("shard-0", "fail", "")
	b.start()
	b.want("1", "2")
	if !strings.Contains(b.log.String(), "are lost") {
		t.Error("the log does not say so")
	}
}

func TestWithoutADestinationTheLogSaysWhatIsDropped(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Retries = 0 })
	b.change = func(m *mapping) { m.failures = nil }
	b.stream.put("shard-0", "fail")
	b.start()
	b.want("1")
	if !strings.Contains(b.log.String(), sequence(1)) {
		t.Error("the log does not name the record")
	}
}

func TestTheDocumentOfADiscardedBatch(t *testing.T) {
	at := time.Date(2026, 11, 28, 1, 2, 3, 456e6, time.UTC)
	data, err := Record(testStream, record(1, "x", at))
	if err != nil {
		t.Fatal(err)
	}
	d := discarded{
		reason: retriesExhausted, tries: 3, invoked: true, failed: true, shard: "shard-0", stream: testStream, function: testFunction,
		mappingID: "316aa6d0-8154-4a9b-9af7-85d5f4a6bc81", at: at, invocation: "an id", entries: []entry{{sequence: sequence(1), arrived: at, record: data}},
	}
	whole, err := d.document(true)
	if err != nil {
		t.Fatal(err)
	}
	short, err := d.document(false)
	if err != nil {
		t.Fatal(err)
	}
	start := `{"requestContext":{"requestId":"an id","functionArn":"` + testFunction + `","condition":"RetryAttemptsExhausted","approximateInvokeCount":3},` +
		`"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"version":"1.0","timestamp":"2026-11-28T01:02:03.456Z",` +
		`"DDBStreamBatchInfo":{"shardId":"shard-0","startSequenceNumber":"00000000000000001001","endSequenceNumber":"00000000000000001001",` +
		`"approximateArrivalOfFirstRecord":"2026-11-28T01:02:03Z","approximateArrivalOfLastRecord":"2026-11-28T01:02:03Z","batchSize":1,"streamArn":"` + testStream + `"}`
	if got := string(short); got != start+"}" {
		t.Errorf("without the event: %s\nwant %s}", got, start)
	}
	var full struct{ Payload string }
	if err := json.Unmarshal(whole, &full); err != nil || full.Payload != string(Event(data)) || !strings.HasPrefix(string(whole), start+`,"payload":"`) {
		t.Errorf("with the event: %v, %s", err, whole)
	}
	key := regexp.MustCompile(`^aws/lambda/316aa6d0-8154-4a9b-9af7-85d5f4a6bc81/shard-0/2026/11/28/2026-11-28T01\.02\.03-[0-9a-f-]{36}$`)
	if !key.MatchString(d.key()) {
		t.Errorf("key %s", d.key())
	}
	d.invoked, d.failed, d.tries, d.reason = false, false, 0, recordTooOld
	if data, _ := d.document(false); strings.Contains(string(data), "responseContext") || !strings.Contains(string(data), "RecordAgeExceeded") {
		t.Errorf("never invoked: %s", data)
	}
}

// Stops and restarts.

func TestAStopLeavesUnhandledRecordsInTheJournal(t *testing.T) {
	b := newBench(t, nil)
	b.change = func(m *mapping) { m.retryDelays = [2]time.Duration{time.Hour, time.Hour} }
	b.stream.put("shard-0", "fail-once", "")
	b.start()
	eventually(t, "the failure", func() bool { return len(b.invocations()) == 1 })
	b.halt()
	b.stream.restart()
	b.change = nil
	b.start()
	b.stream.put("shard-0", "")
	eventually(t, "all of them", func() bool { return strings.HasPrefix(strings.Join(b.invocations(), "|"), "1 2|1 2") && b.lastIs("3") })
}

func (b *bench) lastIs(number string) bool {
	all := strings.Fields(strings.Join(b.invocations(), " "))
	return len(all) > 0 && all[len(all)-1] == number
}

func TestAHandledRecordDoesNotComeAgain(t *testing.T) {
	b := newBench(t, nil)
	b.stream.put("shard-0", "", "")
	b.start()
	b.want("1 2")
	for range 3 {
		b.halt()
		b.start()
	}
	b.stream.put("shard-0", "")
	b.want("1 2", "3")
}

func TestAnInvocationThatRunsAtTheStopMayEnd(t *testing.T) {
	b := newBench(t, nil)
	release := filepath.Join(t.TempDir(), "released")
	b.stream.put("shard-0", "hold:"+release)
	b.start()
	eventually(t, "the invocation", func() bool { return len(b.invocations()) == 1 })
	b.stop()
	touch(t, release)
	b.halt()
	b.start()
	b.stream.put("shard-0", "")
	b.want("1", "2")
}

func TestAnInvocationThatOutlastsTheGraceComesAgain(t *testing.T) {
	b := newBench(t, nil)
	release := filepath.Join(t.TempDir(), "released")
	b.change = func(m *mapping) { m.grace = time.Millisecond }
	b.stream.put("shard-0", "hold-once:"+release)
	b.start()
	eventually(t, "the invocation", func() bool { return len(b.invocations()) == 1 })
	b.halt()
	touch(t, release)
	b.start()
	b.want("1", "1")
}

func TestAPositionThatTheStreamHasNoMoreIsItsBeginning(t *testing.T) {
	b := newBench(t, nil)
	b.stream.put("shard-0", "")
	b.start()
	b.want("1")
	b.halt()
	b.stream.trim()
	b.stream.put("shard-0", "", "")
	b.start()
	b.want("1", "2 3")
}

func TestAnEngineThatIsReplacedBetweenRuns(t *testing.T) {
	b := newBench(t, nil)
	b.stream.put("shard-0", "", "")
	b.start()
	b.want("1 2")
	b.halt()
	b.stream.restart()
	b.stream.put("shard-0", "", "", "")
	b.start()
	b.want("1 2", "3 4 5")
}

// The iterator's position is one behind records of the new process.
func TestAnEngineThatIsReplacedUnderARunningMapping(t *testing.T) {
	b := newBench(t, nil)
	b.stream.put("shard-0", "", "", "")
	b.start()
	b.want("1 2 3")
	b.stream.set(errors.New("connection refused"))
	b.stream.failed(t)
	b.stream.restart()
	b.stream.put("shard-0", slices.Repeat([]string{""}, 6)...)
	b.stream.set(nil)
	b.want("1 2 3", "4 5 6 7 8 9")
}

func TestAnEngineThatIsReplacedWhileAFullJournalIsNotRead(t *testing.T) {
	b := newBench(t, nil)
	release := filepath.Join(t.TempDir(), "released")
	b.change = func(m *mapping) { m.backlog = 1 }
	b.stream.put("shard-0", "hold:"+release)
	b.start()
	eventually(t, "the invocation", func() bool { return len(b.invocations()) == 1 })
	b.stream.restart()
	b.stream.put("shard-0", "", "")
	touch(t, release)
	b.want("1", "2 3")
}

// A drain reads the stream with new iterators.
func TestAnEngineThatIsReplacedBeforeADrain(t *testing.T) {
	b := newBench(t, nil)
	b.stream.put("shard-0", "", "", "")
	b.start()
	b.want("1 2 3")
	b.halt()
	b.stream.restart()
	b.stream.put("shard-0", "", "")
	if err := drain(t.Context(), b.stream, b.dir, []Config{b.config}, b.mappingLog(), silent); err != nil {
		t.Fatal(err)
	}
	b.stream.restart()
	b.start()
	b.want("1 2 3", "4 5")
}

func TestAnIteratorThatTheStreamTrimsIsReplaced(t *testing.T) {
	b := newBench(t, nil)
	b.stream.put("shard-0", "")
	b.start()
	b.want("1")
	b.stream.set(errors.New("the engine is away"))
	b.stream.put("shard-0", "lost")
	b.stream.trim()
	b.stream.put("shard-0", "")
	b.stream.set(nil)
	b.want("1", "3")
}

func TestATableThatIsMadeAgain(t *testing.T) {
	b := newBench(t, nil)
	b.stream.put("shard-0", "")
	b.start()
	b.want("1")
	b.stream.again(strings.Replace(testStream, "2026", "2027", 1))
	b.stream.put("shard-0", "")
	b.want("1", "2")
	b.halt()
	b.start()
	b.stream.put("shard-0", "")
	b.want("1", "2", "3")
}

// Somebody used another engine for a while, whose table is younger, and of neither table
// all records were handled.
func TestATableThatIsTheOldOneAgain(t *testing.T) {
	b := newBench(t, nil)
	b.change = func(m *mapping) { m.grace = time.Millisecond }
	release := filepath.Join(t.TempDir(), "released")
	b.stream.put("shard-0", "hold:"+release)
	b.start()
	eventually(t, "the invocation", func() bool { return len(b.invocations()) == 1 })
	b.stream.again(strings.Replace(testStream, "2026", "2027", 1))
	b.stream.put("shard-0", "")
	eventually(t, "the journal", func() bool {
		found, _ := filepath.Glob(filepath.Join(b.mapping.dir, "*2027*", "*", "position"))
		return len(found) == 1
	})
	b.halt()
	touch(t, release)
	b.stream.again(testStream)
	b.stream.put("shard-0", "")
	b.start()
	b.want("1", "2", "1 3")
}

func TestADrainPutsWhatTheStreamHasIntoTheJournal(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.BatchSize = 2000
		c.Filters = []string{`{"dynamodb":{"NewImage":{"do":{"S":["a"]}}}}`}
	})
	b.start()
	b.halt()
	b.stream.put("shard-0", slices.Repeat([]string{"a", "b"}, 1250)...)
	b.stream.split("shard-0", "shard-1", "shard-2")
	b.stream.put("shard-1", "a")
	b.stream.put("shard-2", "a")
	if err := drain(t.Context(), b.stream, b.dir, []Config{b.config}, b.mappingLog(), silent); err != nil {
		t.Fatal(err)
	}
	b.stream.restart()
	b.start()
	eventually(t, "all of them", func() bool { return len(strings.Fields(strings.Join(b.invocations(), " "))) == 1252 })
	b.settled()
	if got := b.invocations()[0]; !strings.HasPrefix(got, "1 3 5 7 9 ") || !strings.HasSuffix(got, " 2497 2499") {
		t.Errorf("the parent's batch is %s", got)
	}
}

func TestADrainSaysIfTheStreamIsGone(t *testing.T) {
	b := newBench(t, nil)
	b.stream.set(errors.New("the engine is away"))
	if err := drain(t.Context(), b.stream, b.dir, []Config{b.config}, b.mappingLog(), silent); err == nil || !strings.Contains(err.Error(), "the engine is away") {
		t.Errorf("got %v", err)
	}
}

// Time passes in the bubble once every goroutine waits, so a second is 200 looks of
// the reader.
func TestABacklogStopsReadingAndNotTheStream(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		stream := newMemory()
		m, err := newMapping(Config{ID: "Stream", StreamARN: testStream, Start: "TRIM_HORIZON", BatchSize: 1000, Retries: -1, MaxAge: -1}, stream, dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		m.busyPoll, m.idlePoll, m.backlog = time.Millisecond, 5*time.Millisecond, 1
		release := make(chan struct{})
		var events []string
		m.invoke = func(_ context.Context, event []byte) ([]byte, string, error) {
			events = append(events, string(event))
			<-release
			return nil, "", nil
		}
		stream.put("shard-0", "")
		if err := m.open(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer func() {
			cancel()
			m.wait()
			m.close()
		}()
		m.run(ctx, func(err error) { t.Error(err) })
		time.Sleep(time.Second)
		stream.put("shard-0", "", "")
		time.Sleep(time.Second)
		if got := m.shards[0].journal.at().Sequence; got != sequence(1) {
			t.Errorf("read up to %s", got)
		}
		close(release)
		time.Sleep(time.Second)
		if got := m.shards[0].journal.at().Sequence; got != sequence(3) || len(events) != 2 || m.shards[0].journal.waiting() > 0 {
			t.Errorf("read up to %s, %d invocations", got, len(events))
		}
	})
}

func silent(string) {}

// slow is a stream each of whose pages takes some seconds.
type slow struct{ *memory }

func (s slow) GetRecords(ctx context.Context, in *dynamodbstreams.GetRecordsInput, o ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetRecordsOutput, error) {
	time.Sleep(4 * time.Second)
	return s.memory.GetRecords(ctx, in, o...)
}

func TestALongDrainShowsItsProgress(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		stream := slow{newMemory()}
		stream.put("shard-0", make([]string, 2500)...)
		var said []string
		config := Config{ID: "Stream", StreamARN: testStream, Start: "TRIM_HORIZON", BatchSize: 100}
		if err := drain(t.Context(), stream, dir, []Config{config}, slog.New(slog.DiscardHandler), func(text string) { said = append(said, text) }); err != nil {
			t.Fatal(err)
		}
		// Pages end after 4, 8, 12, 16 and 20 seconds.
		want := []string{"1000", "2000", "2500"}
		for i, n := range want {
			if len(said) < len(want) || !strings.Contains(said[i], n+" records so far") {
				t.Fatalf("said %q", said)
			}
		}
	})
}

func touch(t testing.TB, file string) {
	t.Helper()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
