package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeStack is a laptop's stack whose db-check is a function of the test.
type fakeStack struct {
	file     string // as `make run` writes run.json
	requests []map[string]any
}

func newStack(t *testing.T, check func(request map[string]any) (string, error)) *fakeStack {
	s := &fakeStack{file: filepath.Join(t.TempDir(), "run.json")}
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/2015-03-31/functions/plaudit-test-db-check/invocations" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		request := map[string]any{}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		s.requests = append(s.requests, request)
		answer, err := check(request)
		if err != nil {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			text, _ := json.Marshal(map[string]string{"errorMessage": err.Error()})
			answer = string(text)
		}
		io.WriteString(w, answer)
	}))
	t.Cleanup(endpoint.Close)
	text, err := json.Marshal(map[string]any{"aws": endpoint.URL, "region": "ap-northeast-2", "functions": map[string]string{"db-check": "plaudit-test-db-check"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// places returns the places of the requests.
func (s *fakeStack) places() (places []any) {
	for _, r := range s.requests {
		places = append(places, r["place"])
	}
	return places
}

func TestAuditCheck(t *testing.T) {
	lost := errors.New("the database cannot be reached")
	stack := newStack(t, nil)
	for _, c := range []struct {
		name    string
		answers []any // a JSON text or an error
		out     string
		err     string // part of the error; empty for none
		places  []any
	}{
		{"a complete log, in pieces and with an outage", []any{
			`{"place": {"n": 1}, "rows": 5, "findings": [], "more": 0, "step": "rows of /plaudit/users", "position": "7"}`, lost,
			`{"place": null, "rows": 2, "waiting": 1, "events": 7, "findings": [], "more": 0}`,
		}, "the audit log is complete: 7 rows, 0 older entries and 7 events match\n", "", []any{nil, map[string]any{"n": 1.0}, map[string]any{"n": 1.0}}},
		{"findings", []any{
			`{"place": 1, "findings": ["a: the log does not have it"], "more": 0, "restore": true}`,
			`{"place": null, "findings": ["b", "c\u001b[2J"], "more": 4}`,
		}, "a: the log does not have it\nb\nc\\u001b[2J\n… and 4 more\n", "in 7 places; `plaudit audit restore` brings back", []any{nil, 1.0}},
		{"findings that a restore does not solve", []any{`{"place": null, "findings": ["b"], "more": 0}`}, "b\n", "a restore solves none", []any{nil}},
		{"a fault at once", []any{lost}, "", "the database cannot be reached", []any{nil}},
		{"no answer", []any{"7"}, "", "something else than a JSON object", []any{nil}},
	} {
		t.Run(c.name, func(t *testing.T) {
			answers := slices.Clone(c.answers)
			stack = newStack(t, func(map[string]any) (string, error) {
				next := answers[0]
				answers = answers[1:]
				if err, ok := next.(error); ok {
					return "", err
				}
				return next.(string), nil
			})
			out, progress, err := runCommand("", "audit", "check", "--run", stack.file)
			if out != c.out || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %q, %v", out, err)
			}
			if got := stack.places(); !reflect.DeepEqual(got, c.places) {
				t.Errorf("the places are %v, want %v", got, c.places)
			}
			if len(c.answers) == 3 && !strings.Contains(progress, "checked 5 rows, 0 older entries and 0 events; next: rows of /plaudit/users 7\n") {
				t.Errorf("the progress is %q", progress)
			}
		})
	}
}

func TestAuditRestore(t *testing.T) {
	answers := []string{
		`{"place": {"source": 0, "after": 3}, "marked": 3, "waiting": 3, "oldest": {"/plaudit/users": "2026-04-01T00:00:00Z"}}`,
		`{"place": {"source": 2}, "marked": 2, "waiting": 2}`,
		`{"place": null, "marked": 0, "waiting": 0}`,
	}
	stack := newStack(t, func(map[string]any) (string, error) {
		defer func() { answers = answers[1:] }()
		return answers[0], nil
	})
	out, progress, err := runCommand("", "audit", "restore", "--to", "2026-05-01T00:00:00+09:00", "--run", stack.file)
	if err != nil || !strings.HasPrefix(out, "5 events were sent again") {
		t.Errorf("got %q, %v", out, err)
	}
	for _, want := range []string{
		"events of other systems (POST /v1/audit/events) are in no outbox",
		"the outbox of the users database after OUTBOX_DAYS: events recorded before 2026-04-01T00:00:00Z cannot be restored",
		"3 events marked, of which 3 have yet to be sent", "5 events marked, of which 0 have yet to be sent",
	} {
		if strings.Count(progress, want) != 1 {
			t.Errorf("the progress lacks %q: %s", want, progress)
		}
	}
	if r := stack.requests[0]; r["do"] != "audit-restore" || r["to"] != "2026-05-01T00:00:00+09:00" || len(r) != 2 {
		t.Errorf("the request is %v", r)
	}
	for _, args := range [][]string{
		{"--from", "yesterday"}, {"--from", "2026-05-01T00:00:00Z", "--to", "2026-05-01T00:00:00Z"}, {"now"},
	} {
		if _, _, err := runCommand("", append([]string{"audit", "restore", "--run", stack.file}, args...)...); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// A restore ends at Ctrl-C, and says that it can be repeated.
func TestAuditRestoreInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stack := newStack(t, func(map[string]any) (string, error) {
		cancel()
		return `{"place": {"source": 2}, "marked": 0, "waiting": 2}`, nil
	})
	var out, errs bytes.Buffer
	err := run(ctx, []string{"audit", "restore", "--run", stack.file}, nil, &out, &errs)
	if err == nil || !strings.HasPrefix(err.Error(), "interrupted: what was marked is sent nevertheless") {
		t.Errorf("got %v", err)
	}
}

func TestAuditRetry(t *testing.T) {
	answers := []string{
		`{"place": {"source": 0, "after": 3}, "marked": 3, "waiting": 3}`,
		`{"place": null, "marked": 2, "waiting": 4}`,
	}
	stack := newStack(t, func(map[string]any) (string, error) {
		defer func() { answers = answers[1:] }()
		return answers[0], nil
	})
	out, progress, err := runCommand("", "audit", "retry", "--run", stack.file)
	if err != nil || !strings.HasPrefix(out, "5 rows were queued again") || progress != "3 rows queued again; 3 rows have yet to be sent\n5 rows queued again; 4 rows have yet to be sent\n" {
		t.Errorf("got %q, %q, %v", out, progress, err)
	}
	if r := stack.requests[0]; r["do"] != "audit-retry" || len(r) != 1 {
		t.Errorf("the request is %v", r)
	}
	stack = newStack(t, func(map[string]any) (string, error) { return "", errors.New("migrate it first") })
	if _, _, err := runCommand("", "audit", "retry", "--run", stack.file); err == nil || !strings.Contains(err.Error(), "queue the failed rows again: ") || !strings.Contains(err.Error(), "migrate it first") {
		t.Errorf("got %v", err)
	}
}

func TestRestoreWithoutProgressEnds(t *testing.T) {
	stack := newStack(t, func(map[string]any) (string, error) {
		return `{"place": {"source": 2}, "marked": 0, "waiting": 2}`, nil
	})
	check := stack.checker(t)
	if _, err := restore(t.Context(), check, time.Time{}, time.Time{}, 0, io.Discard); !errors.Is(err, errStuck) {
		t.Errorf("got %v", err)
	}
}

func (s *fakeStack) checker(t *testing.T) checker {
	t.Helper()
	none := ""
	check, err := place{run: &s.file, outputs: &none}.checker(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return check
}

func TestSetupRestoresALogThatLacksEvents(t *testing.T) {
	for missing, want := range map[string]string{
		"0": "the audit log has all of 12 events that were looked for\n",
		"3": "the audit log lacks 3 of 12 events that were looked for, and is restored\n",
	} {
		stack := newStack(t, func(request map[string]any) (string, error) {
			if request["do"] == "audit-sample" {
				return `{"place": null, "checked": 12, "missing": ` + missing + `}`, nil
			}
			return `{"place": null, "marked": 9, "waiting": 0}`, nil
		})
		var progress bytes.Buffer
		if err := restoreIfEmptier(t.Context(), stack.checker(t), &progress); err != nil || !strings.HasPrefix(progress.String(), want) {
			t.Errorf("%s are missing: %q, %v", missing, progress.String(), err)
		}
		if restored := strings.Contains(progress.String(), "was restored: 9 events were sent again\n"); restored != (missing != "0") {
			t.Errorf("%s are missing: %q", missing, progress.String())
		}
	}
}

func TestTheStackOfACheck(t *testing.T) {
	stack := newStack(t, func(map[string]any) (string, error) { return `{"place": null, "findings": [], "more": 0}`, nil })
	text, err := os.ReadFile(stack.file)
	if err != nil {
		t.Fatal(err)
	}
	var run runFile
	if err := json.Unmarshal(text, &run); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ENDPOINT_URL", run.AWS)
	t.Setenv("AWS_REGION", "ap-northeast-2")
	t.Setenv("AWS_ACCESS_KEY_ID", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	const outputs = `[{"OutputKey": "DbCheckFunctionName", "OutputValue": "plaudit-test-db-check"}]`
	if _, _, err := runCommand(outputs, "audit", "check", "--outputs", "-"); err != nil {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "outputs.json")
	if err := os.WriteFile(file, []byte(outputs), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := runCommand("", "audit", "check", "--outputs", file); err != nil {
		t.Error(err)
	}
	for want, args := range map[string][]string{
		"lack DbCheckFunctionName": {"--outputs", "-"},
		"make run":                 {"--run", file + ".none"},
		"no such file":             {"--outputs", file + ".none"},
	} {
		if _, _, err := runCommand("[]", append([]string{"audit", "check"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
