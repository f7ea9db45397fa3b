package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// fakeBus is a laptop whose EventBridge is a function of the test.
type fakeBus struct {
	file    string // as `make run` writes run.json
	started map[string]any
	states  []string // of the replay, one for each look
	exists  bool     // the first StartReplay has its effect and answers as a second one
	rules   []string
}

func newBus(t *testing.T) *fakeBus {
	b := &fakeBus{file: filepath.Join(t.TempDir(), "run.json"), states: []string{"RUNNING", "COMPLETED"}, rules: []string{"plaudit-test-told", "plaudit-test-SecurityRule-ABC", "plaudit-test-LinksRule-DEF"}}
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := map[string]any{}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		status, out := b.answer(t, strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AWSEvents."), in)
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(out); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(endpoint.Close)
	text, err := json.Marshal(map[string]any{"aws": endpoint.URL, "region": "ap-northeast-2", "functions": map[string]string{"db-check": "plaudit-test-db-check"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *fakeBus) answer(t *testing.T, action string, in map[string]any) (int, any) {
	switch action {
	case "DescribeEventBus":
		if in["Name"] != "plaudit-test" {
			t.Errorf("bus %v", in)
		}
		return http.StatusOK, map[string]any{"Name": "plaudit-test", "Arn": "arn:bus"}
	case "ListArchives":
		if in["EventSourceArn"] != "arn:bus" {
			t.Errorf("archives %v", in)
		}
		return http.StatusOK, map[string]any{"Archives": []any{map[string]any{"ArchiveName": "log"}}}
	case "DescribeArchive":
		return http.StatusOK, map[string]any{"ArchiveName": in["ArchiveName"], "ArchiveArn": "arn:archive", "EventCount": 42}
	case "ListRules":
		var rules []any
		for _, name := range b.rules {
			rules = append(rules, map[string]any{"Name": name, "Arn": "arn:" + name})
		}
		return http.StatusOK, map[string]any{"Rules": rules}
	case "StartReplay":
		b.started = in
		if b.exists {
			return http.StatusBadRequest, map[string]any{"__type": "ResourceAlreadyExistsException", "message": "Replay exists"}
		}
		return http.StatusOK, map[string]any{"State": "STARTING"}
	case "DescribeReplay":
		out := map[string]any{
			"State": b.states[0], "StateReason": "because", "ReplayStartTime": time.Now().Unix(),
			"EventStartTime": b.started["EventStartTime"], "EventLastReplayedTime": 1775390400,
		}
		if len(b.states) > 1 {
			b.states = b.states[1:]
		}
		return http.StatusOK, out
	}
	t.Errorf("action %s", action)
	return http.StatusBadRequest, map[string]any{"__type": "ValidationException"}
}

func (b *fakeBus) run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	err = run(t.Context(), append([]string{"replay", "--run", b.file}, args...), nil, &out, &errs)
	return out.String(), errs.String(), err
}

func TestReplay(t *testing.T) {
	b := newBus(t)
	stdout, stderr, err := b.run(t, "--from", "2026-04-05T10:00:00Z")
	if err != nil {
		t.Fatal(err, stderr)
	}
	if !strings.Contains(stdout, "every rule of the bus plaudit-test") || !strings.HasSuffix(stdout, "the replay is complete\n") {
		t.Errorf("stdout %q", stdout)
	}
	if !strings.Contains(stderr, "archive log has 42 events") || !strings.Contains(stderr, "RUNNING: the events up to 2026-04-05T12:00:00Z are sent") || strings.Contains(stderr, "notify ignores") {
		t.Errorf("stderr %q", stderr)
	}
	name, _ := b.started["ReplayName"].(string)
	if !regexp.MustCompile(`^mail-\d{8}T\d{6}\.\d{3}Z$`).MatchString(name) || b.started["EventSourceArn"] != "arn:archive" || b.started["EventStartTime"] != 1775383200.0 ||
		!reflect.DeepEqual(b.started["Destination"], map[string]any{"Arn": "arn:bus"}) {
		t.Errorf("started %v", b.started)
	}
	if to, _ := b.started["EventEndTime"].(float64); time.Since(time.UnixMilli(int64(to*1000))) > time.Hour {
		t.Errorf("to %v", to)
	}
}

func TestReplayForARule(t *testing.T) {
	for given, want := range map[string]string{
		"told": "plaudit-test-told", "plaudit-test-told": "plaudit-test-told", "security": "plaudit-test-SecurityRule-ABC", "LinksRule": "plaudit-test-LinksRule-DEF",
	} {
		b := newBus(t)
		stdout, _, err := b.run(t, "--from", "2026-04-05T10:00:00Z", "--to", "2026-04-05T11:00:00Z", "--rule", given, "--name", "again")
		if err != nil || !strings.Contains(stdout, "the rule "+want) {
			t.Errorf("%s: %v, %s", given, err, stdout)
		}
		if got := b.started["Destination"].(map[string]any)["FilterArns"]; !reflect.DeepEqual(got, []any{"arn:" + want}) || b.started["ReplayName"] != "again" || b.started["EventEndTime"] != 1775386800.0 {
			t.Errorf("%s: started %v", given, b.started)
		}
	}
}

func TestReplayThatCannotBe(t *testing.T) {
	from := []string{"--from", "2026-04-05T10:00:00Z"}
	for _, c := range []struct {
		name, want string
		args       []string
		change     func(*fakeBus)
	}{
		{"an unknown rule", `no rule "tell"; its rules are plaudit-test-LinksRule-DEF, plaudit-test-SecurityRule-ABC, plaudit-test-told`, append(from, "--rule", "tell"), nil},
		{"a replay that fails", "it ended as FAILED: because", from, func(b *fakeBus) { b.states = []string{"FAILED"} }},
		{"a replay that somebody ends", "it ended as CANCELLED", from, func(b *fakeBus) { b.states = []string{"RUNNING", "CANCELLED"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBus(t)
			if c.change != nil {
				c.change(b)
			}
			if _, _, err := b.run(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	for _, args := range [][]string{{}, {"--from", "yesterday"}, {"--from", "2026-04-05T10:00:00Z", "--to", "2026-04-05T10:00:00Z"}, {"--from", "2999-01-01T00:00:00Z"}, append(from, "now")} {
		if _, _, err := newBus(t).run(t, args...); !errors.Is(err, errUsage) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// The SDK repeats a request whose answer it lost.
func TestReplayThatIsStartedTwice(t *testing.T) {
	b := newBus(t)
	b.exists = true
	if _, _, err := b.run(t, "--from", "2026-04-05T10:00:00Z"); err != nil {
		t.Error(err)
	}
}

func TestReplayWithAnotherNameWarns(t *testing.T) {
	if _, stderr, err := newBus(t).run(t, "--from", "2026-04-05T10:00:00Z", "--name", "test"); err != nil || !strings.Contains(stderr, "nobody gets a mail") {
		t.Errorf("%v, %q", err, stderr)
	}
}
