package score

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"plaudit/shared/timezone"
)

// Expressions are compared around clock changes, where local times and instants
// diverge, and at arbitrary times.
func TestCronRunsEqualBruteForce(t *testing.T) {
	const seed = 1
	expressions := []string{
		"* * * * *", "*/5 * * * *", "1-59 * * * *", "0 * * * *", "59 23 * * *", "0,1 0 * * *", "30 2 * * *", "15,45 1-3 * * *", "0 */7 * * 0",
		"0 12 13 * 5", "0 0 1 1,4,7,10 *", "59 23 31 * *", "0 0 29 2 *",
	}
	for name, years := range map[string][2]int{
		"UTC":                  {2000, 2050},
		"America/St_Johns":     {1987, 2012}, // a minute past midnight; by two hours in 1988
		"Australia/Lord_Howe":  {2000, 2050}, // by half an hour
		"Africa/Casablanca":    {2008, 2050}, // four times a year
		"Asia/Seoul":           {1987, 2020}, // no changes since 1988
		"Asia/Pyongyang":       {2014, 2019}, // by half an hour, for good
		"America/New_York":     {2000, 2050},
		"America/Havana":       {2000, 2050}, // at midnight
		"Pacific/Apia":         {2009, 2014}, // without 30 December 2011
		"America/Metlakatla":   {2018, 2020}, // to another zone in the middle of a winter
		"Antarctica/Troll":     {2004, 2050}, // by two hours
		"America/Scoresbysund": {2022, 2028}, // by an hour, and to another zone at once
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, uint64(len(name))))
			zone, err := timezone.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			from, to := time.Date(years[0], 1, 1, 0, 0, 0, 0, time.UTC), time.Date(years[1], 1, 1, 0, 0, 0, 0, time.UTC)
			for _, expression := range expressions {
				ask := everyMinute(t, expression, zone)
				for _, at := range instants(random, zone, from, to) {
					got, err := cronRun(Period{Name: "s", Cron: expression}, zone, at)
					if want := ask(at); err != nil || got != want {
						t.Fatalf("%s at %v: got %v (%v), want %v", expression, at.Format(time.RFC3339Nano), got, err, want)
					}
				}
			}
		})
	}
}

// instants returns some instants near changes of the zone's clocks and some
// anywhere.
func instants(random *rand.Rand, zone *time.Location, from, to time.Time) []time.Time {
	days := func(n int) time.Duration { return time.Duration(random.Int64N(int64(n) * 24 * int64(time.Hour))) }
	var anchors, all []time.Time
	for at := from; at.Before(to); at = at.Add(24 * time.Hour) {
		_, now := at.In(zone).Zone()
		if _, later := at.Add(24 * time.Hour).In(zone).Zone(); later != now {
			anchors = append(anchors, at)
		}
	}
	random.Shuffle(len(anchors), func(i, j int) { anchors[i], anchors[j] = anchors[j], anchors[i] })
	for _, a := range anchors[:min(len(anchors), 4)] {
		all = append(all, a)
		for range 12 {
			at := a.Add(days(4) - 36*time.Hour)
			whole := at.Truncate(time.Minute)
			all = append(all, at, whole, whole.Add(-1), whole.Add(1))
		}
	}
	for range 4 {
		all = append(all, from.Add(days(int(to.Sub(from).Hours()/24))))
	}
	return all
}

// everyMinute is cronRun by brute force: it tries every minute of the days
// around the instant.
func everyMinute(t *testing.T, expression string, zone *time.Location) func(at time.Time) Run {
	schedule, err := parseCron(expression)
	if err != nil {
		t.Fatal(err)
	}
	kept := map[date][]time.Time{}
	on := func(d date) []time.Time {
		if _, ok := kept[d]; !ok {
			kept[d] = firings(schedule, d, zone)
		}
		return kept[d]
	}
	const maxDays = 9 * 366
	return func(at time.Time) Run {
		s := Run{Name: "s"}
		today := dateOf(at.In(zone))
		// One more day on both sides, because a date may occur twice near
		// midnight. And one more after the first with a firing: if clocks are
		// set back across midnight (in St. John's, one minute past it), the
		// local times of two dates are mixed.
		for n, last := 1, -maxDays; n > last; n-- {
			for _, t := range on(today.add(0, n)) {
				if !t.After(at) && t.After(s.Start) {
					s.Start, last = t, max(last, n-2)
				}
			}
		}
		for n, last := -1, maxDays; n < last; n++ {
			for _, t := range on(today.add(0, n)) {
				if t.After(at) && (s.End.IsZero() || t.Before(s.End)) {
					s.End, last = t, min(last, n+2)
				}
			}
		}
		return s
	}
}

// firings returns the instants of a local date at which the schedule fires, in
// order.
func firings(s *cron.SpecSchedule, d date, zone *time.Location) []time.Time {
	noon := time.Date(d.year, d.month, d.day, 12, 0, 0, 0, time.UTC)
	dom, dow := s.Dom&(1<<d.day) != 0, s.Dow&(1<<noon.Weekday()) != 0
	day := dom && dow
	if s.Dom&star == 0 && s.Dow&star == 0 {
		day = dom || dow // crontab(5): either may match if both are restricted
	}
	if !day || s.Month&(1<<d.month) == 0 {
		return nil
	}
	// A clock shows a time by the offset of the day before or by that of the
	// day after. If both are valid, it shows the time twice.
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

// BenchmarkRuns measures one item of a batch whose times are 7 hours apart.
func BenchmarkRuns(b *testing.B) {
	minutely := make([]Period, 8)
	for i := range minutely {
		minutely[i] = Period{Name: string(rune('a' + i)), Cron: []string{"*", "*/1", "0-59", "1-59", "0-58", "2-59", "0-57", "3-59"}[i] + " * * * *"}
	}
	for _, c := range []struct {
		name    string
		periods []Period
	}{
		{"calendar", []Period{{Name: All}, {Name: Day}, {Name: Week}, {Name: Month}}},
		{"every five minutes", []Period{{Name: "s", Cron: "*/5 * * * *"}}},
		{"eight of every minute", minutely},
		{"twice a day", []Period{{Name: "s", Cron: "30 6,18 * * *"}}},
		{"29 February", []Period{{Name: "s", Cron: "0 0 29 2 *"}}},
	} {
		for _, zone := range []string{"UTC", "America/New_York"} {
			b.Run(c.name+"/"+zone, func(b *testing.B) {
				board := Board{ID: "b", TimeZone: zone, Periods: c.periods}
				start := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
				for i := 0; b.Loop(); i++ {
					if _, err := board.Runs(start.Add(time.Duration(i%1000) * 7 * time.Hour)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
