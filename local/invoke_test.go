package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plaudit/local/part"
)

const ruleARN, scheduleARN = "arn:aws:events:eu-west-1:000000000000:rule/", "arn:aws:scheduler:eu-west-1:000000000000:schedule/default/"

func TestWhatIsSentWithoutAnEvent(t *testing.T) {
	run := part.Run{
		Functions: map[string]string{"relay": "small-relay", "close": "small-close", "both": "small-both", "add": "small-add"},
		Schedules: []part.RunSchedule{
			{Name: "relay-timer", ARN: ruleARN + "relay-timer", Function: "small-relay"},
			{Name: "close-timer", ARN: scheduleARN + "close-timer", Function: "small-close", Input: `{"at":"<aws.scheduler.scheduled-time>"}`},
			{Name: "one", ARN: ruleARN + "one", Function: "small-both"},
			{Name: "two", ARN: scheduleARN + "two", Function: "small-both"},
		},
	}
	for _, c := range []struct {
		called, name string
		want         string // in the event, or in the error
		fails        bool
	}{
		{"relay", "small-relay", `"resources":["` + ruleARN + `relay-timer"]`, false},
		{"small-close", "small-close", `{"at":"20`, false},
		{"both", "small-both", "2 schedules invoke both: one, two; give it an EVENT", true},
		{"add", "small-add", "no schedule invokes add; give it an EVENT, a file or - for standard input (make invoke F=add E=EVENT)", true},
		{"other", "other", "the stack has no function other; its functions are add, both, close, relay", true},
	} {
		event, err := scheduled(c.called, c.name, run)
		text := string(event)
		if err != nil {
			text = err.Error()
		}
		if (err != nil) != c.fails || !strings.Contains(text, c.want) {
			t.Errorf("%s: %s, %v", c.called, event, err)
		}
	}

	folder := t.TempDir()
	text, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, runFileName), text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {""}, {"", ""}, {"?"}, {"?", ""}} {
		var out strings.Builder
		want := "add    small-add\nboth   small-both   schedule one, two\nclose  small-close  schedule close-timer\nrelay  small-relay  schedule relay-timer\n"
		if err := invoke(t.Context(), folder, args, nil, &out, &out); err != nil || out.String() != want {
			t.Errorf("invoke %q: %v\n%s", args, err, out.String())
		}
	}
	if err := invoke(t.Context(), t.TempDir(), nil, nil, os.Stdout, os.Stderr); err == nil || !strings.Contains(err.Error(), "no laptop cloud runs in this folder") {
		t.Errorf("without a laptop cloud: %v", err)
	}
}
