package schedule

import (
	"maps"
	"strings"
	"testing"
	"time"
)

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestWhenARuleFires(t *testing.T) {
	for _, c := range []struct {
		expression, after string
		want              []string
	}{
		{"rate(1 minute)", "2026-11-28 10:00", []string{"2026-11-28 10:01", "2026-11-28 10:02"}},
		{"rate(5 minutes)", "2026-11-28 10:03", []string{"2026-11-28 10:08"}},
		{"rate(1 hour)", "2026-11-28 10:03", []string{"2026-11-28 11:03"}},
		{"rate(7 days)", "2026-11-28 10:03", []string{"2026-12-05 10:03"}},
		// The examples of EventBridge's documentation.
		{"cron(0 10 * * ? *)", "2026-11-28 10:00", []string{"2026-11-29 10:00", "2026-11-30 10:00"}},
		{"cron(15 12 * * ? *)", "2026-11-28 10:00", []string{"2026-11-28 12:15"}},
		{"cron(0 18 ? * MON-FRI *)", "2026-11-27 18:00", []string{"2026-11-30 18:00"}},
		{"cron(0 8 1 * ? *)", "2026-11-28 10:00", []string{"2026-12-01 08:00", "2027-01-01 08:00"}},
		{"cron(0/15 * * * ? *)", "2026-11-28 10:07", []string{"2026-11-28 10:15", "2026-11-28 10:30"}},
		{"cron(0/10 * ? * MON-FRI *)", "2026-11-27 23:55", []string{"2026-11-30 00:00"}},
		{"cron(0/5 8-17 ? * MON-FRI *)", "2026-11-27 17:54", []string{"2026-11-27 17:55", "2026-11-30 08:00"}},
		{"cron(0 9 ? * 2#1 *)", "2026-11-28 10:00", []string{"2026-12-07 09:00"}},
		{"cron(0/30 20-23 ? * FRI *)", "2026-11-28 10:00", []string{"2026-12-04 20:00"}},
		// Days.
		{"cron(0 0 L * ? *)", "2026-11-28 10:00", []string{"2026-11-30 00:00", "2026-12-31 00:00", "2027-01-31 00:00", "2027-02-28 00:00"}},
		{"cron(0 0 L 2 ? *)", "2027-03-01 00:00", []string{"2028-02-29 00:00"}},
		{"cron(0 0 15W * ? *)", "2026-11-01 00:00", []string{"2026-11-16 00:00", "2026-12-15 00:00"}}, // a Sunday
		{"cron(0 0 28W 11 ? *)", "2026-11-01 00:00", []string{"2026-11-27 00:00"}},                    // a Saturday
		{"cron(0 0 1W * ? *)", "2026-07-15 00:00", []string{"2026-08-03 00:00"}},                      // a Saturday, not back into July
		{"cron(0 0 31W * ? *)", "2027-01-01 00:00", []string{"2027-01-29 00:00", "2027-03-31 00:00"}}, // a Sunday, not on into February
		{"cron(0 0 31 * ? *)", "2026-11-01 00:00", []string{"2026-12-31 00:00", "2027-01-31 00:00", "2027-03-31 00:00"}},
		{"cron(0 0 ? * 6L *)", "2026-11-01 00:00", []string{"2026-11-27 00:00", "2026-12-25 00:00"}},
		{"cron(0 0 ? * L *)", "2026-11-25 00:00", []string{"2026-11-28 00:00", "2026-12-05 00:00"}},
		{"cron(0 0 ? * 3#2 *)", "2026-11-01 00:00", []string{"2026-11-10 00:00", "2026-12-08 00:00"}},
		{"cron(0 0 ? * TUE#5 *)", "2026-11-01 00:00", []string{"2026-12-29 00:00", "2027-03-30 00:00"}},
		{"cron(0 0 ? * 1,7 *)", "2026-11-25 00:00", []string{"2026-11-28 00:00", "2026-11-29 00:00"}},
		// Lists, ranges, steps, names, years.
		{"cron(1,5-7,50/5 3 * * ? *)", "2026-11-28 03:00", []string{"2026-11-28 03:01", "2026-11-28 03:05", "2026-11-28 03:06", "2026-11-28 03:07", "2026-11-28 03:50", "2026-11-28 03:55", "2026-11-29 03:01"}},
		{"cron(0 0-6/3 * * ? *)", "2026-11-28 03:00", []string{"2026-11-28 06:00", "2026-11-29 00:00"}},
		{"cron(0 0 1 jan,JUL ? *)", "2026-11-28 03:00", []string{"2027-01-01 00:00", "2027-07-01 00:00"}},
		{"cron(0 0 29 2 ? *)", "2026-11-28 03:00", []string{"2028-02-29 00:00", "2032-02-29 00:00"}},
		{"cron(0 0 1 1 ? 2026-2028)", "2026-11-28 03:00", []string{"2027-01-01 00:00", "2028-01-01 00:00", ""}},
		{"cron(0 0 1 1 ? 2020)", "2026-11-28 03:00", []string{""}},
		{"cron(0 0 30 2 ? *)", "2026-11-28 03:00", []string{""}},
	} {
		t.Run(c.expression, func(t *testing.T) {
			e, err := Parse(c.expression)
			if err != nil {
				t.Fatal(err)
			}
			at := instant(t, c.after)
			for _, want := range c.want {
				next := e.Next(at)
				if want == "" {
					if !next.IsZero() {
						t.Errorf("after %v it fires at %v", at, next)
					}
					return
				}
				if !next.Equal(instant(t, want)) {
					t.Fatalf("after %v it fires at %v, want %s", at, next, want)
				}
				at = next
			}
		})
	}
}

