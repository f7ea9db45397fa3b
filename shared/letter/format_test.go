package letter

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	english = in{}
	korean  = in{ko: true}
)

func TestPoints(t *testing.T) {
	plain, decimals, laps := Board{}, Board{Unit: unitPoints, Decimals: 2}, Board{Unit: unitDuration}
	for _, c := range []struct {
		board              Board
		n                  int64
		en, ko, signed, no string
	}{
		{plain, 0, "0 points", "0점", "0 points", "0"},
		{plain, 1, "1 point", "1점", "+1 point", "1"},
		{plain, -1, "−1 point", "−1점", "−1 point", "−1"},
		{plain, 2, "2 points", "2점", "+2 points", "2"},
		{plain, 999, "999 points", "999점", "+999 points", "999"},
		{plain, -1234567, "−1,234,567 points", "−1,234,567점", "−1,234,567 points", "−1,234,567"},
		{plain, math.MinInt64, "−9,223,372,036,854,775,808 points", "−9,223,372,036,854,775,808점", "−9,223,372,036,854,775,808 points", "−9,223,372,036,854,775,808"},
		{decimals, 123456, "1,234.56 points", "1,234.56점", "+1,234.56 points", "1,234.56"},
		{decimals, -5, "−0.05 points", "−0.05점", "−0.05 points", "−0.05"},
		{decimals, 100, "1.00 points", "1.00점", "+1.00 points", "1.00"},
		{laps, 2431000, "40:31.0", "40:31.0", "+40:31.0", "40:31.0"},
		{laps, -5000, "−0:05.0", "−0:05.0", "−0:05.0", "−0:05.0"},
		{laps, 6031200, "1:40:31.2", "1:40:31.2", "+1:40:31.2", "1:40:31.2"},
		{laps, 59999, "0:59.999", "0:59.999", "+0:59.999", "0:59.999"},
		{laps, 61010, "1:01.010", "1:01.010", "+1:01.010", "1:01.010"},
		{laps, 90000000, "25:00:00.0", "25:00:00.0", "+25:00:00.0", "25:00:00.0"},
		{laps, 0, "0:00.0", "0:00.0", "0:00.0", "0:00.0"},
	} {
		if en, ko, signed, no := english.points(c.board, c.n), korean.points(c.board, c.n), english.signed(c.board, c.n), c.board.number(c.n); en != c.en || ko != c.ko || signed != c.signed || no != c.no {
			t.Errorf("%d is %q, %q, %q, %q, want %q, %q, %q, %q", c.n, en, ko, signed, no, c.en, c.ko, c.signed, c.no)
		}
	}
}

func TestWhen(t *testing.T) {
	at := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 59, 0, time.UTC)
	}
	for _, c := range []struct {
		zone   string
		at     time.Time
		en, ko string
	}{
		{"Asia/Seoul", at(11, 28, 6, 10), "Saturday, 28 November 2026, 15:10 KST", "2026년 11월 28일 (토) 오후 3시 10분 KST"},
		{"Asia/Seoul", at(11, 28, 15, 0), "Sunday, 29 November 2026, 00:00 KST", "2026년 11월 29일 (일) 오전 0시 KST"},
		{"Asia/Seoul", at(11, 28, 3, 0), "Saturday, 28 November 2026, 12:00 KST", "2026년 11월 28일 (토) 오후 12시 KST"},
		{"Asia/Seoul", at(1, 4, 2, 59), "Sunday, 4 January 2026, 11:59 KST", "2026년 1월 4일 (일) 오전 11시 59분 KST"},
		{"UTC", at(11, 2, 6, 5), "Monday, 2 November 2026, 06:05 UTC", "2026년 11월 2일 (월) 오전 6시 5분 UTC"},
		{"Europe/Berlin", at(3, 29, 0, 59), "Sunday, 29 March 2026, 01:59 CET", "2026년 3월 29일 (일) 오전 1시 59분 CET"},
		{"Europe/Berlin", at(3, 29, 1, 0), "Sunday, 29 March 2026, 03:00 CEST", "2026년 3월 29일 (일) 오전 3시 CEST"},
		{"America/New_York", at(11, 1, 5, 30), "Sunday, 1 November 2026, 01:30 EDT", "2026년 11월 1일 (일) 오전 1시 30분 EDT"},
		{"America/New_York", at(11, 1, 6, 30), "Sunday, 1 November 2026, 01:30 EST", "2026년 11월 1일 (일) 오전 1시 30분 EST"},
		{"Asia/Dubai", at(11, 3, 6, 0), "Tuesday, 3 November 2026, 10:00 UTC+4", "2026년 11월 3일 (화) 오전 10시 UTC+4"},
		{"Asia/Kathmandu", at(11, 4, 6, 0), "Wednesday, 4 November 2026, 11:45 UTC+5:45", "2026년 11월 4일 (수) 오전 11시 45분 UTC+5:45"},
		{"America/Sao_Paulo", at(11, 5, 6, 0), "Thursday, 5 November 2026, 03:00 UTC-3", "2026년 11월 5일 (목) 오전 3시 UTC-3"},
		{"Pacific/Marquesas", at(11, 6, 6, 0), "Thursday, 5 November 2026, 20:30 UTC-9:30", "2026년 11월 5일 (목) 오후 8시 30분 UTC-9:30"},
	} {
		z := zone(t, c.zone)
		if en, ko := (in{zone: z}).when(c.at), (in{ko: true, zone: z}).when(c.at); en != c.en || ko != c.ko {
			t.Errorf("%s in %s is %q, %q, want %q, %q", c.at, c.zone, en, ko, c.en, c.ko)
		}
	}
}

