package letter

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// in writes in the language of a letter.
type in struct {
	ko   bool
	zone *time.Location // the reader's
}

// say returns the sentence in the reader's language. Arguments that other people
// wrote must be foreign.
func (w in) say(en, ko string, args ...any) string {
	sentence := en
	if w.ko {
		sentence = ko
	}
	if len(args) == 0 {
		return sentence
	}
	return fmt.Sprintf(sentence, args...)
}

const minus = "−" // U+2212, as wide as a plus

// digits writes a number with groups of thousands, which both languages separate by
// commas, and without its sign.
func digits(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func absolute(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// count returns the number of things with its noun.
func (w in) count(n int, one, many, ko string) string {
	s := digits(uint64(n))
	if w.ko {
		return s + ko
	}
	if n == 1 {
		return s + " " + one
	}
	return s + " " + many
}

// amount writes points without their sign and unit.
func (b Board) amount(n int64) string {
	abs := absolute(n)
	if b.Unit == unitDuration {
		return duration(abs)
	}
	scale := uint64(math.Pow10(b.Decimals))
	s := digits(abs / scale)
	if b.Decimals > 0 {
		s += fmt.Sprintf(".%0*d", b.Decimals, abs%scale)
	}
	return s
}

// The units of a board.
const (
	unitPoints   = "points"
	unitDuration = "duration_ms"
)

// duration writes milliseconds as 40:31.0 or 1:40:31.0, with three digits after the
// dot if one loses something.
func duration(ms uint64) string {
	const second, minute, hour = 1000, 60 * 1000, 60 * 60 * 1000
	var s string
	if h := ms / hour; h > 0 {
		s = fmt.Sprintf("%s:%02d:%02d", digits(h), ms%hour/minute, ms%minute/second)
	} else {
		s = fmt.Sprintf("%d:%02d", ms/minute, ms%minute/second)
	}
	if rest := ms % second; rest%100 == 0 {
		return fmt.Sprintf("%s.%d", s, rest/100)
	}
	return fmt.Sprintf("%s.%03d", s, ms%second)
}

// number writes points without their unit.
func (b Board) number(n int64) string {
	if n < 0 {
		return minus + b.amount(n)
	}
	return b.amount(n)
}

// points writes points with their unit: 40 points, −5점, 40:31.0.
func (w in) points(b Board, n int64) string {
	if n < 0 {
		return minus + w.unsigned(b, n)
	}
	return w.unsigned(b, n)
}

// signed is points with a plus, too: what is added to a score.
func (w in) signed(b Board, n int64) string {
	if n > 0 {
		return "+" + w.unsigned(b, n)
	}
	return w.points(b, n)
}

func (w in) unsigned(b Board, n int64) string {
	s := b.amount(n)
	switch {
	case b.Unit == unitDuration:
		return s
	case w.ko:
		return s + "점"
	case s == "1":
		return s + " point"
	}
	return s + " points"
}

// score writes a score that may be absent.
func (w in) score(b Board, n *int64) string {
	if n == nil {
		return w.say("no score", "점수 없음")
	}
	return w.points(b, *n)
}

// when writes an instant in the reader's zone.
func (w in) when(t time.Time) string { return w.instant(t, w.zone) }

func (w in) instant(t time.Time, zone *time.Location) string {
	t = t.In(zone)
	name, offset := t.Zone()
	if strings.HasPrefix(name, "+") || strings.HasPrefix(name, "-") { // a zone without a name of its own
		name = fmt.Sprintf("UTC%+d", offset/3600)
		if rest := offset % 3600 / 60; rest != 0 {
			name += fmt.Sprintf(":%02d", max(rest, -rest))
		}
	}
	if !w.ko {
		return fmt.Sprintf("%s, %s %s", w.day(t), t.Format("15:04"), name)
	}
	return fmt.Sprintf("%s %s %s", w.day(t), clock(t), name)
}

// clock writes the time of day in Korean. Midnight is 0, because 12 in the morning is
// read as noon by some.
func clock(t time.Time) string {
	half, hour := "오전", t.Hour()
	if hour >= 12 {
		half = "오후"
	}
	if hour > 12 {
		hour -= 12
	}
	s := fmt.Sprintf("%s %d시", half, hour)
	if t.Minute() != 0 {
		s += fmt.Sprintf(" %d분", t.Minute())
	}
	return s
}

// day writes the date of an instant in the instant's own zone.
func (w in) day(t time.Time) string {
	if !w.ko {
		return t.Format("Monday, 2 January 2006")
	}
	return fmt.Sprintf("%d년 %d월 %d일 (%s)", t.Year(), t.Month(), t.Day(), weekdays[t.Weekday()])
}

var weekdays = [...]string{"일", "월", "화", "수", "목", "금", "토"}

// short writes a date in a row of a table.
func (w in) short(t time.Time) string {
	t = t.In(w.zone)
	if !w.ko {
		return t.Format("2 January 2006, 15:04")
	}
	return fmt.Sprintf("%d년 %d월 %d일 %s", t.Year(), t.Month(), t.Day(), t.Format("15:04"))
}

// period names a run of a board, as in a sentence.
func (w in) period(b Board, period string, start time.Time) string {
	t := start.In(w.zoneOf(b))
	switch {
	case period == "all":
		return w.say("overall", "전체")
	case start.IsZero():
		return foreign{period, maxName}.String()
	case period == "day":
		return w.day(t)
	case period == "week":
		return w.say("week from %s", "%s부터 1주", w.date(t))
	case period == "month" && w.ko:
		return fmt.Sprintf("%d년 %d월", t.Year(), t.Month())
	case period == "month":
		return t.Format("January 2006")
	}
	return w.say("%s (from %s)", "%s (%s부터)", foreign{period, maxName}, w.date(t))
}

// calendar are the periods that are not named by their board.
var calendar = map[string]bool{"all": true, "day": true, "week": true, "month": true}

// capital begins a line with the name of a run. A name that the board chose stays as
// the board wrote it.
func (w in) capital(period, name string) string {
	if calendar[period] {
		return upper(name)
	}
	return name
}

// zoneOf returns the zone in which the board's days begin.
func (w in) zoneOf(b Board) *time.Location {
	if b.Zone == nil {
		return w.zone
	}
	return b.Zone
}

// date is day without the day of the week.
func (w in) date(t time.Time) string {
	if !w.ko {
		return t.Format("2 January 2006")
	}
	return fmt.Sprintf("%d년 %d월 %d일", t.Year(), t.Month(), t.Day())
}

// span writes how long something is valid: 1 hour, 30 minutes.
func (w in) span(d time.Duration) string {
	if d%time.Hour == 0 {
		return w.count(int(d/time.Hour), "hour", "hours", "시간")
	}
	return w.count(int(d/time.Minute), "minute", "minutes", "분")
}

// ordinal writes a rank.
func (w in) ordinal(n int) string {
	if w.ko {
		return digits(uint64(n)) + "위"
	}
	suffix := "th"
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		suffix = "st"
	case n%10 == 2:
		suffix = "nd"
	case n%10 == 3:
		suffix = "rd"
	}
	return digits(uint64(n)) + suffix
}
