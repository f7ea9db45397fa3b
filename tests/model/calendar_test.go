package model

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"testing"
	"time"
)

// around lists periods whose boundaries meet clock changes. They fire in hours
// that clocks skip or repeat, at midnight, and on days that are skipped or
// shortened.
var around = []Period{
	{Name: "day"}, {Name: "week"}, {Name: "month"},
	{Name: "midnights", Cron: "0 0 * * *"},
	{Name: "nights", Cron: "0,1,30,45 0,1,2,3,23 * * *"},
	{Name: "hours", Cron: "15 * */2 * 5-7"},
	{Name: "thirtieths", Cron: "30 1 30,31 * *"},
	{Name: "either", Cron: "59 2 1,15 3,4,10-12 7"},
}

// Entries around every kind of clock change credit the runs that a wall clock
// would show, and lists show the same boundaries.
func TestPeriodsWhereClocksChange(t *testing.T) {
	const changes, instants = 2, 30 // changes to try per zone, and instants around each
	r := rand.New(rand.NewPCG(20261122, 0))
	s := start(t, 1)
	for number, c := range []struct {
		zone   string
		always []string // days whose changes must be among those tried
	}{
		{"Europe/Berlin", []string{"2026-03-29", "2026-10-25"}},
		{"America/New_York", []string{"2026-03-08", "2026-11-01"}},
		{"America/Sao_Paulo", []string{"2018-11-04", "2019-02-17"}}, // changes at midnight, forward and back
		{"America/Havana", []string{"2026-03-08", "2026-11-01"}},    // changes to and from midnight
		{"America/St_Johns", []string{"2010-03-14", "2010-11-07"}},  // goes back from a minute past midnight
		{"Australia/Lord_Howe", []string{"2026-04-04", "2026-10-03"}},
		{"Asia/Seoul", nil}, // no changes since 1988
		{"Asia/Beirut", []string{"2026-03-28"}},
		{"Pacific/Apia", []string{"2011-12-30"}}, // skipped a date
		{"Africa/Casablanca", []string{"2026-02-15", "2026-03-22"}},
	} {
		t.Run(c.zone, func(t *testing.T) {
			b := defaults(fmt.Sprint("b", number), userID(0, "organizer"))
			b.TimeZone, b.Grace, b.Periods = c.zone, 366*24*time.Hour, around
			if w := s.send("0/organizer", "POST", "/v1/boards", text(only(b, []string{"id", "time_zone", "grace", "periods"}))); w.Code != 201 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			found := clockChanges(b.Zone())
			var tried []time.Time
			for _, day := range c.always {
				i := slices.IndexFunc(found, func(at time.Time) bool { return at.Format(time.DateOnly) == day })
				if i < 0 {
					t.Fatalf("clocks do not change on %s: %v", day, found)
				}
				tried = append(tried, found[i])
			}
			for range changes {
				if len(found) > 0 {
					tried = append(tried, found[r.IntN(len(found))])
				} else {
					tried = append(tried, time.Date(2026, time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), 0, 0, 0, time.UTC))
				}
			}
			for _, change := range tried {
				var at []time.Time
				for range instants {
					at = append(at, near(r, change))
				}
				s.sameRuns(t, b, change, at)
			}
		})
	}
}

// clockChanges returns the first minutes after the zone's clock changes in this
// century up to 2026, because entries cannot be in the future.
func clockChanges(zone *time.Location) []time.Time {
	offset := func(at time.Time) int {
		_, seconds := at.In(zone).Zone()
		return seconds
	}
	var list []time.Time
	for day := time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC); day.Year() < 2027; day = day.Add(24 * time.Hour) {
		next := day.Add(24 * time.Hour)
		if offset(day) == offset(next) {
			continue
		}
		at := day
		for offset(at) == offset(day) {
			at = at.Add(time.Minute)
		}
		list = append(list, at)
	}
	return list
}

