package eventbridge

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// withOther is oneQueue with another rule, to a queue of its own, for the same events,
// and with a rule for live events only.
const withOther = oneQueue + `
  Other: {Type: AWS::SQS::Queue, Properties: {QueueName: %T-other}}
  OtherPolicy: {Type: AWS::SQS::QueuePolicy, Properties: {Queues: [!Ref Other], PolicyDocument: {Statement: {Effect: Allow, Principal: "*", Action: sqs:SendMessage, Resource: "*"}}}}
  OtherRule: {Type: AWS::Events::Rule, Properties: {EventBusName: !Ref Bus, Name: other, EventPattern: {source: [s]}, Targets: [{Arn: !GetAtt Other.Arn, Id: q}]}}
`

const (
	busARN     = "arn:aws:events:ap-northeast-2:000000000000:event-bus/bus"
	toldARN    = "arn:aws:events:ap-northeast-2:000000000000:rule/bus/told"
	archiveARN = "arn:aws:events:ap-northeast-2:000000000000:archive/log"
)

// putAt puts an event with a time.
func (s *stack) putAt(at time.Time, detail string) {
	s.t.Helper()
	out, err := s.events.PutEvents(s.t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		EventBusName: aws.String("bus"), Source: aws.String("s"), DetailType: aws.String("t"), Detail: &detail, Time: &at,
	}}})
	if err != nil || out.FailedEntryCount != 0 {
		s.t.Fatal(out, err)
	}
}

// replay replays the archive, and returns the state in which that ends.
func (s *stack) replay(name string, from, to time.Time, rules ...string) *eventbridge.DescribeReplayOutput {
	s.t.Helper()
	if _, err := s.events.StartReplay(s.t.Context(), &eventbridge.StartReplayInput{
		ReplayName: &name, EventSourceArn: aws.String(archiveARN), EventStartTime: &from, EventEndTime: &to,
		Destination: &types.ReplayDestination{Arn: aws.String(busARN), FilterArns: rules},
	}); err != nil {
		s.t.Fatal(err)
	}
	return s.replayed(name)
}

func (s *stack) replayed(name string) (out *eventbridge.DescribeReplayOutput) {
	s.t.Helper()
	eventually(s.t, "the replay ends", func() bool {
		var err error
		if out, err = s.events.DescribeReplay(s.t.Context(), &eventbridge.DescribeReplayInput{ReplayName: &name}); err != nil {
			s.t.Fatal(err)
		}
		return out.ReplayEndTime != nil
	})
	return out
}