func TestSecondsDoNotMatter(t *testing.T) {
	e, err := Parse("cron(* * * * ? *)")
	if err != nil {
		t.Fatal(err)
	}
	zone := time.FixedZone("Seoul", 9*3600)
	if got := e.Next(time.Date(2026, 11, 28, 19, 0, 59, 999, zone)); !got.Equal(time.Date(2026, 11, 28, 10, 1, 0, 0, time.UTC)) {
		t.Errorf("got %v", got)
	}
}

func TestWrongExpressions(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "neither",
		"every minute":                    "neither",
		"rate(1 minute":                   "neither",
		"at(2026-11-28T00:00:00)":         "neither",
		"rate(0 minutes)":                 "positive",
		"rate(-1 minutes)":                "positive",
		"rate(1 minutes)":                 "singular",
		"rate(2 minute)":                  "plural",
		"rate(30 seconds)":                "minutes, hours or days",
		"rate(1.5 hours)":                 "positive",
		"rate(999999999 days)":            "too long",
		"cron(0 0 * * *)":                 "six fields",
		"cron(0 0 * * * *)":               "must be ?",
		"cron(0 0 ? * ? *)":               "must be ?",
		"cron(60 0 * * ? *)":              "minutes",
		"cron(0 24 * * ? *)":              "hours",
		"cron(0 0 0 * ? *)":               "day of month",
		"cron(0 0 32 * ? *)":              "day of month",
		"cron(0 0 XW * ? *)":              "day of month",
		"cron(0 0 1 13 ? *)":              "month",
		"cron(0 0 ? * 0 *)":               "day of week",
		"cron(0 0 ? * 8L *)":              "day of week",
		"cron(0 0 ? * 2#6 *)":             "day of week",
		"cron(0 0 ? * DAY *)":             "day of week",
		"cron(0 0 1 1 ? 1969)":            "year",
		"cron(5-1 0 1 1 ? *)":             "minutes",
		"cron(0/0 0 1 1 ? *)":             "minutes",
		"cron( , 0 1 1 ? *)":              "minutes",
		"cron(+1 0 1 1 ? *)":              "minutes",
		"cron(61 25 32 13 ? 1)":           "hours",
		"cron(0 0 ? * MON,TUE#2 * extra)": "six fields",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// The times are those of
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time
// and of https://repost.aws/knowledge-center/eventbridge-scheduler-adjust-dst: a time that
// does not exist is skipped, and one that exists twice fires once.
func TestSchedulesFollowTheClocksOfAZone(t *testing.T) {
	for _, c := range []struct {
		name, zone, expression, after string // in UTC, as want is
		want                          []string
	}{
		{"Seoul has one clock", "Asia/Seoul", "cron(0 9 * * ? *)", "2026-03-29 00:00", []string{"2026-03-30 00:00", "2026-03-31 00:00"}},
		{"Seoul, a month's last day", "Asia/Seoul", "cron(0 0 L * ? *)", "2026-02-01 00:00", []string{"2026-02-27 15:00", "2026-03-30 15:00"}},
		{"Seoul, the day of the week there", "Asia/Seoul", "cron(0 8 ? * MON *)", "2026-11-28 00:00", []string{"2026-11-29 23:00"}},
		{"Seoul, the weekday nearest to the 15th there", "Asia/Seoul", "cron(0 0 15W 11 ? *)", "2026-11-01 00:00", []string{"2026-11-15 15:00"}},
		{"Seoul, a second Tuesday there", "Asia/Seoul", "cron(30 0 ? * 3#2 *)", "2026-11-01 00:00", []string{"2026-11-09 15:30"}},
		{"Seoul, the last Friday of a month there", "Asia/Seoul", "cron(0 0 ? * 6L *)", "2026-11-01 00:00", []string{"2026-11-26 15:00"}},

		{"New York in spring: the hour that is skipped", "America/New_York", "cron(30 2 * * ? *)", "2026-03-07 00:00", []string{"2026-03-07 07:30", "2026-03-09 06:30"}},
		{"New York in spring: the hour after it", "America/New_York", "cron(0 3 * * ? *)", "2026-03-07 12:00", []string{"2026-03-08 07:00", "2026-03-09 07:00"}},
		{"New York in spring: every half hour", "America/New_York", "cron(0/30 * * * ? *)", "2026-03-08 06:00", []string{"2026-03-08 06:30", "2026-03-08 07:00"}},
		{"New York in autumn: the hour that comes twice", "America/New_York", "cron(30 1 * * ? *)", "2026-10-31 12:00", []string{"2026-11-01 05:30", "2026-11-02 06:30"}},
		{"New York in autumn: begun in the hour that comes again", "America/New_York", "cron(30 1 * * ? *)", "2026-11-01 06:10", []string{"2026-11-02 06:30"}},
		{"New York in autumn: every half hour", "America/New_York", "cron(0/30 * * * ? *)", "2026-11-01 05:00", []string{"2026-11-01 05:30", "2026-11-01 07:00"}},
		{"New York in autumn: midnight", "America/New_York", "cron(0 0 * * ? *)", "2026-11-01 00:00", []string{"2026-11-01 04:00", "2026-11-02 05:00"}},

		{"Berlin in spring", "Europe/Berlin", "cron(0 2 * * ? *)", "2026-03-28 00:00", []string{"2026-03-28 01:00", "2026-03-30 00:00"}},
		{"Berlin in spring: the day has 23 hours", "Europe/Berlin", "cron(0 12 * * ? *)", "2026-03-28 00:00", []string{"2026-03-28 11:00", "2026-03-29 10:00"}},
		{"Berlin in autumn", "Europe/Berlin", "cron(0,30 2 * * ? *)", "2026-10-24 12:00", []string{"2026-10-25 00:00", "2026-10-25 00:30", "2026-10-26 01:00"}},
		{"Berlin in autumn: the day has 25 hours", "Europe/Berlin", "cron(0 12 * * ? *)", "2026-10-24 00:00", []string{"2026-10-24 10:00", "2026-10-25 11:00"}},

		{"Lord Howe in spring: half an hour is skipped", "Australia/Lord_Howe", "cron(0/15 2 * * ? *)", "2026-10-03 15:00", []string{"2026-10-03 15:30", "2026-10-03 15:45", "2026-10-04 15:00"}},
		{"Lord Howe in autumn: half an hour comes twice", "Australia/Lord_Howe", "cron(45 1 * * ? *)", "2026-04-04 00:00", []string{"2026-04-04 14:45", "2026-04-05 15:15"}},

		{"midnight that is skipped", "Asia/Beirut", "cron(0 0 * * ? *)", "2026-03-27 12:00", []string{"2026-03-27 22:00", "2026-03-29 21:00"}},
		{"a day that is skipped", "Pacific/Apia", "cron(0 9 * * ? *)", "2011-12-29 12:00", []string{"2011-12-29 19:00", "2011-12-30 19:00"}},

		{"a rate is not moved", "America/New_York", "rate(1 day)", "2026-03-07 12:00", []string{"2026-03-08 12:00", "2026-03-09 12:00"}},

		{"once", "Asia/Seoul", "at(2026-11-28T09:00:30)", "2026-11-27 12:00", []string{"2026-11-28 00:00:30", ""}},
		{"once, in the hour that comes twice", "Europe/Berlin", "at(2026-10-25T02:30:00)", "2026-10-01 00:00", []string{"2026-10-25 00:30", ""}},
		{"once, in the hour that is skipped", "Europe/Berlin", "at(2026-03-29T02:30:00)", "2026-03-01 00:00", []string{""}},
		{"once, in the past", "UTC", "at(2026-03-29T02:30:00)", "2026-03-29 02:30", []string{""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			e, err := ParseIn(c.expression, zone)
			if err != nil {
				t.Fatal(err)
			}
			from := instant(t, c.after)
			for _, want := range c.want {
				next := e.Next(from)
				wanted := time.Time{}
				if want != "" {
					layout := "2006-01-02 15:04:05"
					if wanted, err = time.Parse(layout[:len(want)], want); err != nil {
						t.Fatal(err)
					}
				}
				if !next.Equal(wanted) {
					t.Fatalf("after %v it fires at %v, want %v", from, next, wanted)
				}
				from = next
			}
		})
	}
}

// In zones whose clocks change, each quarter of an hour that they show in a year fires
// once, one after the other.
func TestEveryTimeThatTheClocksShowFiresOnce(t *testing.T) {
	const layout = "2006-01-02 15:04"
	start, end := instant(t, "2025-12-30 00:00"), instant(t, "2027-01-02 00:00")
	for _, name := range []string{"America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "America/St_Johns"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		e, err := ParseIn("cron(*/15 * * * ? 2026)", zone)
		if err != nil {
			t.Fatal(err)
		}
		fired, last := map[string]bool{}, start
		for at := e.Next(start); !at.IsZero(); at = e.Next(at) {
			wall := at.In(zone).Format(layout)
			if fired[wall] || !at.After(last) {
				t.Fatalf("%s: %v after %v", name, at, last)
			}
			fired[wall], last = true, at
		}
		shown := map[string]bool{}
		for at := start; at.Before(end); at = at.Add(15 * time.Minute) {
			if here := at.In(zone); here.Year() == 2026 {
				shown[here.Format(layout)] = true
			}
		}
		if !maps.Equal(fired, shown) {
			t.Errorf("%s: %d times fired, the clocks show %d", name, len(fired), len(shown))
		}
	}
}

func TestWrongSchedules(t *testing.T) {
	for _, text := range []string{"at(2026-11-28)", "at(2026-11-28T09:00)", "at(2026-11-28T09:00:00Z)", "at(2026-02-30T09:00:00)", "at(2026-11-28T09:00:00.5)", "at()", "every(1)", "cron(0 0 * * *)", "rate(1 minutes)"} {
		if _, err := ParseIn(text, time.UTC); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestLimitsOfASchedule(t *testing.T) {
	parse := func(text string) time.Time {
		if text == "" {
			return time.Time{}
		}
		return instant(t, text)
	}
	for _, c := range []struct {
		name, expression, start, end, after string
		want                                []string
	}{
		{"cron from a start on", "cron(0 9 * * ? *)", "2026-11-28 09:00", "", "2026-11-01 00:00", []string{"2026-11-28 09:00", "2026-11-29 09:00"}},
		{"cron before an end", "cron(0 9 * * ? *)", "", "2026-11-29 09:00", "2026-11-27 12:00", []string{"2026-11-28 09:00", ""}},
		{"a rate from a start on", "rate(6 hours)", "2026-11-28 09:10", "", "2026-11-01 00:00", []string{"2026-11-28 09:10", "2026-11-28 15:10"}},
		{"a rate that started long ago", "rate(6 hours)", "2026-11-01 09:10", "", "2026-11-28 09:09", []string{"2026-11-28 09:10", "2026-11-28 15:10"}},
		{"a rate without a start", "rate(6 hours)", "", "2026-11-29 00:00", "2026-11-28 09:09", []string{"2026-11-28 09:09", "2026-11-28 15:09", "2026-11-28 21:09", ""}},
		{"once, before the start", "at(2026-11-28T09:00:00)", "2026-11-28 10:00", "", "2026-11-01 00:00", []string{""}},
		{"once", "at(2026-11-28T09:00:00)", "2026-11-28 09:00", "2026-11-28 09:01", "2026-11-01 00:00", []string{"2026-11-28 09:00", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := ParseIn(c.expression, time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			e = Limit(e, parse(c.start), parse(c.end))
			from := instant(t, c.after)
			for _, want := range c.want {
				next := e.Next(from)
				if !next.Equal(parse(want)) {
					t.Fatalf("after %v it fires at %v, want %s", from, next, want)
				}
				from = next
			}
		})
	}
}