// TestPeriod checks that the days of a run are its board's, not the reader's.
func TestPeriod(t *testing.T) {
	seoul, york := zone(t, "Asia/Seoul"), zone(t, "America/New_York")
	start := time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC) // Monday in Seoul, Sunday in New York
	for _, c := range []struct {
		board  Board
		period string
		start  time.Time
		en, ko string
	}{
		{Board{Zone: seoul}, "all", time.Time{}, "overall", "전체"},
		{Board{Zone: seoul}, "day", start, "Monday, 23 November 2026", "2026년 11월 23일 (월)"},
		{Board{}, "day", start, "Sunday, 22 November 2026", "2026년 11월 22일 (일)"},
		{Board{Zone: seoul}, "week", start, "week from 23 November 2026", "2026년 11월 23일부터 1주"},
		{Board{Zone: seoul}, "month", time.Date(2026, 10, 31, 15, 0, 0, 0, time.UTC), "November 2026", "2026년 11월"},
		{Board{Zone: seoul}, "Spring", start, "Spring (from 23 November 2026)", "Spring (2026년 11월 23일부터)"},
		{Board{Zone: seoul}, "Spring", time.Time{}, "Spring", "Spring"},
		{Board{Zone: seoul}, "evil.com", time.Time{}, "evil\u200c.\u200ccom", "evil\u200c.\u200ccom"},
	} {
		if en, ko := (in{zone: york}).period(c.board, c.period, c.start), (in{ko: true, zone: york}).period(c.board, c.period, c.start); en != c.en || ko != c.ko {
			t.Errorf("%s is %q, %q, want %q, %q", c.period, en, ko, c.en, c.ko)
		}
	}
}