// near draws an instant around a change: at the change, to the microsecond, at
// hours and half hours around it, or anywhere within two days.
func near(r *rand.Rand, change time.Time) time.Time {
	at := change.Add(time.Duration(r.IntN(9)-4) * 30 * time.Minute)
	switch r.IntN(4) {
	case 0:
		return at
	case 1:
		return at.Add(-time.Microsecond)
	case 2:
		return at.Add(time.Duration(r.IntN(121)-60) * time.Minute)
	}
	return change.Add(time.Duration(r.Int64N(int64(96*time.Hour))) - 48*time.Hour).Truncate(time.Microsecond)
}

// sameRuns adds an entry at each instant, a month later, and compares the runs
// that they credit.
func (s *stack) sameRuns(t *testing.T, b *Board, change time.Time, at []time.Time) {
	t.Helper()
	s.stop(change.Add(40 * 24 * time.Hour))
	var items []map[string]any
	for _, a := range at {
		items = append(items, map[string]any{"board": b.ID, "player": "p", "points": 1, "occurred_at": a})
	}
	w := s.send("0/organizer", "POST", "/v1/entries/batch", text(map[string]any{"entries": items}))
	var made struct{ Batch string }
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || w.Code != 201 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var entries struct {
		Items []struct {
			OccurredAt time.Time `json:"occurred_at"`
			Standings  []struct {
				Period string
				Start  time.Time
			}
		}
	}
	s.read("/v1/boards/"+b.ID+"/entries?limit=100&batch="+made.Batch, &entries)
	if len(entries.Items) != len(at) {
		t.Fatalf("%d entries are listed, not %d", len(entries.Items), len(at))
	}
	wanted := map[string]bool{}
	for _, e := range entries.Items {
		var got, want []string
		for _, c := range e.Standings {
			got = append(got, fmt.Sprint(c.Period, " ", c.Start))
		}
		for _, run := range b.Runs(e.OccurredAt) {
			want = append(want, fmt.Sprint(run.Name, " ", run.Start))
			wanted[fmt.Sprint(run.Name, run.Start, run.End)] = true
		}
		if !slices.Equal(got, want) {
			t.Errorf("an entry at %s in %s (%s) is credited to\n%q, not to\n%q", e.OccurredAt, b.TimeZone, e.OccurredAt.In(b.Zone()), got, want)
		}
	}
	// The list of all periods shows where runs end, including those of earlier
	// entries.
	listed := map[string]bool{}
	for cursor := ""; ; {
		var page struct {
			Items []struct {
				Name       string
				Start, End time.Time
			}
			Next string
		}
		s.read("/v1/boards/"+b.ID+"/periods?limit=100"+cursor, &page)
		for _, run := range page.Items {
			listed[fmt.Sprint(run.Name, run.Start, run.End)] = true
		}
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + page.Next
	}
	for run := range wanted {
		if !listed[run] {
			t.Errorf("the run %s in %s is not listed", run, b.TimeZone)
		}
	}
	// A request for the run of an instant returns the same run.
	for _, p := range b.Periods {
		var table struct {
			Period struct{ Start, End time.Time }
		}
		run, _ := b.RunAt(p, at[0])
		s.read("/v1/boards/"+b.ID+"/standings?limit=1&period="+p.Name+"&at="+url.QueryEscape(at[0].Format(time.RFC3339Nano)), &table)
		if !table.Period.Start.Equal(run.Start) || !table.Period.End.Equal(run.End) {
			t.Errorf("the run of %s at %s in %s is %+v, not %+v", p.Name, at[0], b.TimeZone, table.Period, run)
		}
	}
}

// read reads JSON as the organizer.
func (s *stack) read(target string, to any) {
	s.Helper()
	w := s.send("0/organizer", "GET", target, "")
	if err := json.Unmarshal(w.Body.Bytes(), to); err != nil || w.Code != 200 {
		s.Fatalf("%s: %d %s", target, w.Code, w.Body)
	}
}
