package model

import (
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the same days on every machine
)

// Period is one of a board's: all, day, week, month, a cron expression, or a
// season from Start to End.
type Period struct {
	Name, Cron string
	Start, End time.Time
}

// Span is one run of a period, from Start until just before End. `all` has
// neither.
type Span struct {
	Name       string
	Start, End time.Time
}

// Zone is where the board's days are.
func (b *Board) Zone() *time.Location {
	zone, err := time.LoadLocation(b.TimeZone)
	if err != nil {
		panic(err)
	}
	return zone
}

// Span gives the run of the period that contains the instant, if one does.
func (b *Board) Span(p Period, at time.Time) (Span, bool) {
	zone := b.Zone()
	y, m, d := at.In(zone).Date()
	switch {
	case p.Cron != "":
		return Span{p.Name, lastFiring(p.Cron, zone, at), nextFiring(p.Cron, zone, at)}, true
	case !p.Start.IsZero():
		return Span{p.Name, p.Start, p.End}, !at.Before(p.Start) && at.Before(p.End)
	case p.Name == "day":
		return Span{p.Name, begin(zone, y, m, d), begin(zone, y, m, d+1)}, true
	case p.Name == "week":
		for time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Weekday() != time.Monday {
			d--
		}
		return Span{p.Name, begin(zone, y, m, d), begin(zone, y, m, d+7)}, true
	case p.Name == "month":
		return Span{p.Name, begin(zone, y, m, 1), begin(zone, y, m+1, 1)}, true
	}
	return Span{Name: "all"}, true
}

// Spans are the runs that an entry of this instant belongs to, in the board's
// order.
func (b *Board) Spans(at time.Time) []Span {
	var list []Span
	for _, p := range b.Periods {
		if s, ok := b.Span(p, at); ok {
			list = append(list, s)
		}
	}
	return list
}

// Day names the day of an instant where the board is.
func (b *Board) Day(at time.Time) string { return at.In(b.Zone()).Format(time.DateOnly) }

// begin is the first quarter of an hour of a day: where a clock is put forward
// at midnight, the day begins at one.
func begin(zone *time.Location, y int, m time.Month, d int) time.Time {
	midnight := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	day := midnight.Format(time.DateOnly)
	t := midnight.Add(-15 * time.Hour)
	for t.In(zone).Format(time.DateOnly) < day {
		t = t.Add(15 * time.Minute)
	}
	return t.UTC()
}

// lastFiring is the latest firing that is not after the instant.
func lastFiring(cron string, zone *time.Location, at time.Time) time.Time {
	y, m, d := at.In(zone).Date()
	for back := 0; ; back++ {
		for _, t := range slices.Backward(firings(cron, zone, y, m, d-back)) {
			if !t.After(at) {
				return t
			}
		}
	}
}

// nextFiring is the first one after the instant.
func nextFiring(cron string, zone *time.Location, at time.Time) time.Time {
	y, m, d := at.In(zone).Date()
	for on := 0; ; on++ {
		for _, t := range firings(cron, zone, y, m, d+on) {
			if t.After(at) {
				return t
			}
		}
	}
}

// firings are those of one day, in order. The model asks for none at an hour
// that a zone leaves out or has twice.
func firings(cron string, zone *time.Location, y int, m time.Month, d int) []time.Time {
	f := strings.Fields(cron) // minute hour day-of-month month day-of-week
	day := time.Date(y, m, d, 12, 0, 0, 0, zone)
	if !matches(f[2], day.Day()) || !matches(f[3], int(day.Month())) || !matches(f[4], int(day.Weekday())) {
		return nil
	}
	var list []time.Time
	for hour := range 24 {
		for minute := range 60 {
			if matches(f[1], hour) && matches(f[0], minute) {
				list = append(list, time.Date(y, m, d, hour, minute, 0, 0, zone).UTC())
			}
		}
	}
	return list
}

// matches knows `*`, `5` and `1,15`, which is all the tests use.
func matches(field string, n int) bool {
	return field == "*" || slices.Contains(strings.Split(field, ","), strconv.Itoa(n))
}
