package score

import (
	"context"
	"fmt"
	"time"

	"plaudit/shared/fault"
)

// Closings are the runs whose closing has to be announced.
type Closings interface {
	// DueRuns returns runs that have closed and are not announced, in the order in which
	// they closed, after a place: the zero DueRun, or the last one of the previous page.
	DueRuns(ctx context.Context, after DueRun, limit int) ([]DueRun, error)
	// Announce announces a run that is due. It can be repeated, and called at the same time
	// by others: a run is announced once.
	Announce(ctx context.Context, run int64) (Announcement, error)
	// DateRuns sets when runs close of boards that were opened from drafts, at most limit of
	// them, and reports whether there may be more.
	DateRuns(ctx context.Context, limit int) (more bool, err error)
}

// DueRun is a run that has closed and is not announced.
type DueRun struct {
	No       int64
	ClosedAt time.Time
	Age      time.Duration // since it closed, by the database's clock
}

// Announcement is what became of a run that was due.
type Announcement string

const (
	Announced        Announcement = "announced"
	AlreadyAnnounced Announcement = "done"
	BoardBusy        Announcement = "busy" // others hold the board's lock
)

const (
	duePage  = 100
	dateStep = 1000
	// lateAfter is the age from which an announcement is late. Every minute there is a run
	// of the schedule.
	lateAfter = 5 * time.Minute
)

// Closer announces closed runs.
type Closer struct {
	Closings Closings
	// Reserve is how long before the context's deadline it begins nothing more. What is
	// left is for the next call.
	Reserve time.Duration
	// Pause is how long it waits before it tries boards again that were busy.
	Pause time.Duration
	// Count adds to a metric: Closed, Late or Failed. Each costs money in the months in which
	// it has a value, so none is counted as 0.
	Count func(ctx context.Context, name string, n int)
}

// Run announces the runs that are due, those that closed first before others, until none is
// left or its time is over. A run that cannot be announced is counted in Failed and left to
// the next call, and the error of the first one is returned at the end; if the database is
// away, Run returns at once.
//
// The runs of a draft that was opened become due in small steps, when nothing else is due:
// there can be a hundred thousand of them, nobody is told of them, and the announcements
// of others must not wait for them.
func (c Closer) Run(ctx context.Context) error {
	failed := map[int64]bool{}
	var first error
	for {
		busy, err := c.announce(ctx, failed, &first)
		if err != nil {
			return err
		}
		if !c.hasTime(ctx) {
			return first
		}
		more, err := c.Closings.DateRuns(ctx, dateStep)
		switch {
		case err != nil:
			return err
		case more:
		case !busy:
			return first
		default:
			select {
			case <-ctx.Done():
				return first
			case <-time.After(c.Pause):
			}
		}
	}
}

// announce announces each run that is due once, and reports whether boards were busy.
func (c Closer) announce(ctx context.Context, failed map[int64]bool, first *error) (busy bool, err error) {
	var after DueRun
	for c.hasTime(ctx) {
		due, err := c.Closings.DueRuns(ctx, after, duePage)
		if err != nil {
			return busy, err
		}
		for _, run := range due {
			after = run
			if failed[run.No] {
				continue
			}
			if !c.hasTime(ctx) {
				return busy, nil
			}
			state, err := c.Closings.Announce(ctx, run.No)
			switch {
			case fault.Is(err, fault.DatabaseUnavailable):
				return busy, err
			case err != nil:
				failed[run.No] = true
				c.Count(ctx, "Failed", 1)
				if *first == nil {
					*first = fmt.Errorf("announce run %d: %w", run.No, err)
				}
			case state == BoardBusy:
				busy = true
				if run.Age > lateAfter {
					c.Count(ctx, "Late", 1) // it waits, and nothing else shows that
				}
			case state == Announced:
				c.Count(ctx, "Closed", 1)
				if run.Age > lateAfter {
					c.Count(ctx, "Late", 1)
				}
			}
		}
		if len(due) < duePage {
			return busy, nil
		}
	}
	return busy, nil
}

func (c Closer) hasTime(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || time.Until(deadline) > c.Reserve)
}
