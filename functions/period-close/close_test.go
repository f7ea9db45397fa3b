package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"plaudit/shared/score"
)

// closings has one run that is due, until it is announced.
type closings struct {
	announced int
	fault     error
}

func (c *closings) DueRuns(_ context.Context, after score.DueRun, _ int) ([]score.DueRun, error) {
	if c.announced > 0 || after.No == 1 {
		return nil, nil
	}
	return []score.DueRun{{No: 1}}, nil
}

func (c *closings) Announce(context.Context, int64) (score.Announcement, error) {
	if c.fault != nil {
		return "", c.fault
	}
	c.announced++
	return score.Announced, nil
}

func (c *closings) DateRuns(context.Context, int) (bool, error) { return false, nil }

func TestEveryEventAnnouncesWhatIsDue(t *testing.T) {
	samples, err := filepath.Glob("../../events/period-close/*.ok.json")
	if err != nil || len(samples) == 0 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	for _, sample := range samples {
		event, err := os.ReadFile(sample)
		if err != nil {
			t.Fatal(err)
		}
		c := &closings{}
		out, err := newHandler(c)(t.Context(), event)
		if text, _ := json.Marshal(out); err != nil || c.announced != 1 || string(text) != "{}" {
			t.Errorf("%s: %v, %d announced, the answer is %s", sample, err, c.announced, text)
		}
	}
}

func TestRunThatCannotBeAnnouncedFailsTheInvoke(t *testing.T) {
	c := &closings{fault: errors.New("broken")}
	if _, err := newHandler(c)(t.Context(), json.RawMessage(`{}`)); !errors.Is(err, c.fault) {
		t.Errorf("got %v", err)
	}
}
