package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Expression says when a rule or a schedule fires.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
type Expression interface {
	// Next returns the first instant after t at which the rule fires; the zero
	// time if it never does again. A rate counts from t.
	Next(t time.Time) time.Time
}

// Parse reads the rate(…) or cron(…) of a rule, which is in UTC. No Go library knows the
// fields of EventBridge's cron, whose days of the week begin with Sunday as 1, and in
// which L, W and # stand for days of a month.
func Parse(text string) (Expression, error) {
	kind, body := split(text)
	switch kind {
	case "rate":
		return parseRate(body)
	case "cron":
		return parseCron(body, time.UTC)
	}
	return nil, fmt.Errorf("%q is neither rate(…) nor cron(…)", text)
}

// ParseIn reads the rate(…), cron(…) or at(…) of a schedule of EventBridge Scheduler,
// whose times are those of the clocks in a zone. A time that the clocks skip does not
// fire, and one that they show twice fires once; which time the documentation does not
// say, here it is the first.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
func ParseIn(text string, zone *time.Location) (Expression, error) {
	kind, body := split(text)
	switch kind {
	case "rate":
		return parseRate(body)
	case "cron":
		return parseCron(body, zone)
	case "at":
		return parseAt(body, zone)
	}
	return nil, fmt.Errorf("%q is neither rate(…), cron(…) nor at(…)", text)
}

// split returns the parts of kind(body). The kind is "" if the text has no such form.
func split(text string) (kind, body string) {
	body, ok := strings.CutSuffix(text, ")")
	kind, body, found := strings.Cut(body, "(")
	if !ok || !found {
		return "", ""
	}
	return kind, body
}

type rate time.Duration

// Next implements Expression.
func (r rate) Next(t time.Time) time.Time { return t.Add(time.Duration(r)) }

var ratePattern = regexp.MustCompile(`^([1-9][0-9]{0,8}) (minute|hour|day)(s?)$`)

func parseRate(text string) (Expression, error) {
	m := ratePattern.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("rate(%s) must be a positive number and minutes, hours or days, such as rate(5 minutes)", text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return nil, err
	}
	if plural := m[3] == "s"; plural != (n != 1) {
		return nil, fmt.Errorf("rate(%s): the unit must be singular after 1 and plural after any other number", text)
	}
	unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[m[2]]
	if d := time.Duration(n) * unit; d/unit == time.Duration(n) && d > 0 {
		return rate(d), nil
	}
	return nil, fmt.Errorf("rate(%s) is too long", text)
}

// at fires once.
type at struct{ time.Time } // zero: the clocks skip it

const atLayout = "2006-01-02T15:04:05"

func parseAt(text string, zone *time.Location) (Expression, error) {
	wall, err := time.Parse(atLayout, text)
	if err != nil || wall.Format(atLayout) != text {
		return nil, fmt.Errorf("at(%s) must be a date and a time without a zone, such as at(2026-11-28T09:00:00)", text)
	}
	instant, _ := onClocks(wall, zone)
	return at{instant}, nil
}

// Next implements Expression.
func (a at) Next(t time.Time) time.Time {
	if a.After(t) {
		return a.Time
	}
	return time.Time{}
}

// Limit returns an expression of EventBridge Scheduler that fires from start on and before
// end; a zero time is no limit. A rate fires first at start, or at once if there is none,
// and then at its intervals from there.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based
func Limit(e Expression, start, end time.Time) Expression {
	if every, ok := e.(rate); ok {
		e = &repeated{every: time.Duration(every), first: start}
	}
	return limited{e, start, end}
}

// limited is an expression within a span of time.
type limited struct {
	Expression
	start, end time.Time
}

// Next implements Expression.
func (l limited) Next(t time.Time) time.Time {
	if t.Before(l.start) {
		t = l.start.Add(-1) // start itself is within
	}
	next := l.Expression.Next(t)
	if !l.end.IsZero() && !next.Before(l.end) {
		return time.Time{}
	}
	return next
}

// repeated is a rate that counts from its first time.
type repeated struct {
	every time.Duration
	first time.Time // zero: that of the first Next
}