func TestOrdinal(t *testing.T) {
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 10: "10th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 102: "102nd", 111: "111th", 1003: "1,003rd"} {
		if en, ko := english.ordinal(n), korean.ordinal(n); en != want || ko != digits(uint64(n))+"위" {
			t.Errorf("%d is %q, %q, want %q", n, en, ko, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration][2]string{time.Hour: {"1 hour", "1시간"}, 24 * time.Hour: {"24 hours", "24시간"}, time.Minute: {"1 minute", "1분"}, 90 * time.Minute: {"90 minutes", "90분"}} {
		if got := [2]string{english.span(d), korean.span(d)}; got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

// TestPenalties checks that points are called a penalty only if they are one.
func TestPenalties(t *testing.T) {
	for _, c := range []struct {
		order, unit string
		points      int64
		en, ko      string
	}{
		{"desc", unitPoints, -5, "Penalty of 5 points on B", "B: 5점 감점"},
		{"desc", unitPoints, 5, "Bonus of 5 points on B", "B: 5점 가점"},
		{"asc", unitPoints, 5, "Penalty of 5 points on B", "B: 5점 감점"},
		{"asc", unitDuration, 5000, "Penalty of 0:05.0 on B", "B: 페널티 0:05.0"},
		{"asc", unitDuration, -5000, "Bonus of 0:05.0 on B", "B: 보너스 0:05.0"},
		{"", unitPoints, -5, "Adjustment of −5 points on B", "B: 점수 조정 −5점"},
		{"", unitPoints, 5, "Adjustment of +5 points on B", "B: 점수 조정 +5점"},
		{"desc", unitPoints, 0, "Adjustment of 0 points on B", "B: 점수 조정 0점"},
	} {
		for locale, want := range map[string]string{"en": c.en, "ko": c.ko} {
			l := samples(t)["adjusted"]
			l.Locale = locale
			l.Board.Title, l.Board.Order, l.Board.Unit = "B", c.order, c.unit
			l.Entries[0].Points = c.points
			if m, err := l.Render(); err != nil || m.Subject != want {
				t.Errorf("%s %d: got %q, %v, want %q", c.order, c.points, m.Subject, err, want)
			}
		}
	}
}

func TestSubjectsAreSpecificAndShort(t *testing.T) {
	seen := map[string]string{}
	for name, l := range samples(t) {
		for _, locale := range []string{"en", "ko"} {
			l.Locale = locale
			m, err := l.Render()
			if err != nil {
				t.Fatal(err)
			}
			if n := length(m.Subject); n > maxSubject || n < 6 {
				t.Errorf("%s.%s: %q has %d letters", name, locale, m.Subject, n)
			}
			if other := seen[locale+m.Subject]; other != "" {
				t.Errorf("%s and %s have the same subject %q", name, other, m.Subject)
			}
			seen[locale+m.Subject] = name + "." + locale
		}
	}
	l := samples(t)["link-proposed"]
	l.Board.Title = strings.Repeat("긴 이름의 대회 ", 20)
	m, err := l.Render()
	if err != nil || length(m.Subject) > maxSubject || !strings.HasPrefix(m.Subject, "Are you the player bib-7 on 긴 이름의") || !strings.HasSuffix(m.Subject, "…?") {
		t.Errorf("a long title makes the subject %q, %v", m.Subject, err)
	}
}

// TestLinksStrangersCannotWriteIn checks that a mail that anybody can have sent to any
// address has no text of theirs.
func TestLinksStrangersCannotWriteIn(t *testing.T) {
	for _, kind := range []string{"verify", "reset"} {
		l := samples(t)[kind]
		want, err := l.Render()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := everywhere(l, "Win a prize").Render(); err != nil || got != want {
			t.Errorf("%s has a text that a stranger chose: %v", kind, err)
		}
	}
}

func TestNamesThatShowNothing(t *testing.T) {
	l := everywhere(samples(t)["period-closed"], "\u200b")
	m, err := l.Render()
	if err != nil || !strings.Contains(m.Text, "Board: pub-quiz\n") || !strings.Contains(m.Text, "- 1 · without a name · 412 points\n") || strings.Contains(m.Text, "Hello") {
		t.Errorf("%v: %s", err, m.Text)
	}
}

func TestNobodyIsNamedWithoutAnActor(t *testing.T) {
	l := samples(t)["adjusted"]
	l.Actor = ""
	if m, err := l.Render(); err != nil || strings.Contains(m.Text, "\nBy:") {
		t.Errorf("%v: %s", err, m.Text)
	}
	l.Actor, l.ByKey = "Minji", true
	if m, err := l.Render(); err != nil || !strings.Contains(m.Text, "\nBy: a program with an API key\n") {
		t.Errorf("%v: %s", err, m.Text)
	}
}

// TestAccountsDoNotNameWhoActedInTheirName checks mails about what somebody who is not
// the reader may have done as the reader.
func TestAccountsDoNotNameWhoActedInTheirName(t *testing.T) {
	for _, kind := range []string{"password-changed", "email-changed", "login-failed", "session-reused", "key-created"} {
		l := samples(t)[kind]
		l.Actor = l.Reader
		if m, err := l.Render(); err != nil || strings.Contains(m.Text, "\nBy:") {
			t.Errorf("%v: %s", err, m.Text)
		}
	}
}

func TestScores(t *testing.T) {
	quiz := Board{Decimals: 1}
	for _, c := range []struct {
		s      Score
		en, ko string
	}{
		{Score{From: ptr[int64](10), To: ptr[int64](15), FromKnown: true}, "1.0 → 1.5 points", "1.0점 → 1.5점"},
		{Score{To: ptr[int64](15), FromKnown: true}, "no score → 1.5 points", "점수 없음 → 1.5점"},
		{Score{From: ptr[int64](10), FromKnown: true}, "1.0 points → no score", "1.0점 → 점수 없음"},
		{Score{From: ptr[int64](-10), To: ptr[int64](-10), FromKnown: true}, "−1.0 points (unchanged)", "−1.0점 (변동 없음)"},
		{Score{FromKnown: true}, "no score (unchanged)", "점수 없음 (변동 없음)"},
		{Score{To: ptr[int64](15)}, "1.5 points", "1.5점"},
		{Score{}, "no score", "점수 없음"},
	} {
		c.s.Board = quiz
		if en, ko := english.scored(c.s), korean.scored(c.s); en != c.en || ko != c.ko {
			t.Errorf("%+v is %q, %q, want %q, %q", c.s, en, ko, c.en, c.ko)
		}
	}
}

// TestBoardsAreToldApartByID checks that the copies of one board are one.
func TestBoardsAreToldApartByID(t *testing.T) {
	l := samples(t)["batch.boards"]
	again := *l.Entries[1].Board.Zone
	l.Entries[2].Board.Zone = &again
	if m, err := l.Render(); err != nil || m.Subject != "3 corrections on 2 boards" {
		t.Errorf("%q, %v", m.Subject, err)
	}
}

// TestCorrectionsOfABatch checks the words about entries of several kinds.
func TestCorrectionsOfABatch(t *testing.T) {
	l := samples(t)["batch.boards"]
	l.Entries[0].Original = nil
	l.Entries[2].Original = &Entry{Kind: "import", Points: -2, OccurredAt: l.At}
	l.Note = "All by the jury"
	l.Entries[1].Note = ""
	m, err := l.Render()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"- Cancelled: entry of 40:31.0 · ", "- Cancelled: imported result of −2 points · ", "\nWhy: All by the jury\n", " · Timing failed · "} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the text lacks %q: %s", want, m.Text)
		}
	}
	// A note that all share is shown once.
	for i := range l.Entries {
		l.Entries[i].Note = "Timing failed"
	}
	if m, err := l.Render(); err != nil || strings.Count(m.Text, "Timing failed") != 1 || !strings.Contains(m.Text, "\nWhy: Timing failed\n") {
		t.Errorf("%v: %s", err, m.Text)
	}
}