func TestAReplaySendsTheEventsOfATimeToARuleAgain(t *testing.T) {
	s := newStack(t, withOther)
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for i := range 5 {
		s.putAt(start.Add(time.Duration(i)*time.Hour), fmt.Sprintf(`{"notify":"u%d"}`, i))
	}
	for range 5 {
		s.receive("")
		s.receive("-other")
	}
	// Between the runs nothing is lost, even if the last line is only half there.
	s.stop()
	days, err := filepath.Glob(filepath.Join(s.service.archiveFolder("log"), "*.log"))
	if err != nil || len(days) != 1 {
		t.Fatal(days, err)
	}
	file, err := os.OpenFile(days[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"version":"0"`); err != nil {
		t.Fatal(err)
	}
	file.Close()
	s.start()
	s.putAt(start.Add(24*time.Hour), `{"notify":"later"}`)
	s.receive("")
	s.receive("-other")
	out := s.replay("mail-1", start.Add(time.Hour), start.Add(3*time.Hour), toldARN)
	if out.State != types.ReplayStateCompleted || !out.EventLastReplayedTime.Equal(start.Add(3*time.Hour)) || out.Destination.FilterArns[0] != toldARN {
		t.Errorf("%+v", out)
	}
	var got []string
	for range 3 {
		body, _ := s.receive("")
		event := decoded(t, body)["event"].(map[string]any)
		if event["replay-name"] != "mail-1" {
			t.Errorf("got %s", body)
		}
		got = append(got, fmt.Sprint(event["time"], " ", event["detail"].(map[string]any)["notify"]))
	}
	slices.Sort(got)
	if want := []string{"2026-11-01T13:00:00Z u1", "2026-11-01T14:00:00Z u2", "2026-11-01T15:00:00Z u3"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	s.delivered()
	if a, b := s.messages(""), s.messages("-other"); a != "0" || b != "0" {
		t.Errorf("%s more messages, and %s for another rule", a, b)
	}
	archive, err := s.events.DescribeArchive(t.Context(), &eventbridge.DescribeArchiveInput{ArchiveName: aws.String("log")})
	if err != nil || archive.EventCount != 6 || archive.RetentionDays == nil || *archive.RetentionDays != 3 || *archive.EventSourceArn != busARN {
		t.Errorf("%+v, %v: what is replayed is not archived again", archive, err)
	}
	list, err := s.events.ListReplays(t.Context(), &eventbridge.ListReplaysInput{NamePrefix: aws.String("mail-")})
	if err != nil || len(list.Replays) != 1 || list.Replays[0].State != types.ReplayStateCompleted {
		t.Errorf("%+v, %v", list, err)
	}
	// Every rule of the bus.
	s.replay("everything", start, start.Add(time.Second))
	if body, _ := s.receive("-other"); decoded(t, body)["replay-name"] != "everything" {
		t.Errorf("got %s", body)
	}
}

func TestWrongReplays(t *testing.T) {
	s := newStack(t, withOther)
	from, to := time.Now().Add(-time.Hour), time.Now()
	s.replay("twice", from, to)
	for _, c := range []struct {
		name, want string
		change     func(*eventbridge.StartReplayInput)
	}{
		{"a name that was used", "ResourceAlreadyExistsException", func(in *eventbridge.StartReplayInput) { in.ReplayName = aws.String("twice") }},
		{"a name with a space", "ValidationException", func(in *eventbridge.StartReplayInput) { in.ReplayName = aws.String("a b") }},
		{"an archive that does not exist", "ResourceNotFoundException", func(in *eventbridge.StartReplayInput) { in.EventSourceArn = aws.String(archiveARN + "2") }},
		{"another bus", "ValidationException", func(in *eventbridge.StartReplayInput) {
			in.Destination.Arn = aws.String("arn:aws:events:ap-northeast-2:000000000000:event-bus/default")
		}},
		{"a rule that does not exist", "ResourceNotFoundException", func(in *eventbridge.StartReplayInput) { in.Destination.FilterArns = []string{toldARN + "2"} }},
		{"an end before the start", "ValidationException", func(in *eventbridge.StartReplayInput) { in.EventEndTime = aws.Time(from.Add(-time.Second)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := &eventbridge.StartReplayInput{
				ReplayName: aws.String("new"), EventSourceArn: aws.String(archiveARN), EventStartTime: &from, EventEndTime: &to,
				Destination: &types.ReplayDestination{Arn: aws.String(busARN)},
			}
			c.change(in)
			if _, err := s.events.StartReplay(t.Context(), in); code(err) != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	if _, err := s.events.CancelReplay(t.Context(), &eventbridge.CancelReplayInput{ReplayName: aws.String("twice")}); code(err) != "IllegalStatusException" {
		t.Error(err)
	}
}

func TestAReplayThatTheEndInterruptsHasFailed(t *testing.T) {
	s := newStack(t, withOther)
	s.deliverer.Stop()
	s.service.replays.all = append(s.service.replays.all, &replay{Name: "half", Archive: "log", Bus: "bus", State: running, From: time.Now(), To: time.Now(), Began: time.Now()})
	s.service.replays.mu.Lock()
	if err := s.service.replays.save(); err != nil {
		t.Fatal(err)
	}
	s.service.replays.mu.Unlock()
	s.service.Stop()
	s.engine.Stop()
	s.start()
	if out := s.replayed("half"); out.State != types.ReplayStateFailed || !strings.Contains(*out.StateReason, "ended") {
		t.Errorf("%+v", out)
	}
}

func TestAnArchiveForgetsWhatIsTooOld(t *testing.T) {
	s := newStack(t, oneQueue)
	s.stop()
	now := time.Now().UTC()
	for _, days := range []int{3, 4, 5} {
		day := now.AddDate(0, 0, -days).Format(dayForm)
		if err := os.WriteFile(s.service.archives[0].path(day), []byte("{}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(s.service.archiveFolder("former"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.start()
	// An event may have been received at the end of its day.
	if days, err := s.service.archives[0].files(); err != nil || !slices.Equal(days, []string{now.AddDate(0, 0, -3).Format(dayForm)}) && len(days) != 2 {
		t.Errorf("%v, %v", days, err)
	}
	if !strings.Contains(s.said.String(), "the template has no archive former") {
		t.Errorf("said %q", s.said)
	}
}
