package score

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"plaudit/shared/timezone"
)

// Expressions are compared around clock changes, where local times and instants
// diverge, and at arbitrary times.
func TestCronRunsEqualBruteForce(t *testing.T) {
	const seed = 1
	expressions := []string{
		"* * * * *", "*/5 * * * *", "1-59 * * * *", "0 * * * *", "59 23 * * *", "0,1 0 * * *", "30 2 * * *", "15,45 1-3 * * *", "0 */7 * * 0",
		"0 12 13 * 5", "0 0 1 1,4,7,10 *", "59 23 31 * *", "0 0 29 2 *", "0 0 */2 * 1", "30 1 1-31 * 1", "0 0 1,15 * */2", "0 2 * jan-MAR FRI,5-7",
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

// Random expressions are parsed as crontab(5) says.
func TestRandomCronRunsEqualBruteForce(t *testing.T) {
	const seed, expressions = 3, 400
	random := rand.New(rand.NewPCG(seed, 0))
	from, to := time.Date(2080, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC)
	for range expressions {
		expression := randomCron(random)
		zone, err := timezone.Load([]string{"UTC", "America/New_York", "Australia/Lord_Howe"}[random.IntN(3)])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseCron(expression); err != nil {
			c := readCrontab(t, expression)
			for d := dateOf(from); d.before(dateOf(to.AddDate(10, 0, 0))); d = d.add(0, 1) {
				if c.onDate(d) {
					t.Fatalf("%s is refused (%v), but matches %v", expression, err, d)
				}
			}
			continue
		}
		ask := everyMinute(t, expression, zone)
		for range 4 {
			at := from.Add(time.Duration(random.Int64N(int64(to.Sub(from)))))
			got, err := cronRun(Period{Name: "s", Cron: expression}, zone, at)
			if want := ask(at); err != nil || got != want {
				t.Fatalf("%s at %v in %v: got %v (%v), want %v", expression, at, zone, got, err, want)
			}
		}
	}
}

// randomCron returns a valid expression, or one that never fires.
func randomCron(random *rand.Rand) string {
	fields := make([]string, 5)
	for i := range fields {
		f := cronFields[i]
		value := func(n int) string {
			if n-f.first < len(f.names) && random.IntN(3) == 0 {
				return []string{f.names[n-f.first], strings.ToLower(f.names[n-f.first])}[random.IntN(2)]
			}
			return fmt.Sprintf([]string{"%d", "%02d"}[random.IntN(2)], n)
		}
		var items []string
		for range 1 + random.IntN(3)*random.IntN(2) {
			low := f.first + random.IntN(f.last-f.first+1)
			item := []string{"*", value(low), value(low) + "-" + value(low+random.IntN(f.last-low+1))}[random.IntN(3)]
			if strings.ContainsAny(item, "*-") && random.IntN(3) == 0 {
				item += fmt.Sprint("/", 1+random.IntN(f.last))
			}
			items = append(items, item)
		}
		fields[i] = strings.Join(items, ",")
	}
	if random.IntN(4) == 0 { // rare ones
		fields[2], fields[3] = []string{"29", "30", "31", "29-31"}[random.IntN(4)], []string{"2", "FEB", "2-12/12", "2,4"}[random.IntN(4)]
		fields[4] = fmt.Sprint("*/", 1+random.IntN(7))
	}
	return strings.Join(fields, " ")
}

// 29 February is on one weekday once in 28 years, and in 40 years around 2100.
func TestCronRunsLast40Years(t *testing.T) {
	for _, name := range []string{"UTC", "Asia/Seoul", "America/New_York", "Africa/Casablanca"} {
		zone, err := timezone.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		longest := time.Duration(0)
		for at := time.Date(2080, 1, 1, 0, 0, 0, 0, zone); at.Year() < 2400; {
			run, err := cronRun(Period{Name: "s", Cron: "30 2 29 FEB */7"}, zone, at)
			if err != nil || run.Start.IsZero() || run.End.In(zone).Format("01-02 15:04 Mon") != "02-29 02:30 Sun" {
				t.Fatalf("%s: %v (%v)", name, run, err)
			}
			longest, at = max(longest, run.End.Sub(run.Start)), run.End
		}
		if years := longest.Hours() / 24 / 365.2425; years < 39.9 || years > 40.1 {
			t.Errorf("%s: the longest run has %.1f years", name, years)
		}
	}
}

func TestCronIsParsedByCrontab5(t *testing.T) {
	for _, c := range []struct{ expression, same string }{
		{"0 0 * * 7", "0 0 * * 0"},
		{"0 0 * * 5-7", "0 0 * * 0,5,6"},
		{"0 0 * * 0-7", "0 0 * * *"},
		{"0 0 * * 1-7/2", "0 0 * * 0,1,3,5"},
		{"0 0 * * */7", "0 0 * * 0"},
		{"0 0 * * sun,Mon-FRI/2", "0 0 * * 0,1,3,5"},
		{"0 0 * jan-3,DEC *", "0 0 * 1,2,3,12 *"},
		{"00 09 01 01 00", "0 9 1 1 0"},
		{"\t0  0\t* * * ", "0 0 * * *"},
		{"*/59 */23 */31 */12 *", "0,59 0,23 1 1 *"},
		{"0 0 */2 * 1-7", "0 0 1-31/2 * *"},
	} {
		got, err := parseCron(c.expression)
		want, wantErr := parseCron(c.same)
		if err != nil || wantErr != nil || *got != *want {
			t.Errorf("%q differs from %q (%v, %v)", c.expression, c.same, err, wantErr)
		}
	}
}

func TestCronRefuses(t *testing.T) {
	for _, c := range []struct{ expression, detail string }{
		{"", "it must have five fields, not 0"},
		{"0 0 * *", "it must have five fields, not 4"},
		{"0 0 0 * * *", "it must have five fields, not 6"},
		{"@daily", "it must have five fields, not 1"},
		{"CRON_TZ=UTC 0 0 * * *", "it must have five fields, not 6"},
		{"0 0 * *\n*", "it must have five fields, not 4"},
		{"0 0 * *\u00a0*", "it must have five fields, not 4"},
		{"TZ=UTC 0 * * *", `in the minute "TZ=UTC", "TZ=UTC" is not a value; write 0 to 59`},
		{"1,, 0 * * *", `in the minute "1,,", a value is missing; write * or 0 to 59`},
		{",1 0 * * *", `in the minute ",1", a value is missing`},
		{"0 0 * * MON,", `in the day of week "MON,", a value is missing; write * or 0 to 7 or SUN to SAT`},
		{"+5 0 * * *", `in the minute "+5", "+5" is not a value`},
		{"-5 0 * * *", `in the minute "-5", a value is missing`},
		{"005 0 * * *", `in the minute "005", "005" is not a value`},
		{"0x5 0 * * *", `in the minute "0x5", "0x5" is not a value`},
		{"1_0 0 * * *", `in the minute "1_0", "1_0" is not a value`},
		{"1.5 0 * * *", `in the minute "1.5", "1.5" is not a value`},
		{"١ 0 * * *", `is not a value`},
		{"60 0 * * *", `in the minute "60", "60" is not a value; write 0 to 59`},
		{"0 24 * * *", `in the hour "24", "24" is not a value; write 0 to 23`},
		{"0 0 0 * *", `in the day of month "0", "0" is not a value; write 1 to 31`},
		{"0 0 32 * *", `in the day of month "32", "32" is not a value`},
		{"0 0 * 0 *", `in the month "0", "0" is not a value; write 1 to 12 or JAN to DEC`},
		{"0 0 * 13 *", `in the month "13"`},
		{"0 0 * JANUARY *", `"JANUARY" is not a value`},
		{"0 0 * MON *", `"MON" is not a value`},
		{"0 JAN * * *", `"JAN" is not a value; write 0 to 23`},
		{"0 0 * * 8", `in the day of week "8", "8" is not a value; write 0 to 7 or SUN to SAT`},
		{"0 0 * * 6-8", `in the day of week "6-8", "8" is not a value`},
		{"0 0 * * FRI-SUN", "the range FRI-SUN runs backwards; write its lower value first"},
		{"0 0 31-1 * *", "the range 31-1 runs backwards"},
		{"0 0 1-2-3 * *", `"2-3" is not a value`},
		{"0 0 1- * *", "a value is missing"},
		{"0 0 *-5 * *", `"*" is not a value`},
		{"0 0 1-* * *", `"*" is not a value`},
		{"0 0 ** * *", `"**" is not a value`},
		{"*/0 0 * * *", `the step "0" is not valid; write 1 to 59`},
		{"*/60 0 * * *", `the step "60" is not valid; write 1 to 59`},
		{"0 */24 * * *", `the step "24" is not valid; write 1 to 23`},
		{"0 0 */32 * *", `in the day of month "*/32", the step "32" is not valid; write 1 to 31`},
		{"0 0 * */13 *", `the step "13" is not valid; write 1 to 12`},
		{"0 0 * * */8", `the step "8" is not valid; write 1 to 7`},
		{"*/ 0 * * *", `the step "" is not valid`},
		{"*/+5 0 * * *", `the step "+5" is not valid`},
		{"*/5/2 0 * * *", `the step "5/2" is not valid`},
		{"0 0 * */FEB *", `the step "FEB" is not valid`},
		{"5/15 0 * * *", `the step 15 needs a range or *; write 5-59/15 or */15`},
		{"0 0 ? * *", `"?" is not a value`},
		{"0 0 L * *", `"L" is not a value`},
		{"0 0 15W * *", `"15W" is not a value`},
		{"0 0 * * 5#3", `"5#3" is not a value`},
		{"0 0 * * 1~5", `"1~5" is not a value`},
		{"0 0 30 2 *", "it never fires"},
		{"0 0 30,31 FEB */3", "it never fires"},
		{"0 0 31 2,4,6,9,11 *", "it never fires"},
	} {
		if _, err := parseCron(c.expression); err == nil || !strings.Contains(err.Error(), c.detail) {
			t.Errorf("%q: got %v, want %s", c.expression, err, c.detail)
		}
	}
	// If both day fields are restricted, one of them is enough.
	if _, err := parseCron("0 0 30 2 MON"); err != nil {
		t.Error(err)
	}
}

func FuzzCron(f *testing.F) {
	f.Add("0 0 29 FEB */7")
	f.Fuzz(func(t *testing.T, expression string) {
		if _, err := parseCron(expression); err == nil {
			if run, err := cronRun(Period{Name: "s", Cron: expression}, time.UTC, latest); err != nil || run.Start.IsZero() || !run.End.After(run.Start) {
				t.Errorf("%v (%v)", run, err)
			}
		}
	})
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
	if _, err := parseCron(expression); err != nil {
		t.Fatal(err)
	}
	crontab := readCrontab(t, expression)
	kept := map[date][]time.Time{}
	on := func(d date) []time.Time {
		if _, ok := kept[d]; !ok {
			kept[d] = firings(crontab, d, zone)
		}
		return kept[d]
	}
	const maxDays = 50 * 366
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

// crontab is an expression read in the words of crontab(5), apart from cron.go: of
// each field, the text and the values that it lists.
type crontab [5]struct {
	text   string
	values map[int]bool
}

// readCrontab reads a valid expression.
func readCrontab(t *testing.T, expression string) (c crontab) {
	t.Helper()
	names := map[string]string{}
	for i, name := range strings.Fields("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC") {
		names[name] = strconv.Itoa(i + 1)
	}
	for i, name := range strings.Fields("SUN MON TUE WED THU FRI SAT") {
		names[name] = strconv.Itoa(i)
	}
	number := func(text string) int {
		if n, ok := names[strings.ToUpper(text)]; ok {
			text = n
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(expression, err)
		}
		return n
	}
	for i, text := range strings.Fields(expression) {
		c[i].text, c[i].values = text, map[int]bool{}
		for _, item := range strings.Split(text, ",") {
			values, by, stepped := strings.Cut(item, "/")
			step := 1
			if stepped {
				step = number(by)
			}
			from, to := []int{0, 0, 1, 1, 0}[i], []int{59, 23, 31, 12, 7}[i]
			if low, high, ok := strings.Cut(values, "-"); ok {
				from, to = number(low), number(high)
			} else if values != "*" {
				from, to = number(values), number(values)
			}
			for n := from; n <= to; n += step {
				c[i].values[n] = true
			}
		}
	}
	if c[4].values[7] { // "0 or 7 is Sunday"
		c[4].values[0] = true
	}
	return c
}

// onDate reports whether the fields of dates match. "If both fields are restricted
// (i.e., do not contain the * character) the command will be run when either field
// matches"; implementations ask whether the field begins with it.
func (c crontab) onDate(d date) bool {
	noon := time.Date(d.year, d.month, d.day, 12, 0, 0, 0, time.UTC)
	dom, dow := c[2].values[d.day], c[4].values[int(noon.Weekday())]
	if !c[3].values[int(d.month)] {
		return false
	}
	if !strings.HasPrefix(c[2].text, "*") && !strings.HasPrefix(c[4].text, "*") {
		return dom || dow
	}
	return dom && dow
}

// firings returns the instants of a local date at which the expression fires, in
// order.
func firings(c crontab, d date, zone *time.Location) []time.Time {
	if !c.onDate(d) {
		return nil
	}
	noon := time.Date(d.year, d.month, d.day, 12, 0, 0, 0, time.UTC)
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
		if !c[1].values[hour] {
			continue
		}
		for minute := range 60 {
			if !c[0].values[minute] {
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
		{"29 February, a Sunday", []Period{{Name: "s", Cron: "0 0 29 2 */7"}}},
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
