package model

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"plaudit/shared/timezone"
)

// Period is a board's period: all, day, week, month, a cron expression, or a
// season from Start to End.
type Period struct {
	Name, Cron string
	Start, End time.Time
}

// Run is one run of a period, from Start up to and excluding End. `all` has
// neither.
type Run struct {
	Name       string
	Start, End time.Time
}

// Zone returns the board's time zone.
func (b *Board) Zone() *time.Location {
	if zones[b.TimeZone] == nil {
		zone, err := timezone.Load(b.TimeZone)
		if err != nil {
			panic(err)
		}
		zones[b.TimeZone] = zone
	}
	return zones[b.TimeZone]
}

// Run returns the run of the period that contains the instant, if one does.
func (b *Board) RunAt(p Period, at time.Time) (Run, bool) {
	zone := b.Zone()
	y, m, d := at.In(zone).Date()
	// Clocks that are set back across midnight show the previous date again.
	for !at.Before(begin(zone, y, m, d+1)) {
		d++
	}
	y, m, d = time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Date()
	switch {
	case p.Cron != "":
		s := firings(p.Cron, zone, at)
		s.Name = p.Name
		return s, true
	case !p.Start.IsZero():
		return Run{p.Name, p.Start, p.End}, !at.Before(p.Start) && at.Before(p.End)
	case p.Name == "day":
		return Run{p.Name, begin(zone, y, m, d), begin(zone, y, m, d+1)}, true
	case p.Name == "week":
		for time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Weekday() != time.Monday {
			d--
		}
		return Run{p.Name, begin(zone, y, m, d), begin(zone, y, m, d+7)}, true
	case p.Name == "month":
		return Run{p.Name, begin(zone, y, m, 1), begin(zone, y, m+1, 1)}, true
	}
	return Run{Name: "all"}, true
}

// DefaultRun returns the run that a request without a period reads, if there is
// one: of `all` or the board's first period and, if all of its periods are seasons, the
// first that contains the instant. A zero time means now, for which an earlier or
// a later season stands in.
func (b *Board) DefaultRun(at, now time.Time) (Run, bool) {
	explicit := !at.IsZero()
	if !explicit {
		at = now
	}
	var seasons []Run
	for _, p := range b.Periods {
		if p.Name == "all" {
			return b.RunAt(p, at)
		}
		if !p.Start.IsZero() {
			seasons = append(seasons, Run{p.Name, p.Start, p.End})
		}
	}
	if len(seasons) < len(b.Periods) {
		return b.RunAt(b.Periods[0], at)
	}
	for _, p := range b.Periods {
		if s, in := b.RunAt(p, at); in {
			return s, true
		}
	}
	if explicit {
		return Run{}, false
	}
	ended := slices.DeleteFunc(slices.Clone(seasons), func(s Run) bool { return s.End.After(at) })
	if len(ended) > 0 {
		return slices.MaxFunc(ended, func(x, y Run) int { return x.End.Compare(y.End) }), true
	}
	return slices.MinFunc(seasons, func(x, y Run) int { return x.Start.Compare(y.Start) }), true
}

// Runs returns the runs that an entry at this instant belongs to, in the
// board's order.
func (b *Board) Runs(at time.Time) []Run {
	var list []Run
	for _, p := range b.Periods {
		if s, ok := b.RunAt(p, at); ok {
			list = append(list, s)
		}
	}
	return list
}

// Day returns the beginning of the instant's day in the board's zone.
func (b *Board) Day(at time.Time) time.Time {
	s, _ := b.RunAt(Period{Name: "day"}, at)
	return s.Start
}

// These caches save searching files and minutes again.
var (
	zones  = map[string]*time.Location{}
	begins = map[string]time.Time{}
	runs   = map[string][]Run{}
)

// begin returns the first minute at which clocks show the date or a later one.
func begin(zone *time.Location, y int, m time.Month, d int) time.Time {
	midnight := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	date := midnight.Format(time.DateOnly)
	key := zone.String() + date
	if t, ok := begins[key]; ok {
		return t
	}
	t := midnight.Add(-15 * time.Hour) // no zone is further ahead
	for t.In(zone).Format(time.DateOnly) < date {
		t = t.Add(time.Minute)
	}
	begins[key] = t
	return t
}

// firings returns the last firing up to the instant and the next one after it.
// A cron expression fires at every minute whose local time it matches: twice if
// clocks show it twice, never if they skip it.
func firings(cron string, zone *time.Location, at time.Time) Run {
	key := zone.String() + " " + cron
	for _, s := range runs[key] {
		if !at.Before(s.Start) && at.Before(s.End) {
			return s
		}
	}
	f := parse(cron)
	s := Run{Start: at.UTC().Truncate(time.Minute)}
	for !f.name(s.Start.In(zone)) {
		s.Start = s.Start.Add(-time.Minute)
	}
	s.End = at.UTC().Truncate(time.Minute).Add(time.Minute)
	for !f.name(s.End.In(zone)) {
		s.End = s.End.Add(time.Minute)
	}
	runs[key] = append(runs[key], s)
	return s
}

// cronFields are minute, hour, day of the month, month and day of the week.
type cronFields [5]struct {
	open   bool // begins with *
	values []int
}

// parse accepts lists of `*`, `5`, `1-5`, `*/2` and `1-31/2`, which is all that the
// tests use.
func parse(cron string) cronFields {
	var f cronFields
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			panic(err)
		}
		return n
	}
	for i, field := range strings.Fields(cron) {
		f[i].open = field[0] == '*'
		for text := range strings.SplitSeq(field, ",") {
			text, step, _ := strings.Cut(text, "/")
			if text == "*" {
				text = "0-59" // more than any field has
			}
			low, high, ok := strings.Cut(text, "-")
			if !ok {
				high = low
			}
			first := number(low)
			if text == "0-59" && (i == 2 || i == 3) {
				first = 1
			}
			by := 1
			if step != "" {
				by = number(step)
			}
			for n := first; n <= number(high); n += by {
				f[i].values = append(f[i].values, n)
			}
		}
	}
	return f
}

// name reports whether the fields match a local time. Either day field may match,
// unless one of them begins with `*`
// (https://man7.org/linux/man-pages/man5/crontab.5.html).
func (f cronFields) name(clock time.Time) bool {
	has := func(i, n int) bool { return slices.Contains(f[i].values, n) }
	if !has(1, clock.Hour()) || !has(0, clock.Minute()) || !has(3, int(clock.Month())) {
		return false
	}
	weekday := has(4, int(clock.Weekday())) || clock.Weekday() == time.Sunday && has(4, 7)
	if !f[2].open && !f[4].open {
		return has(2, clock.Day()) || weekday
	}
	return has(2, clock.Day()) && weekday
}
