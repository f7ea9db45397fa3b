package score

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"time"
)

// schedule holds what the fields of a cron expression match, as sets of bits.
type schedule struct {
	minute, hour, month uint64
	// days are the matching days of a month, by the weekday of its first. The two
	// day fields decide them together, so they cannot be told apart afterwards.
	days [7]uint64
}

// cronField is one of the five fields of crontab(5).
type cronField struct {
	name        string
	first, last int
	names       []string // of the values from first on
}

var cronFields = [5]cronField{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of month", 1, 31, nil},
	{"month", 1, 12, []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
	{"day of week", 0, 7, []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}}, // 0 and 7 are both Sunday
}

// parseCron parses the five fields of crontab(5), separated by spaces or tabs, and
// refuses an expression that never fires. A field is a list of *, numbers and
// ranges; * and ranges may have a step. A day field that begins with * does not
// restrict: then both day fields must match, else one of them is enough
// (https://man7.org/linux/man-pages/man5/crontab.5.html).
func parseCron(expression string) (*schedule, error) {
	texts := strings.FieldsFunc(expression, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(texts) != len(cronFields) {
		return nil, fmt.Errorf("it must have five fields, not %d; write minute, hour, day of month, month and day of week, separated by spaces", len(texts))
	}
	var sets [5]uint64
	for i, text := range texts {
		var err error
		if sets[i], err = cronFields[i].parse(text); err != nil {
			return nil, err
		}
	}
	s := &schedule{minute: sets[0], hour: sets[1], month: sets[3]}
	dom, dow := sets[2], sets[4]
	either := texts[2][0] != '*' && texts[4][0] != '*'
	for first := range s.days {
		for day := 1; day <= 31; day++ {
			weekday := (first + day - 1) % 7
			inMonth, inWeek := dom&(1<<day) != 0, dow&(1<<weekday) != 0 || weekday == 0 && dow&(1<<7) != 0
			if inMonth && inWeek || either && (inMonth || inWeek) {
				s.days[first] |= 1 << day
			}
		}
	}
	if _, ok := s.nextDay(dateOf(earliest)); !ok {
		return nil, errors.New("it never fires, because none of its months has such a day; write another day of month or another month")
	}
	return s, nil
}

// parse returns the set of the values that a field's text lists.
func (f cronField) parse(text string) (set uint64, err error) {
	for item := range strings.SplitSeq(text, ",") {
		values, stepText, hasStep := strings.Cut(item, "/")
		lowText, highText, isRange := strings.Cut(values, "-")
		low, high := f.first, f.last
		if values != "*" {
			if low, err = f.value(text, lowText); err != nil {
				return 0, err
			}
			if high = low; isRange {
				if high, err = f.value(text, highText); err != nil {
					return 0, err
				}
			}
		}
		step := 1
		if hasStep {
			step = cronNumber(stepText)
		}
		switch {
		case low > high:
			return 0, f.fault(text, "the range %s runs backwards; write its lower value first", values)
		case step < 1 || step > f.last:
			return 0, f.fault(text, "the step %q is not valid; write 1 to %d", stepText, f.last)
		case hasStep && values != "*" && !isRange:
			return 0, f.fault(text, "the step %d needs a range or *; write %d-%d/%d or */%d", step, low, f.last, step, step)
		}
		for n := low; n <= high; n += step {
			set |= 1 << n
		}
	}
	return set, nil
}

// value returns the value that a number or a name in a field stands for.
func (f cronField) value(field, text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(name, text) {
			return f.first + i, nil
		}
	}
	if n := cronNumber(text); n >= f.first && n <= f.last {
		return n, nil
	}
	named := ""
	if f.names != nil {
		named = fmt.Sprintf(" or %s to %s", f.names[0], f.names[len(f.names)-1])
	}
	if text == "" {
		return 0, f.fault(field, "a value is missing; write * or %d to %d%s", f.first, f.last, named)
	}
	return 0, f.fault(field, "%q is not a value; write %d to %d%s", text, f.first, f.last, named)
}

func (f cronField) fault(text, format string, args ...any) error {
	return fmt.Errorf("in the %s %q, %s", f.name, text, fmt.Sprintf(format, args...))
}

// cronNumber returns a number of one or two digits, else -1.
func cronNumber(text string) int {
	if n, err := strconv.ParseUint(text, 10, 8); err == nil && len(text) <= 2 {
		return int(n)
	}
	return -1
}

// schedules caches the results of parseCron.
var schedules sync.Map // expression: *schedule

func scheduleOf(expression string) (*schedule, error) {
	if kept, ok := schedules.Load(expression); ok {
		return kept.(*schedule), nil
	}
	s, err := parseCron(expression)
	if err != nil {
		return nil, fmt.Errorf("cron %q: %w", expression, err)
	}
	schedules.Store(expression, s)
	return s, nil
}

// cronRun returns the run from the last firing at or before the instant to the
// next one. An expression fires at every minute whose local date and time match
// it: never in an hour that clocks skip, twice in an hour that clocks repeat.
func cronRun(p Period, zone *time.Location, at time.Time) (Run, error) {
	s, err := scheduleOf(p.Cron)
	if err != nil {
		return Run{}, err
	}
	return Run{p.Name, lastFiring(s, zone, at.UTC()), nextFiring(s, zone, at.UTC())}, nil
}

// maxSearch is how far from an instant firings are searched, in years. The longest
// gap between matching dates is between 29 Februaries on one weekday around a year
// like 2100, which has none: 40 years. Clocks may skip the time on such a date, but
// not on the next one too.
const maxSearch = 100