func TestSumsDoNotOverflow(t *testing.T) {
	l := samples(t)["batch"]
	l.Entries = slices.Repeat(l.Entries[:1], maxEntries)
	for i := range l.Entries {
		l.Entries[i].Points = -maxPoints
	}
	if m, err := l.Render(); err != nil || !strings.Contains(m.Text, "In total: −9,007,199,254,740,991,000 points") {
		t.Errorf("%v: %s", err, m.Text)
	}
}

func TestLines(t *testing.T) {
	for in, want := range map[string][]Line{
		``:                                 nil,
		` `:                                nil,
		`null`:                             {{}},
		`"text"`:                           {{Value: "text"}},
		`1.50`:                             {{Value: "1.50"}},
		`not JSON`:                         {{Value: "not JSON"}},
		`{"a": 1} {}`:                      {{Value: `{"a": 1} {}`}},
		`{"a":`:                            {{Value: `{"a":`}},
		`{}`:                               nil,
		`{"from": "to do", "to": "doing"}`: {{From: ptr("to do"), Value: "doing"}},
		`{"to": 2, "from": null}`:          {{From: ptr(""), Value: "2"}},
		`{"from": 1, "to": 2, "by": 3}`:    {{Name: "from", Value: "1"}, {Name: "to", Value: "2"}, {Name: "by", Value: "3"}},
		`{"z": true, "a": 12345678901234567890.10, "e": ""}`:           {{Name: "z", Value: "true"}, {Name: "a", Value: "12345678901234567890.10"}, {Name: "e"}},
		`{"changes": {"state": {"from": "a", "to": ["b", {"c": 1}]}}}`: {{Name: "state", From: ptr("a"), Value: "b, c: 1"}},
		`{"task": {"size": {"hours": 2}, "changes": {"x": 1}}}`:        {{Name: "task / size / hours", Value: "2"}, {Name: "task / changes / x", Value: "1"}},
		`{"changes": "all"}`:       {{Name: "changes", Value: "all"}},
		`[1, "b", null]`:           {{Value: "1, b, "}},
		`{"a": 1, "a": 2}`:         {{Name: "a", Value: "1"}, {Name: "a", Value: "2"}},
		strings.Repeat("[", 99999): {{Value: strings.Repeat("[", 99999)}},
	} {
		if got := Lines([]byte(in)); !reflect.DeepEqual(got, want) {
			t.Errorf("%.60s becomes %+v, want %+v", in, got, want)
		}
	}
}

// The name of an object is repeated for each value in it.
func TestLinesAreBounded(t *testing.T) {
	var data strings.Builder
	fmt.Fprintf(&data, `{%q: {"a0": 0`, strings.Repeat("가", 10_000))
	for i := range 5000 {
		fmt.Fprintf(&data, `, "b%d": 0`, i)
	}
	data.WriteString("}}")
	total := 0
	lines := Lines([]byte(data.String()))
	for _, line := range lines {
		total += len(line.Name)
	}
	if len(lines) > 1000 || total > 1_100_000 {
		t.Errorf("%d lines with %d bytes of names", len(lines), total)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte(`{"changes": {"state": {"from": "a", "to": ["b", {"c": 1}]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		total := 0
		for _, line := range Lines(data) {
			total += len(line.Value)
		}
		if total > 4*len(data)+100 {
			t.Errorf("%d bytes become %d", len(data), total)
		}
	})
}
