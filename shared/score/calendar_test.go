package score

import (
	"encoding/json"
	"testing"
	"time"

	"plaudit/shared/timezone"
)

func TestRuns(t *testing.T) {
	for _, c := range []struct{ name, zone, period, at, start, end string }{
		{"a day is the zone's", "Asia/Seoul", "day", "2026-04-05T15:00:00Z", "2026-04-05T15:00:00Z", "2026-04-06T15:00:00Z"},
		{"its last instant", "Asia/Seoul", "day", "2026-04-05T14:59:59.999999Z", "2026-04-04T15:00:00Z", "2026-04-05T15:00:00Z"},
		{"a week begins on Monday", "UTC", "week", "2026-04-05T23:59:59Z", "2026-03-30T00:00:00Z", "2026-04-06T00:00:00Z"},
		{"over the end of a year", "UTC", "week", "2027-01-01T00:00:00Z", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"},
		{"a month", "UTC", "month", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
		{"December", "UTC", "month", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"a day of 23 hours", "Europe/Berlin", "day", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"a day of 25 hours", "Europe/Berlin", "day", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		{"a day without midnight", "America/Sao_Paulo", "day", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		{"the day before it", "America/Sao_Paulo", "day", "2018-11-04T02:59:59Z", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"},
		{"a day with two midnights", "America/Havana", "day", "2026-11-01T04:30:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
		{"its second first hour", "America/Havana", "day", "2026-11-01T05:30:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
		{"the day before one that the zone skipped", "Pacific/Apia", "day", "2011-12-30T09:00:00Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},
		{"the day after it", "Pacific/Apia", "day", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := Board{ID: "b", TimeZone: c.zone, Periods: []Period{{Name: All}, {Name: c.period}}}
			runs, err := b.Runs(instantOf(t, c.at))
			if err != nil {
				t.Fatal(err)
			}
			if runs[0] != (Run{Name: All}) {
				t.Errorf("all is %v", runs[0])
			}
			if want := (Run{c.period, instantOf(t, c.start), instantOf(t, c.end)}); runs[1] != want {
				t.Errorf("got %v, want %v", runs[1], want)
			}
		})
	}
}

func instantOf(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

// Whatever clocks do, every instant is in exactly one run of a period, and the
// next run begins where it ends.
func TestRunsOfAPeriodFollowEachOther(t *testing.T) {
	for _, name := range []string{
		"UTC", "Asia/Seoul", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "America/St_Johns", "America/Asuncion",
		"Asia/Beirut", "Africa/Cairo", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Tehran", "Atlantic/Azores", "America/Scoresbysund",
	} {
		zone, err := timezone.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, period := range []string{"day", "week", "month"} {
			at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
			last, err := calendarRun(period, zone, at)
			if err != nil {
				t.Fatal(err)
			}
			for at.Year() < 2030 {
				next, err := calendarRun(period, zone, last.End)
				if err != nil {
					t.Fatal(err)
				}
				if !next.Start.Equal(last.End) || !next.contains(last.End) {
					t.Fatalf("%s %s: after %v comes %v", name, period, last, next)
				}
				for _, inside := range []time.Time{last.Start, last.End.Add(-time.Microsecond), last.Start.Add(last.End.Sub(last.Start) / 2)} {
					if got, err := calendarRun(period, zone, inside); err != nil || got != last {
						t.Fatalf("%s %s: %v is in %v (%v), want %v", name, period, inside, got, err, last)
					}
				}
				at, last = last.End, next
			}
		}
	}
}

func TestCronRuns(t *testing.T) {
	for _, c := range []struct{ name, zone, cron, at, start, end string }{
		{"from one firing to the next", "Asia/Seoul", "30 6,18 * * *", "2026-04-05T00:00:00Z", "2026-04-04T21:30:00Z", "2026-04-05T09:30:00Z"},
		{"at the firing", "UTC", "0 9 * * 1", "2026-04-06T09:00:00Z", "2026-04-06T09:00:00Z", "2026-04-13T09:00:00Z"},
		{"the last instant before it", "UTC", "0 9 * * 1", "2026-04-06T08:59:59.999999Z", "2026-03-30T09:00:00Z", "2026-04-06T09:00:00Z"},
		{"over a year", "UTC", "0 0 1 1 *", "2026-12-31T23:00:00Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"over four years", "UTC", "0 0 29 2 *", "2027-04-05T00:00:00Z", "2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"an hour that clocks skip has no firing", "Europe/Berlin", "30 2 * * *", "2026-03-29T12:00:00Z", "2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"},
		{"an hour that clocks repeat has two", "Europe/Berlin", "30 2 * * *", "2026-10-25T01:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
		{"the second of them", "Europe/Berlin", "30 2 * * *", "2026-10-25T02:00:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"},
		{"the 366th day of a year that only the zone's rule describes", "America/New_York", "0 0 * * *", "2040-12-31T12:00:00Z", "2040-12-31T05:00:00Z", "2041-01-01T05:00:00Z"},
		{"over a change that is not the zone's rule", "America/Metlakatla", "59 23 31 * *", "2019-01-21T04:30:00Z", "2019-01-01T07:59:00Z", "2019-02-01T08:59:00Z"},
		{"a day of 23 hours", "Europe/Berlin", "0 0 * * *", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := Board{ID: "b", TimeZone: c.zone, Periods: []Period{{Name: "s", Cron: c.cron}}}
			for range 2 { // parsed, then cached
				runs, err := b.Runs(instantOf(t, c.at))
				if want := (Run{"s", instantOf(t, c.start), instantOf(t, c.end)}); err != nil || len(runs) != 1 || runs[0] != want {
					t.Errorf("got %v (%v), want %v", runs, err, want)
				}
			}
		})
	}
}

// Whatever clocks do, runs of a cron expression leave no gap and do not depend
// on the instant that they are looked up by.
func TestRunsOfACronFollowEachOther(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Asia/Beirut", "America/St_Johns"} {
		for _, cron := range []string{"0 0 * * *", "30 2 * * *", "15 */5 * * 0", "0 12 1 1,4,7,10 *", "59 23 31 * *"} {
			b := Board{ID: "b", TimeZone: name}
			p := Period{Name: "s", Cron: cron}
			last, _, err := b.RunAt(p, time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
			if err != nil {
				t.Fatal(err)
			}
			for last.End.Year() < 2027 {
				next, _, err := b.RunAt(p, last.End)
				if err != nil || !next.Start.Equal(last.End) {
					t.Fatalf("%s %s: after %v comes %v (%v)", name, cron, last, next, err)
				}
				for _, inside := range []time.Time{last.End.Add(-time.Microsecond), last.Start.Add(last.End.Sub(last.Start) / 2), last.Start} {
					if got, _, err := b.RunAt(p, inside); err != nil || got != last {
						t.Fatalf("%s %s: %v is in %v (%v), want %v", name, cron, inside, got, err, last)
					}
				}
				last = next
			}
		}
	}
}

func TestSeasonsHaveAStartAndAnEnd(t *testing.T) {
	start, end := instantOf(t, "2026-04-01T00:00:00Z"), instantOf(t, "2026-05-01T00:00:00Z")
	b := Board{ID: "b", TimeZone: "Asia/Seoul", Periods: []Period{{Name: "spring", Start: start, End: end}}}
	for at, in := range map[string]bool{
		"2026-03-31T23:59:59.999999Z": false, "2026-04-01T00:00:00Z": true, "2026-04-30T23:59:59.999999Z": true, "2026-05-01T00:00:00Z": false,
	} {
		if runs, err := b.Runs(instantOf(t, at)); err != nil || (len(runs) == 1) != in {
			t.Errorf("%s: %v (%v)", at, runs, err)
		}
	}
}

func TestPeriodsSurviveJSON(t *testing.T) {
	const text = `["all",{"name":"noon","cron":"0 12 * * *"},{"name":"spring","start":"2026-04-01T00:00:00Z","end":"2026-05-01T00:00:00.5Z"}]`
	var periods []Period
	if err := json.Unmarshal([]byte(text), &periods); err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(periods); err != nil || string(got) != text {
		t.Errorf("got %s (%v)", got, err)
	}
}