// Next implements Expression, except that the first one of a rate without a start is t
// itself.
func (r *repeated) Next(t time.Time) time.Time {
	if r.first.IsZero() {
		r.first = t
		return t
	}
	if t.Before(r.first) {
		return r.first
	}
	return r.first.Add((t.Sub(r.first)/r.every + 1) * r.every)
}

// onClocks returns the first instant at which the clocks of a zone show a wall time,
// which is given as if it were in UTC. shown is false if they skip it.
func onClocks(wall time.Time, zone *time.Location) (first time.Time, shown bool) {
	// time.Date is right on one side of a change, and does not say on which.
	near := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, zone)
	start, end := near.ZoneBounds()
	around := []time.Time{near}
	if !start.IsZero() {
		around = append(around, start.Add(-time.Second))
	}
	if !end.IsZero() {
		around = append(around, end)
	}
	for _, one := range around {
		_, offset := one.Zone()
		instant := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		if wallTime(instant).Equal(wall) && (!shown || instant.Before(first)) {
			first, shown = instant, true
		}
	}
	return first, shown
}

// wallTime returns what the clocks of t's zone show, as if it were in UTC.
func wallTime(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// cron is minutes, hours, days of the month, months, days of the week and years, as
// clocks in a zone show them.
type cron struct {
	minutes, hours, months, years set
	day                           func(time.Time) bool
	zone                          *time.Location
}

type set map[int]bool

// fieldKind is a field of cron.
type fieldKind struct {
	name      string
	low, high int
	names     []string // of low and the values after it
}

var (
	monthNames = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	dayNames   = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}

	minuteField  = fieldKind{"minutes", 0, 59, nil}
	hourField    = fieldKind{"hours", 0, 23, nil}
	dayField     = fieldKind{"day of month", 1, 31, nil}
	monthField   = fieldKind{"month", 1, 12, monthNames}
	weekdayField = fieldKind{"day of week", 1, 7, dayNames}
	yearField    = fieldKind{"year", 1970, 2199, nil}
)

func parseCron(text string, zone *time.Location) (Expression, error) {
	fields := strings.Fields(text)
	if len(fields) != 6 {
		return nil, fmt.Errorf("cron(%s) must have six fields: minutes, hours, day of month, month, day of week, year", text)
	}
	c := cron{zone: zone}
	var errs []error
	for i, one := range []struct {
		kind fieldKind
		to   *set
	}{{minuteField, &c.minutes}, {hourField, &c.hours}, {}, {monthField, &c.months}, {}, {yearField, &c.years}} {
		if one.to != nil {
			var err error
			*one.to, err = one.kind.parse(fields[i])
			errs = append(errs, err)
		}
	}
	var err error
	switch day, weekday := fields[2], fields[4]; {
	case (day == "?") == (weekday == "?"):
		err = errors.New("one of day of month and day of week must be ?, and the other one must not")
	case weekday == "?":
		c.day, err = parseDays(day)
	default:
		c.day, err = parseWeekdays(weekday)
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("cron(%s): %w", text, err)
	}
	return c, nil
}

// parse reads values, ranges and steps: 1,5-9,*/15.
func (k fieldKind) parse(text string) (set, error) {
	out := set{}
	for item := range strings.SplitSeq(text, ",") {
		span, stepText, stepped := strings.Cut(item, "/")
		step := 1
		if stepped {
			var err error
			if step, err = strconv.Atoi(stepText); err != nil || step < 1 {
				return nil, k.wrong(item)
			}
		}
		first, last, ranged := strings.Cut(span, "-")
		low, high := k.low, k.high
		if span != "*" {
			var ok bool
			if low, ok = k.value(first); !ok {
				return nil, k.wrong(item)
			}
			switch {
			case ranged:
				if high, ok = k.value(last); !ok || high < low {
					return nil, k.wrong(item)
				}
			case !stepped:
				high = low
			}
		}
		for v := low; v <= high; v += step {
			out[v] = true
		}
	}
	return out, nil
}

func (k fieldKind) wrong(item string) error {
	return fmt.Errorf("%s: %q must be *, a value or a range between %d and %d, or one of them with a step", k.name, item, k.low, k.high)
}

