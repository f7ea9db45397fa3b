package letter

import (
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
)

const (
	maxEntries = 1000      // of a batch
	maxPoints  = 1<<53 - 1 // of an entry

	maxProblems = 10 // in an error, which travels with the event
)

// switchable are the kinds of mail that their readers can switch off.
var switchable = map[Kind]bool{
	Adjusted: true, Reversed: true, PlayerChanged: true, LinkProposed: true, PeriodClosed: true, Foreign: true,
}

// problems collects what a letter lacks. They name fields, never values: errors are
// logged, and a letter's values are names and notes of people.
type problems []string

func (p *problems) unless(ok bool, problem string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Sprintf(problem, args...))
	}
}

// check returns an error that describes what the letter lacks to be truthful.
func (l Letter) check() error {
	var p problems
	p.unless(l.Locale == "ko" || l.Locale == "en", "Locale must be ko or en")
	p.unless(l.Zone != nil, "Zone must be the reader's time zone")
	if l.Kind != Verify && l.Kind != Reset {
		p.instant("At", l.At)
	}
	if switchable[l.Kind] {
		p.address("Unsubscribe", l.Unsubscribe)
	} else {
		p.unless(l.Unsubscribe == "", "Unsubscribe must be empty: this mail cannot be switched off")
	}
	switch l.Kind {
	case Adjusted, Reversed:
		p.unless(len(l.Entries) > 0, "Entries must have an entry")
		p.unless(len(l.Entries) <= maxEntries, "Entries must have at most %d entries", maxEntries)
		for i, e := range l.Entries {
			p.entry(fmt.Sprintf("Entries[%d]", i), l.entry(e))
		}
		for i, s := range l.Scores {
			s = l.score(s)
			p.board(fmt.Sprintf("Scores[%d].Board", i), s.Board)
			p.unless(s.Period != "", "Scores[%d].Period must not be empty", i)
			p.unless(s.Player != "", "Scores[%d].Player must not be empty", i)
		}
	case PlayerChanged:
		p.player(l)
		p.unless(len(l.Changes) > 0, "Changes must have a change")
	case PlayerErased:
		p.player(l)
		p.unless(len(l.Changes) > 0, "Changes must have the fields that were erased")
	case LinkProposed, LinkEnded:
		p.player(l)
	case PeriodClosed:
		p.board("Board", l.Board)
		p.closed(l.Closed)
	case RoleChanged:
		_, ok := l.change("role")
		p.unless(ok, "Changes must have the role with its new value")
	case LoginFailed:
		p.unless(l.Failed >= 0, "Failed must be at least 0")
	case Verify, Reset:
		p.address("Link", l.Link)
		p.unless(l.LinkFor >= time.Minute, "LinkFor must be at least a minute")
	case Foreign:
		p.unless(l.Other != nil && l.Other.Type != "" && l.Other.Subject != "", "Other must have a type and a subject")
	case PasswordChanged, EmailChanged, SessionReused, KeyCreated:
	default:
		p.unless(false, "Kind is unknown")
	}
	if len(p) == 0 {
		return nil
	}
	if rest := len(p) - maxProblems; rest > 0 {
		p = append(p[:maxProblems], fmt.Sprintf("and %d more", rest))
	}
	return fmt.Errorf("letter of kind %q: %s", l.Kind, strings.Join(p, "; "))
}

func (p *problems) instant(field string, t time.Time) {
	p.unless(!t.IsZero(), "%s must be the time of the change", field)
}

func (p *problems) board(field string, b Board) {
	p.unless(b.ID != "" || b.Title != "", "%s must have an id or a title", field)
	p.unless(b.Unit == "" || b.Unit == unitPoints || b.Unit == unitDuration, "%s.Unit must be points or duration_ms", field)
	p.unless(b.Decimals >= 0 && b.Decimals <= 6, "%s.Decimals must be from 0 to 6", field)
}

func (p *problems) player(l Letter) {
	p.board("Board", l.Board)
	p.unless(l.Player != "", "Player must not be empty")
}

func (p *problems) entry(field string, e Entry) {
	p.unless(e.Kind == kindAdjustment || e.Kind == kindReversal, "%s.Kind must be adjustment or reversal", field)
	p.board(field+".Board", e.Board)
	p.unless(e.Player != "", "%s.Player must not be empty", field)
	p.unless(absolute(e.Points) <= maxPoints, "%s.Points must be from -%d to %[2]d", field, int64(maxPoints))
	p.instant(field+".OccurredAt", e.OccurredAt)
	if e.Original != nil {
		p.unless(e.Kind == kindReversal, "%s.Original must be nil unless the entry is a reversal", field)
		p.instant(field+".Original.OccurredAt", e.Original.OccurredAt)
	}
}

func (p *problems) closed(c *Closed) {
	if c == nil {
		p.unless(false, "Closed must have the period that was closed")
		return
	}
	p.unless(c.Period != "", "Closed.Period must not be empty")
	p.unless(c.Start.IsZero() == c.End.IsZero(), "Closed must have both Start and End, or neither")
	p.unless(len(c.Top) <= maxTop, "Closed.Top must have at most %d places", maxTop)
	p.unless(c.Of >= len(c.Top), "Closed.Of must be at least the number of places")
	for i, place := range c.Top {
		p.unless(place.Rank > 0 && place.Name != "", "Closed.Top[%d] must have a rank and a name", i)
	}
}

// address checks a link of ours: links are not escaped in the text of a mail.
func (p *problems) address(field, s string) {
	u, err := url.Parse(s)
	ok := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && len(s) <= 2000 &&
		strings.IndexFunc(s, func(r rune) bool {
			return r > unicode.MaxASCII || r <= ' ' || strings.ContainsRune("<>\"'`\\^{}|\x7f", r)
		}) < 0
	p.unless(ok, "%s must be a URL that begins with https:// or http://", field)
}
