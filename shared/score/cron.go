package score

import (
	"errors"
	"fmt"
	"math/bits"
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

// schedules keeps what parseCron has read, by expression.
var schedules sync.Map // of string: *cron.SpecSchedule

func scheduleOf(expression string) (*cron.SpecSchedule, error) {
	if kept, ok := schedules.Load(expression); ok {
		return kept.(*cron.SpecSchedule), nil
	}
	schedule, err := parseCron(expression)
	if err != nil {
		return nil, fmt.Errorf("cron %q: %w", expression, err)
	}
	schedules.Store(expression, schedule)
	return schedule, nil
}

// cronRun gives the run from the last firing at or before the instant to the
// next one. An expression fires at every minute whose local date and time it
// names: in an hour that clocks skip never, in one that comes twice each time.
// (robfig/cron reads it. Its Next is not used: where clocks change by half an
// hour, it depends on where the search begins.)
func cronRun(p Period, zone *time.Location, at time.Time) (Run, error) {
	schedule, err := scheduleOf(p.Cron)
	if err != nil {
		return Run{}, err
	}
	return Run{p.Name, lastFiring(schedule, zone, at), nextFiring(schedule, zone, at)}, nil
}

// maxSearch is how far from an instant firings are looked for. None are further
// apart than 29 February around a year that has none, 2100.
const maxSearch = 9 * 366 * 24 * time.Hour

// lastFiring gives the last one at or before the instant. It goes back from one
// change of the clocks to the one before: between them they show every time
// once, in order, so the fields alone tell the last that is named.
func lastFiring(s *cron.SpecSchedule, zone *time.Location, at time.Time) time.Time {
	for limit := at.Add(-maxSearch); at.After(limit); {
		start, _, offset := steady(zone, at)
		if start.Before(limit) {
			start = limit
		}
		if shown, ok := lastNamed(s, at.UTC().Add(offset), start.UTC().Add(offset)); ok {
			return shown.Add(-offset)
		}
		at = start.Add(-time.Nanosecond)
	}
	return time.Time{}
}

// nextFiring gives the first one after the instant.
func nextFiring(s *cron.SpecSchedule, zone *time.Location, at time.Time) time.Time {
	at = at.Add(time.Nanosecond)
	for limit := at.Add(maxSearch); at.Before(limit); {
		_, end, offset := steady(zone, at)
		if end.IsZero() || end.After(limit) {
			end = limit
		}
		if shown, ok := nextNamed(s, at.UTC().Add(offset), end.UTC().Add(offset)); ok {
			return shown.Add(-offset)
		}
		at = end
	}
	return time.Time{}
}

// steady gives how far the zone's clocks are ahead of UTC at the instant, and a
// time around it in which they do not change; zero is for ever.
func steady(zone *time.Location, at time.Time) (start, end time.Time, offset time.Duration) {
	local := at.In(zone)
	_, seconds := local.Zone()
	start, end = local.ZoneBounds()
	// Where only the zone's rule tells the bounds, Go 1.26 makes them of it and
	// of years of 365 days. So a start may lie before the last change that is
	// not the rule's (Metlakatla's of 20 January 2019), which the time at that
	// start knows as its end; and a 366th day, on which no rule changes clocks,
	// gets its own beginning as its end.
	for _, next := start.ZoneBounds(); next.After(start) && !next.After(at); _, next = start.ZoneBounds() {
		start = next
	}
	if !end.IsZero() && !end.After(at) {
		end = at.Truncate(day).Add(day)
	}
	return start, end, time.Duration(seconds) * time.Second
}

const day = 24 * time.Hour

// lastNamed gives the last time at or before the one that a clock shows, and
// not before the limit, that the schedule names. Clocks' times are held in UTC.
func lastNamed(s *cron.SpecSchedule, shown, limit time.Time) (time.Time, bool) {
	hour, minute := shown.Hour(), shown.Minute()
	for date := shown.Truncate(day); date.Add(day).After(limit); hour, minute = 23, 59 {
		if s.Month&(1<<date.Month()) == 0 {
			date = date.AddDate(0, 0, -date.Day())
			continue
		}
		if namesDate(s, date) {
			for h := atMost(s.Hour, hour); h >= 0; h = atMost(s.Hour, h-1) {
				if h < hour {
					minute = 59
				}
				if m := atMost(s.Minute, minute); m >= 0 {
					t := date.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute)
					return t, !t.Before(limit)
				}
			}
		}
		date = date.Add(-day)
	}
	return time.Time{}, false
}

// nextNamed gives the first time at or after the one that a clock shows, and
// before the limit, that the schedule names.
func nextNamed(s *cron.SpecSchedule, shown, limit time.Time) (time.Time, bool) {
	if whole := shown.Truncate(time.Minute); whole.Before(shown) {
		shown = whole.Add(time.Minute)
	}
	hour, minute := shown.Hour(), shown.Minute()
	for date := shown.Truncate(day); date.Before(limit); hour, minute = 0, 0 {
		if s.Month&(1<<date.Month()) == 0 {
			date = date.AddDate(0, 1, 1-date.Day())
			continue
		}
		if namesDate(s, date) {
			for h := atLeast(s.Hour, hour); h < 24; h = atLeast(s.Hour, h+1) {
				if h > hour {
					minute = 0
				}
				if m := atLeast(s.Minute, minute); m < 60 {
					t := date.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute)
					return t, t.Before(limit)
				}
			}
		}
		date = date.Add(day)
	}
	return time.Time{}, false
}

// star is the bit by which the parser says that a field was *.
const star = 1 << 63

// namesDate leaves the month to its callers.
func namesDate(s *cron.SpecSchedule, date time.Time) bool {
	dom, dow := s.Dom&(1<<date.Day()) != 0, s.Dow&(1<<date.Weekday()) != 0
	if s.Dom&star == 0 && s.Dow&star == 0 {
		return dom || dow // crontab(5): either, where both are restricted
	}
	return dom && dow
}

// atMost gives the greatest of a field's values up to n, or -1.
func atMost(field uint64, n int) int {
	return bits.Len64(field&(1<<(n+1)-1)) - 1
}

// atLeast gives the least of a field's values from n on, or 64 or star's bit,
// which are greater than every value.
func atLeast(field uint64, n int) int {
	return bits.TrailingZeros64(field &^ (1<<n - 1))
}