func (k fieldKind) value(text string) (int, bool) {
	if i := slices.Index(k.names, strings.ToUpper(text)); i >= 0 {
		return k.low + i, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= k.low && n <= k.high && text[0] != '+'
}

// parseDays reads a day of month: L is the last one, 15W the weekday nearest to
// the 15th.
func parseDays(text string) (func(time.Time) bool, error) {
	if text == "L" {
		return func(t time.Time) bool { return t.AddDate(0, 0, 1).Day() == 1 }, nil
	}
	if near, ok := strings.CutSuffix(text, "W"); ok {
		day, ok := dayField.value(near)
		if !ok {
			return nil, fmt.Errorf("day of month: %q must be a day and W, such as 15W", text)
		}
		return func(t time.Time) bool { return t.Day() == nearestWeekday(t, day) }, nil
	}
	days, err := dayField.parse(text)
	return func(t time.Time) bool { return days[t.Day()] }, err
}

// nearestWeekday returns the day from Monday to Friday that is nearest to a day
// of t's month, within the month; 0 if the month has no such day.
func nearestWeekday(t time.Time, day int) int {
	at := time.Date(t.Year(), t.Month(), day, 0, 0, 0, 0, time.UTC)
	if at.Month() != t.Month() {
		return 0
	}
	isLast := at.AddDate(0, 0, 1).Day() == 1
	switch at.Weekday() {
	case time.Saturday:
		if day == 1 {
			return 3
		}
		return day - 1
	case time.Sunday:
		if isLast {
			return day - 2
		}
		return day + 1
	}
	return day
}

// parseWeekdays reads a day of week: 6L is the last Friday of a month, 3#2 its
// second Tuesday, L alone the last day of a week.
func parseWeekdays(text string) (func(time.Time) bool, error) {
	number := func(t time.Time) int { return int(t.Weekday()) + 1 }
	if text == "L" {
		return func(t time.Time) bool { return t.Weekday() == time.Saturday }, nil
	}
	if last, ok := strings.CutSuffix(text, "L"); ok {
		day, ok := weekdayField.value(last)
		if !ok {
			return nil, fmt.Errorf("day of week: %q must be a day and L, such as 6L", text)
		}
		return func(t time.Time) bool { return number(t) == day && t.AddDate(0, 0, 7).Month() != t.Month() }, nil
	}
	if name, nth, ok := strings.Cut(text, "#"); ok {
		day, dayOK := weekdayField.value(name)
		n, err := strconv.Atoi(nth)
		if !dayOK || err != nil || n < 1 || n > 5 {
			return nil, fmt.Errorf("day of week: %q must be a day, # and a number between 1 and 5, such as 3#2", text)
		}
		return func(t time.Time) bool { return number(t) == day && (t.Day()-1)/7+1 == n }, nil
	}
	days, err := weekdayField.parse(text)
	return func(t time.Time) bool { return days[number(t)] }, err
}

// Next implements Expression.
func (c cron) Next(t time.Time) time.Time {
	wall := c.after(wallTime(t.In(c.zone)))
	for !wall.IsZero() {
		// Of a wall time that the clocks show twice, the second one is not later than t
		// only if the first one has fired.
		if at, shown := onClocks(wall, c.zone); shown && at.After(t) {
			return at.UTC()
		}
		wall = c.after(wall)
	}
	return time.Time{}
}

// after returns the first wall time after t, in UTC.
func (c cron) after(t time.Time) time.Time {
	t = t.Truncate(time.Minute).Add(time.Minute)
	for t.Year() <= yearField.high {
		switch {
		case !c.years[t.Year()]:
			t = time.Date(t.Year()+1, 1, 1, 0, 0, 0, 0, time.UTC)
		case !c.months[int(t.Month())]:
			t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
		case !c.day(t):
			t = time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, time.UTC)
		case !c.hours[t.Hour()]:
			t = t.Truncate(time.Hour).Add(time.Hour)
		case !c.minutes[t.Minute()]:
			t = t.Add(time.Minute)
		default:
			return t
		}
	}
	return time.Time{}
}
