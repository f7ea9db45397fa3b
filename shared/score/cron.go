package score

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
)

// cronFields are the five of crontab(5): minute, hour, day of month, month,
// day of week.
var cronFields = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// parseCron reads an expression. One that never fires is refused.
func parseCron(expression string) (*cron.SpecSchedule, error) {
	// The parser takes a zone of its own before the fields.
	if len(strings.Fields(expression)) != 5 || strings.Contains(expression, "=") {
		return nil, errors.New("must have five fields: minute, hour, day of month, month, day of week")
	}
	parsed, err := cronFields.Parse(expression)
	if err != nil {
		return nil, err
	}
	schedule, ok := parsed.(*cron.SpecSchedule)
	if !ok || schedule.Next(earliest).IsZero() {
		return nil, errors.New("names a date that never comes")
	}
	return schedule, nil
}

// cronKey names the firings of an expression in a zone.
type cronKey struct{ zone, expression string }

// cronRuns keeps the newest run that was asked for, because looking one up
// steps through the firings before it.
var cronRuns sync.Map // of cronKey: cronRun

type cronRun struct{ start, end time.Time }

// maxSearch is how many days around an instant firings are looked for. None
// are further apart than 29 February around a year that has none, 2100.
const maxSearch = 9 * 366

// cronSpan gives the run from the last firing at or before the instant to the
// next one. An expression fires at every minute whose local date and time it
// names: in an hour that clocks skip never, in one that comes twice each time.
// (robfig/cron reads it. Its Next is not used: where clocks change by half an
// hour, it depends on where the search begins.)
func cronSpan(p Period, zone *time.Location, at time.Time) (Span, error) {
	key := cronKey{zone.String(), p.Cron}
	if kept, ok := cronRuns.Load(key); ok {
		r := kept.(cronRun)
		if s := (Span{p.Name, r.start, r.end}); s.contains(at) {
			return s, nil
		}
	}
	schedule, err := parseCron(p.Cron)
	if err != nil {
		return Span{}, fmt.Errorf("cron %q: %w", p.Cron, err)
	}
	var r cronRun
	today := dateOf(at.In(zone))
	// A day more on both sides: near midnight the date may come twice. And one
	// more after the first with a firing: where clocks are put back across
	// midnight (St. John's did, a minute past it), what they show of two dates
	// is mixed.
	for n, last := 1, -maxSearch; n > last; n-- {
		for _, t := range firings(schedule, today.add(0, n), zone) {
			if !t.After(at) && t.After(r.start) {
				r.start, last = t, max(last, n-2)
			}
		}
	}
	for n, last := -1, maxSearch; n < last; n++ {
		for _, t := range firings(schedule, today.add(0, n), zone) {
			if t.After(at) && (r.end.IsZero() || t.Before(r.end)) {
				r.end, last = t, min(last, n+2)
			}
		}
	}
	cronRuns.Store(key, r)
	return Span{p.Name, r.start, r.end}, nil
}

// star is the bit by which the parser says that a field was *.
const star = 1 << 63

// firings gives the instants of a local date at which the schedule fires, in
// order.
func firings(s *cron.SpecSchedule, d date, zone *time.Location) []time.Time {
	noon := time.Date(d.year, d.month, d.day, 12, 0, 0, 0, time.UTC)
	dom, dow := s.Dom&(1<<d.day) != 0, s.Dow&(1<<noon.Weekday()) != 0
	day := dom && dow
	if s.Dom&star == 0 && s.Dow&star == 0 {
		day = dom || dow // crontab(5): either, where both are restricted
	}
	if !day || s.Month&(1<<d.month) == 0 {
		return nil
	}
	// The clock shows a time by the offset of the day before or by that of the
	// day after; where both are good, it shows it twice.
	_, before := noon.Add(-36 * time.Hour).In(zone).Zone()
	_, after := noon.Add(36 * time.Hour).In(zone).Zone()
	offsets := []int{before, after}
	if before == after {
		offsets = offsets[:1]
	}
	var out []time.Time
	for hour := range 24 {
		if s.Hour&(1<<hour) == 0 {
			continue
		}
		for minute := range 60 {
			if s.Minute&(1<<minute) == 0 {
				continue
			}
			shown := time.Date(d.year, d.month, d.day, hour, minute, 0, 0, time.UTC)
			for _, offset := range offsets {
				t := shown.Add(-time.Duration(offset) * time.Second)
				if _, now := t.In(zone).Zone(); now == offset {
					out = append(out, t)
				}
			}
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}