// lastFiring returns the last firing at or before the instant. It searches
// backwards from one clock change to the previous one: between two changes
// clocks show every time once and in order, so the fields alone determine the
// last match.
func lastFiring(s *schedule, zone *time.Location, at time.Time) time.Time {
	for limit := at.AddDate(-maxSearch, 0, 0); at.After(limit); {
		// Clocks differ from UTC by less than a day. So a firing is on a matching
		// date up to tomorrow's, and at most a day after that date's end.
		d, ok := s.lastDay(dateOf(at.Add(day)))
		if !ok {
			break
		}
		if end := d.midnight().Add(2 * day); at.After(end) {
			at = end
		}
		start, _, offset := clockSpan(zone, at)
		if shown, ok := s.last(at.Add(offset), start.UTC().Add(offset)); ok {
			return shown.Add(-offset)
		}
		if start.IsZero() {
			break
		}
		at = start.UTC().Add(-time.Nanosecond)
	}
	return time.Time{}
}

// nextFiring returns the first firing after the instant.
func nextFiring(s *schedule, zone *time.Location, at time.Time) time.Time {
	at = at.Add(time.Nanosecond)
	for limit := at.AddDate(maxSearch, 0, 0); at.Before(limit); {
		d, ok := s.nextDay(dateOf(at.Add(-day)))
		if !ok {
			break
		}
		if begin := d.midnight().Add(-day); at.Before(begin) {
			at = begin
		}
		_, end, offset := clockSpan(zone, at)
		if end.IsZero() || end.After(limit) {
			end = limit
		}
		if shown, ok := s.next(at.Add(offset), end.UTC().Add(offset)); ok {
			return shown.Add(-offset)
		}
		at = end.UTC()
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

// last returns the last time from limit to shown, both inclusive, that matches.
// Local times are represented in UTC.
func (s *schedule) last(shown, limit time.Time) (time.Time, bool) {
	today := dateOf(shown)
	if d, ok := s.lastDay(today); ok && d == today {
		for h := atMost(s.hour, shown.Hour()); h >= 0; h = atMost(s.hour, h-1) {
			minute := 59
			if h == shown.Hour() {
				minute = shown.Minute()
			}
			if m := atMost(s.minute, minute); m >= 0 {
				t := d.at(h, m)
				return t, !t.Before(limit)
			}
		}
	}
	d, ok := s.lastDay(today.add(0, -1))
	t := d.at(atMost(s.hour, 23), atMost(s.minute, 59))
	return t, ok && !t.Before(limit)
}

// next returns the first time from shown on and before limit that matches. Local
// times are represented in UTC.
func (s *schedule) next(shown, limit time.Time) (time.Time, bool) {
	if minute := shown.Truncate(time.Minute); minute.Before(shown) {
		shown = minute.Add(time.Minute)
	}
	today := dateOf(shown)
	if d, ok := s.nextDay(today); ok && d == today {
		for h := atLeast(s.hour, shown.Hour()); h < 24; h = atLeast(s.hour, h+1) {
			minute := 0
			if h == shown.Hour() {
				minute = shown.Minute()
			}
			if m := atLeast(s.minute, minute); m < 60 {
				t := d.at(h, m)
				return t, t.Before(limit)
			}
		}
	}
	d, ok := s.nextDay(today.add(0, 1))
	t := d.at(atLeast(s.hour, 0), atLeast(s.minute, 0))
	return t, ok && t.Before(limit)
}

// lastDay returns the last matching date up to d.
func (s *schedule) lastDay(d date) (date, bool) {
	for year, month, day := d.year, int(d.month), d.day; year > d.year-maxSearch; year, month, day = year-1, 12, 31 {
		for m := atMost(s.month, month); m > 0; m = atMost(s.month, m-1) {
			if m < month {
				day = 31
			}
			if n := atMost(s.daysOf(year, m), day); n > 0 {
				return date{year, time.Month(m), n}, true
			}
		}
	}
	return date{}, false
}

// nextDay returns the first matching date from d on.
func (s *schedule) nextDay(d date) (date, bool) {
	for year, month, day := d.year, int(d.month), d.day; year < d.year+maxSearch; year, month, day = year+1, 1, 1 {
		for m := atLeast(s.month, month); m <= 12; m = atLeast(s.month, m+1) {
			if m > month {
				day = 1
			}
			if n := atLeast(s.daysOf(year, m), day); n <= 31 {
				return date{year, time.Month(m), n}, true
			}
		}
	}
	return date{}, false
}

// daysOf returns the matching days of a month.
func (s *schedule) daysOf(year, month int) uint64 {
	first := date{year, time.Month(month), 1}
	last := first.add(1, -1).day
	return s.days[first.midnight().Weekday()] & (1<<(last+1) - 1)
}

// midnight returns the beginning of the date, and at another time of it, with local
// times represented in UTC.
func (d date) midnight() time.Time { return d.at(0, 0) }

func (d date) at(hour, minute int) time.Time {
	return time.Date(d.year, d.month, d.day, hour, minute, 0, 0, time.UTC)
}

// atMost returns the largest of a set's values that is at most n, or -1.
func atMost(set uint64, n int) int {
	return bits.Len64(set&(1<<(n+1)-1)) - 1
}

// atLeast returns the smallest of a set's values that is at least n, or 64.
func atLeast(set uint64, n int) int {
	return bits.TrailingZeros64(set &^ (1<<n - 1))
}
