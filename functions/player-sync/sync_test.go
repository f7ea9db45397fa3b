package main

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"plaudit/shared/audit"
)

// scores takes profiles.
type scores struct {
	applied []audit.Profile
	down    error
}

func (s *scores) ApplyProfile(_ context.Context, p audit.Profile) error {
	if s.down == nil {
		s.applied = append(s.applied, p)
	}
	return s.down
}

func record(t *testing.T, name, image string) (r events.DynamoDBEventRecord) {
	t.Helper()
	text := `{"eventName":"` + name + `","eventSource":"aws:dynamodb","dynamodb":{"SequenceNumber":"1","NewImage":` + image + `}}`
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestProfilesAreApplied(t *testing.T) {
	s := &scores{}
	for _, r := range []events.DynamoDBEventRecord{
		record(t, "INSERT", `{"id":{"S":"u"},"version":{"N":"1"},"display_name":{"S":"Kim"},"country":{"S":"KR"},"erased":{"BOOL":false},"traceparent":{"S":"t"}}`),
		record(t, "MODIFY", `{"id":{"S":"u"},"version":{"N":"2"},"erased":{"BOOL":true}}`),
	} {
		if err := (syncer{s}).handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.applied) != 2 {
		t.Fatalf("%d applied", len(s.applied))
	}
	if p := s.applied[0]; p.User != "u" || p.Version != 1 || *p.DisplayName != "Kim" || *p.Country != "KR" || p.Erased || p.TraceParent != "t" {
		t.Errorf("the first is %+v", p)
	}
	if p := s.applied[1]; p.Version != 2 || p.DisplayName != nil || p.Country != nil || !p.Erased {
		t.Errorf("the second is %+v", p)
	}
}

// What can never become a profile does not hold up its shard.
func TestARecordThatIsNoProfileIsSkipped(t *testing.T) {
	s := &scores{}
	for _, r := range []events.DynamoDBEventRecord{
		record(t, "INSERT", `{}`),
		record(t, "INSERT", `{"id":{"N":"1"},"version":{"N":"1"}}`),
		record(t, "INSERT", `{"id":{"S":"u"},"version":{"S":"1"}}`),
		record(t, "INSERT", `{"id":{"S":"u"},"version":{"N":"1.5"}}`),
		record(t, "REMOVE", `{"id":{"S":"u"},"version":{"N":"1"}}`),
	} {
		if err := (syncer{s}).handle(t.Context(), r); err != nil || len(s.applied) > 0 {
			t.Errorf("%v: %v", r.Change.NewImage, err)
		}
	}
}

func TestOnlyTheDatabaseFailsARecord(t *testing.T) {
	r := record(t, "INSERT", `{"id":{"S":"u"},"version":{"N":"1"}}`)
	s := &scores{down: errors.New("the database is down")}
	if err := (syncer{s}).handle(t.Context(), r); !errors.Is(err, s.down) {
		t.Errorf("%v", err)
	}
}
