package score

import (
	"encoding/json"
	"fmt"
	"time"

	"plaudit/shared/timezone"
)

// The built-in periods. All never ends.
const (
	All   = "all"
	Day   = "day"
	Week  = "week" // from Monday
	Month = "month"
)

// Period is one that a board keeps standings of: a built-in one, one whose runs
// last from one firing of a cron expression to the next, or a season with a
// start and an end. Its JSON form is a name, {name, cron} or {name, start,
// end}.
type Period struct {
	Name       string
	Cron       string    // five fields, in the board's zone
	Start, End time.Time // a season's
}

type (
	cronDoc struct {
		Name string `json:"name"`
		Cron string `json:"cron"`
	}
	seasonDoc struct {
		Name  string    `json:"name"`
		Start time.Time `json:"start"`
		End   time.Time `json:"end"`
	}
)

// MarshalJSON returns the API's form.
func (p Period) MarshalJSON() ([]byte, error) {
	switch {
	case p.Cron != "":
		return json.Marshal(cronDoc{p.Name, p.Cron})
	case !p.Start.IsZero() || !p.End.IsZero():
		return json.Marshal(seasonDoc{p.Name, p.Start.UTC(), p.End.UTC()})
	}
	return json.Marshal(p.Name)
}

// UnmarshalJSON reads the form that MarshalJSON writes.
func (p *Period) UnmarshalJSON(text []byte) error {
	*p = Period{}
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &p.Name)
	}
	var doc struct {
		Name  string    `json:"name"`
		Cron  string    `json:"cron"`
		Start time.Time `json:"start"`
		End   time.Time `json:"end"`
	}
	err := json.Unmarshal(text, &doc)
	*p = Period{doc.Name, doc.Cron, doc.Start, doc.End}
	return err
}

// season reports whether the period is a season, which has a single run.
func (p Period) season() bool { return !p.Start.IsZero() }

// Same reports whether both are the same period.
func (p Period) Same(o Period) bool {
	return p.Name == o.Name && p.Cron == o.Cron && p.Start.Equal(o.Start) && p.End.Equal(o.End)
}

// Run is one occurrence of a period, such as this week. End is exclusive. A
// zero Start or End means that the run has none.
type Run struct {
	Name       string
	Start, End time.Time
}

// contains reports whether the instant is in the run.
func (s Run) contains(at time.Time) bool {
	return (s.Start.IsZero() || !at.Before(s.Start)) && (s.End.IsZero() || at.Before(s.End))
}

// Runs returns the run of each of the board's periods that contains the
// instant, in the board's order; seasons that do not contain it are left out.
// This is the product's only calendar: what an entry credits, what a list shows
// and which runs are closed all come from here, because two sets of time zone
// rules could disagree about a boundary.
func (b Board) Runs(at time.Time) ([]Run, error) {
	runs := make([]Run, 0, len(b.Periods))
	for _, p := range b.Periods {
		s, ok, err := b.RunAt(p, at)
		if err != nil {
			return nil, err
		}
		if ok {
			runs = append(runs, s)
		}
	}
	return runs, nil
}

// RunAt returns the run of the board's period that contains the instant; ok is
// false if none does.
func (b Board) RunAt(p Period, at time.Time) (s Run, ok bool, err error) {
	zone, err := timezone.Load(b.TimeZone)
	if err != nil {
		return Run{}, false, err
	}
	switch {
	case p.Name == All:
		return Run{Name: All}, true, nil
	case p.Cron != "":
		s, err = cronRun(p, zone, at)
	case p.season():
		s = Run{p.Name, p.Start, p.End}
		return s, s.contains(at), nil
	default:
		s, err = calendarRun(p.Name, zone, at)
	}
	if err != nil {
		return Run{}, false, fmt.Errorf("board %s: %w", b.ID, err)
	}
	return s, true, nil
}

// calendarRun returns the run of a built-in period.
func calendarRun(name string, zone *time.Location, at time.Time) (Run, error) {
	first, days, months := date{}, 0, 0
	today := dateOf(at.In(zone))
	switch name {
	case Day:
		first, days = today, 1
	case Week: // from Monday
		weekday := (int(time.Date(today.year, today.month, today.day, 0, 0, 0, 0, time.UTC).Weekday()) + 6) % 7
		first, days = today.add(0, -weekday), 7
	case Month:
		first, months = date{today.year, today.month, 1}, 1
	default:
		return Run{}, fmt.Errorf("no period %q", name)
	}
	s := Run{name, first.begin(zone), first.add(months, days).begin(zone)}
	// If clocks were set back across midnight, the last hour of an evening
	// occurs twice, and its date does not show on which side of the boundary it
	// is.
	switch {
	case at.Before(s.Start):
		s = Run{name, first.add(-months, -days).begin(zone), s.Start}
	case !at.Before(s.End):
		s = Run{name, s.End, first.add(2*months, 2*days).begin(zone)}
	}
	return s, nil
}

type date struct {
	year  int
	month time.Month
	day   int
}

func dateOf(t time.Time) date {
	y, m, d := t.Date()
	return date{y, m, d}
}

func (d date) add(months, days int) date {
	return dateOf(time.Date(d.year, d.month+time.Month(months), d.day+days, 0, 0, 0, 0, time.UTC))
}

func (d date) before(e date) bool {
	return d.year < e.year || d.year == e.year && (d.month < e.month || d.month == e.month && d.day < e.day)
}

// begin returns the instant at which the date begins in the zone: its first
// midnight or, if clocks skip midnight, the moment of the skip.
func (d date) begin(zone *time.Location) time.Time {
	t := time.Date(d.year, d.month, d.day, 0, 0, 0, 0, zone)
	start, end := t.ZoneBounds()
	// If the date has no midnight, time.Date may return a time before the skip
	// or one after it.
	switch got := dateOf(t); {
	case got.before(d):
		return end.UTC()
	case got != d || t.Hour() != 0 || t.Minute() != 0:
		return start.UTC()
	}
	if !start.IsZero() {
		_, now := t.Zone()
		_, before := start.Add(-time.Nanosecond).Zone()
		if earlier := t.Add(time.Duration(now-before) * time.Second); earlier.Before(start) && dateOf(earlier) == d && earlier.Hour() == 0 {
			return earlier.UTC()
		}
	}
	return t.UTC()
}
