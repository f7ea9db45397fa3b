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

// cronFields parses the five fields of crontab(5): minute, hour, day of month,
// month, day of week.
var cronFields = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// parseCron parses an expression and refuses one that never fires.
func parseCron(expression string) (*cron.SpecSchedule, error) {
	// The parser would also accept a time zone in front of the fields.
	if len(strings.Fields(expression)) != 5 || strings.Contains(expression, "=") {
		return nil, errors.New("expected five fields: minute, hour, day of month, month, day of week")
	}
	parsed, err := cronFields.Parse(expression)
	if err != nil {
		return nil, err
	}
	schedule, ok := parsed.(*cron.SpecSchedule)
	if !ok || schedule.Next(earliest).IsZero() {
		return nil, errors.New("this date never occurs")
	}
	return schedule, nil
}

// schedules caches the results of parseCron.
var schedules sync.Map // expression: *cron.SpecSchedule

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

// cronRun returns the run from the last firing at or before the instant to the
// next one. An expression fires at every minute whose local date and time match
// it: never in an hour that clocks skip, twice in an hour that clocks repeat.
//
// robfig/cron only parses the expression. Its Next is not used, because it
// depends on where the search begins if clocks change by half an hour.
func cronRun(p Period, zone *time.Location, at time.Time) (Run, error) {
	schedule, err := scheduleOf(p.Cron)
	if err != nil {
		return Run{}, err
	}
	return Run{p.Name, lastFiring(schedule, zone, at), nextFiring(schedule, zone, at)}, nil
}

// maxSearch is how far from an instant firings are searched. The longest gap is
// between the 29 Februaries around 2100, which has none.
const maxSearch = 9 * 366 * 24 * time.Hour

// lastFiring returns the last firing at or before the instant. It searches
// backwards from one clock change to the previous one: between two changes
// clocks show every time once and in order, so the fields alone determine the
// last match.
func lastFiring(s *cron.SpecSchedule, zone *time.Location, at time.Time) time.Time {
	for limit := at.Add(-maxSearch); at.After(limit); {
		start, _, offset := clockSpan(zone, at)
		if start.Before(limit) {
			start = limit
		}
		if shown, ok := lastMatch(s, at.UTC().Add(offset), start.UTC().Add(offset)); ok {
			return shown.Add(-offset)
		}
		at = start.Add(-time.Nanosecond)
	}
	return time.Time{}
}

// nextFiring returns the first firing after the instant.
func nextFiring(s *cron.SpecSchedule, zone *time.Location, at time.Time) time.Time {
	at = at.Add(time.Nanosecond)
	for limit := at.Add(maxSearch); at.Before(limit); {
		_, end, offset := clockSpan(zone, at)
		if end.IsZero() || end.After(limit) {
			end = limit
		}
		if shown, ok := nextMatch(s, at.UTC().Add(offset), end.UTC().Add(offset)); ok {
			return shown.Add(-offset)
		}
		at = end
	}
	return time.Time{}
}

// clockSpan returns the zone's offset from UTC at the instant, and a span
// around it in which the offset does not change. A zero bound means forever.
func clockSpan(zone *time.Location, at time.Time) (start, end time.Time, offset time.Duration) {
	local := at.In(zone)
	_, seconds := local.Zone()
	start, end = local.ZoneBounds()
	// Go 1.26 computes bounds that follow from the zone's rule as if every year
	// had 365 days. So start may be earlier than the last change outside the
	// rule (Metlakatla's on 20 January 2019), which shows as the end of the
	// span at start. And on a 366th day, when no rule changes clocks, end is
	// the beginning of that day.
	for _, next := start.ZoneBounds(); next.After(start) && !next.After(at); _, next = start.ZoneBounds() {
		start = next
	}
	if !end.IsZero() && !end.After(at) {
		end = at.Truncate(day).Add(day)
	}
	return start, end, time.Duration(seconds) * time.Second
}

const day = 24 * time.Hour

// lastMatch returns the last time from limit to shown, both inclusive, that
// matches the schedule. Local times are represented in UTC.
func lastMatch(s *cron.SpecSchedule, shown, limit time.Time) (time.Time, bool) {
	hour, minute := shown.Hour(), shown.Minute()
	for date := shown.Truncate(day); date.Add(day).After(limit); hour, minute = 23, 59 {
		if s.Month&(1<<date.Month()) == 0 {
			date = date.AddDate(0, 0, -date.Day())
			continue
		}
		if matchesDay(s, date) {
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

// nextMatch returns the first time from shown on and before limit that matches
// the schedule. Local times are represented in UTC.
func nextMatch(s *cron.SpecSchedule, shown, limit time.Time) (time.Time, bool) {
	if minute := shown.Truncate(time.Minute); minute.Before(shown) {
		shown = minute.Add(time.Minute)
	}
	hour, minute := shown.Hour(), shown.Minute()
	for date := shown.Truncate(day); date.Before(limit); hour, minute = 0, 0 {
		if s.Month&(1<<date.Month()) == 0 {
			date = date.AddDate(0, 1, 1-date.Day())
			continue
		}
		if matchesDay(s, date) {
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

// star is the parser's mark for a field that is *.
const star = 1 << 63

// matchesDay reports whether the schedule's two day fields match. The month is
// left to the callers.
func matchesDay(s *cron.SpecSchedule, date time.Time) bool {
	dom, dow := s.Dom&(1<<date.Day()) != 0, s.Dow&(1<<date.Weekday()) != 0
	if s.Dom&star == 0 && s.Dow&star == 0 {
		return dom || dow // crontab(5): either may match if both are restricted
	}
	return dom && dow
}

// atMost returns the largest of a field's values that is at most n, or -1.
func atMost(field uint64, n int) int {
	return bits.Len64(field&(1<<(n+1)-1)) - 1
}

// atLeast returns the smallest of a field's values that is at least n or, if
// there is none, a number larger than any value: 64 or the position of star.
func atLeast(field uint64, n int) int {
	return bits.TrailingZeros64(field &^ (1<<n - 1))
}
