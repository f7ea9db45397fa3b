package letter

import (
	"html"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
)

// everywhere returns a letter whose every text of other people is s.
func everywhere(l Letter, s string) Letter {
	board := func(b *Board) {
		if *b != (Board{}) {
			b.Title = s
		}
	}
	l.Reader, l.Actor, l.Player, l.Note = s, s, s, s
	board(&l.Board)
	l.Entries, l.Scores = slices.Clone(l.Entries), slices.Clone(l.Scores)
	for i := range l.Entries {
		e := &l.Entries[i]
		board(&e.Board)
		e.Player, e.Reason, e.Note = s, s, s
		if e.Original != nil {
			original := *e.Original
			original.Reason, original.Note = s, s
			e.Original = &original
		}
	}
	for i := range l.Scores {
		board(&l.Scores[i].Board)
		l.Scores[i].Player = s
		if !calendar[l.Scores[i].Period] {
			l.Scores[i].Period = s
		}
	}
	if l.Closed != nil {
		closed := *l.Closed
		closed.Top = slices.Clone(closed.Top)
		for i := range closed.Top {
			closed.Top[i].Name = s
		}
		if !calendar[closed.Period] {
			closed.Period = s
		}
		l.Closed = &closed
	}
	if l.Key != nil {
		l.Key = &Key{Name: s, Scopes: l.Key.Scopes, Boards: []string{s}, Expires: l.Key.Expires}
	}
	if l.Other != nil {
		l.Other = &Other{Source: s, Type: s, Subject: s, Lines: []Line{{Name: s, Value: s}, {Name: s, From: &s, Value: s}}}
	}
	return l
}

var (
	tags  = regexp.MustCompile(`<[^>]*>`)
	style = regexp.MustCompile(`(?s)<style>.*?</style>`)
)

// visible returns the text of a mail's HTML, and its different tags, without the breaks
// of lines in notes.
func visible(s string) (text string, elements map[string]bool) {
	s = style.ReplaceAllString(s, "")
	elements = map[string]bool{}
	for _, tag := range tags.FindAllString(s, -1) {
		elements[tag] = true
	}
	delete(elements, "<br>")
	return html.UnescapeString(tags.ReplaceAllString(s, "\n")), elements
}

// checkMail returns what a text did to a mail in which it is everywhere. plain is the
// same mail with a harmless text.
func checkMail(m, plain Mail, l Letter) (faults []string) {
	fault := func(ok bool, s string) {
		if !ok {
			faults = append(faults, s)
		}
	}
	fault(strings.IndexFunc(m.Subject, unicode.IsControl) < 0 && strings.TrimSpace(m.Subject) != "", "the subject is not one line: "+m.Subject)
	fault(length(m.Subject) <= maxSubject+2 && len(m.Subject) <= 16*maxSubject+12, "the subject is too long: "+m.Subject)
	fault(strings.Count(m.Subject, "\u2068") == strings.Count(m.Subject, "\u2069"), "the subject has isolates that do not match: "+m.Subject)
	fault(len(m.HTML) < 100_000, "the HTML is too large")
	text, elements := visible(m.HTML)
	_, want := visible(plain.HTML)
	for tag := range elements {
		fault(want[tag], "the HTML has another element: "+tag)
	}
	fault(strings.Count(m.HTML, "<a ") == strings.Count(plain.HTML, "<a "), "the HTML has other links")
	ours := strings.NewReplacer(l.Link, "", l.Unsubscribe, "")
	if l.Link == "" {
		ours = strings.NewReplacer(l.Unsubscribe, "")
	}
	if l.Unsubscribe == "" {
		ours = strings.NewReplacer(l.Link, "")
	}
	for _, s := range []string{m.Subject, m.Text, text} {
		for line := range strings.Lines(ours.Replace(s)) {
			// Our own words have a colon after names, and a slash in GET /v1.
			fault(linksIn(strings.TrimSpace(line)) == nil, "a line has a link: "+line)
		}
		fault(!strings.ContainsAny(s, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u200b\u2060\x00\r"), "a line orders text")
	}
	return faults
}

func TestHostileTextsAreHarmless(t *testing.T) {
	all := samples(t)
	delete(all, "batch") // as batch.boards, but large
	for i, name := range slices.Sorted(maps.Keys(all)) {
		for k, s := range hostile {
			l := all[name]
			l.Locale = []string{"en", "ko"}[(i+k)%2]
			plain, err := everywhere(l, "Jin").Render()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			l = everywhere(l, s)
			m, err := l.Render()
			if err != nil {
				t.Errorf("%s with %q: %v", name, s, err)
				continue
			}
			for _, fault := range checkMail(m, plain, l) {
				t.Errorf("%s.%s with %q: %s", name, l.Locale, s, fault)
			}
		}
	}
}

func FuzzRender(f *testing.F) {
	for _, s := range []string{"http://evil.example", "<a href=x>", "a\r\nb", "\u202eעב", "A:", strings.Repeat("🏃", 80)} {
		f.Add(s)
	}
	all := samples(f)
	delete(all, "batch")
	names := slices.Sorted(maps.Keys(all))
	f.Fuzz(func(t *testing.T, s string) {
		if shown(clean(s)) == "" {
			return
		}
		for i, name := range names {
			l := all[name]
			l.Locale = []string{"en", "ko"}[i%2]
			plain, err := everywhere(l, "Jin").Render()
			if err != nil {
				t.Fatal(err)
			}
			hostile := everywhere(l, s)
			m, err := hostile.Render()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, fault := range checkMail(m, plain, hostile) {
				t.Errorf("%s with %q: %s", name, s, fault)
			}
		}
	})
}

// TestManyCorrectionsFit checks that Gmail shows the whole mail, whatever the names and
// notes.
func TestManyCorrectionsFit(t *testing.T) {
	family := strings.Repeat("👩🏽‍❤️‍💋‍👨🏽", 200)
	for _, boards := range []int{1, 2, 300} {
		for _, s := range []string{"Round counted twice", family, strings.Repeat("&", 1000)} {
			l := samples(t)["batch"]
			l.Entries = slices.Clone(l.Entries)
			for i := range l.Entries {
				l.Entries[i].Note = s + string(rune('a'+i%26))
				l.Entries[i].Board = Board{ID: "b" + strconv.Itoa(i%boards), Title: s, Decimals: i % boards % 7, Zone: time.FixedZone("", i%boards)}
				l.Entries[i].Player = s
				l.Scores = append(l.Scores, Score{Board: l.Entries[i].Board, Player: s, Period: "all"})
			}
			m, err := l.Render()
			if err != nil {
				t.Fatal(err)
			}
			if len(m.HTML) > maxSize || len(m.Text) > maxSize {
				t.Errorf("%d boards, %.20s: the HTML has %d bytes, the text %d", boards, s, len(m.HTML), len(m.Text))
			}
			if !strings.Contains(m.Text, "and 2") || !strings.Contains(m.HTML, "300 corrections on ") {
				t.Errorf("%d boards, %.20s: the mail does not name how many corrections it leaves out", boards, s)
			}
		}
	}
	// With plain names, 50 are shown and the sum counts all.
	m, err := samples(t)["batch"].Render()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(m.Text, "- Adjustment"); n != maxRows || !strings.Contains(m.Text, "and 250 more") || !strings.Contains(m.Text, "In total: −303 points") {
		t.Errorf("%d rows: %s", n, m.Text)
	}
}

// TestLargeDataFits checks that the data of another system does not make the mail too
// large.
func TestLargeDataFits(t *testing.T) {
	l := samples(t)["other"]
	other := *l.Other
	other.Lines = slices.Repeat([]Line{{Name: strings.Repeat("&", 9000), Value: strings.Repeat("👩🏽‍❤️‍💋‍👨🏽", 500)}}, 1000)
	l.Other = &other
	m, err := l.Render()
	if err != nil || len(m.HTML) > maxSize || !strings.Contains(m.Text, "more values") {
		t.Errorf("the HTML has %d bytes: %v", len(m.HTML), err)
	}
}

// TestBothLayoutsSayTheSame checks that each line of the text is in the HTML.
func TestBothLayoutsSayTheSame(t *testing.T) {
	for name, l := range samples(t) {
		m, err := l.Render()
		if err != nil {
			t.Fatal(err)
		}
		text, _ := visible(m.HTML)
		for _, part := range regexp.MustCompile(`\n(?:- |> )?| · |: | \(`).Split(m.Text, -1) {
			part = strings.TrimRight(part, ":)\n")
			if part != "--" && !strings.Contains(text, part) && !strings.Contains(m.HTML, html.EscapeString(part)) {
				t.Errorf("%s: the HTML lacks %q", name, part)
			}
		}
	}
}

// TestHTMLLoadsNothing checks that a mail has no links but its own, and nothing that a
// client loads.
func TestHTMLLoadsNothing(t *testing.T) {
	for name, l := range samples(t) {
		m, err := l.Render()
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, url := range []string{l.Link, l.Link, l.Unsubscribe} {
			if url != "" {
				want = append(want, html.EscapeString(url))
			}
		}
		var got []string
		for _, href := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(m.HTML, -1) {
			got = append(got, href[1])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s links to %q, want %q", name, got, want)
		}
		if bad := regexp.MustCompile(`(?i)src=|url\(|@import|<img|<script|<link|<iframe|<form|srcset|background=| on[a-z]+=`).FindString(m.HTML); bad != "" {
			t.Errorf("%s has %s", name, bad)
		}
		if !strings.HasPrefix(m.HTML, `<!doctype html><html lang="en"`) {
			t.Errorf("%s: %.60s", name, m.HTML)
		}
		for _, table := range regexp.MustCompile(`<table[^>]*>`).FindAllString(m.HTML, 2) {
			if !strings.Contains(table, `role="presentation"`) {
				t.Errorf("%s: a table that only places things lacks its role: %s", name, table)
			}
		}
	}
}

func TestLettersThatAreNotTruthfulAreRefused(t *testing.T) {
	for _, c := range []struct {
		sample, want string
		change       func(*Letter)
	}{
		{"adjusted", "Zone must be the reader's time zone", func(l *Letter) { l.Zone = nil }},
		{"adjusted", "Locale must be ko or en", func(l *Letter) { l.Locale = "" }},
		{"adjusted", "At must be the time of the change", func(l *Letter) { l.At = time.Time{} }},
		{"adjusted", "Entries must have an entry", func(l *Letter) { l.Entries = nil }},
		{"adjusted", "Entries must have at most 1000 entries", func(l *Letter) { l.Entries = slices.Repeat(l.Entries, 1001) }},
		{"adjusted", "Entries[0].Points must be from -9007199254740991 to 9007199254740991", func(l *Letter) { l.Entries[0].Points = -1 << 53 }},
		{"adjusted", "Entries[0].Points must be from -9007199254740991 to 9007199254740991", func(l *Letter) { l.Entries[0].Points = math.MinInt64 }},
		{"adjusted", "Entries[0].Kind must be adjustment or reversal", func(l *Letter) { l.Entries[0].Kind = "result" }},
		{"adjusted", "Entries[0].Board must have an id or a title", func(l *Letter) { l.Board = Board{} }},
		{"adjusted", "Entries[0].Player must not be empty", func(l *Letter) { l.Player = "" }},
		{"adjusted", "Entries[0].OccurredAt must be the time of the change", func(l *Letter) { l.Entries[0].OccurredAt = time.Time{} }},
		{"adjusted", "Entries[0].Board.Unit must be points or duration_ms", func(l *Letter) { l.Board.Unit = "km" }},
		{"adjusted", "Entries[0].Board.Decimals must be from 0 to 6", func(l *Letter) { l.Board.Decimals = 7 }},
		{"adjusted", "Entries[0].Original must be nil unless the entry is a reversal", func(l *Letter) { l.Entries[0].Original = &Entry{OccurredAt: l.At} }},
		{"adjusted", "Scores[0].Period must not be empty", func(l *Letter) { l.Scores[0].Period = "" }},
		{"adjusted", "Unsubscribe must be a URL that begins with https:// or http://", func(l *Letter) { l.Unsubscribe = "" }},
		{"adjusted", "Unsubscribe must be a URL that begins with https:// or http://", func(l *Letter) { l.Unsubscribe = "javascript:alert(1)" }},
		{"adjusted", "Unsubscribe must be a URL that begins with https:// or http://", func(l *Letter) { l.Unsubscribe = "https://a@b/" }},
		{"adjusted", "Unsubscribe must be a URL that begins with https:// or http://", func(l *Letter) { l.Unsubscribe = "https://b/\r\nBcc: x" }},
		{"batch.boards", "Entries[2].OccurredAt must be the time of the change", func(l *Letter) { l.Entries[2].OccurredAt = time.Time{} }},
		{"batch.boards", "Scores[1].Board must have an id or a title", func(l *Letter) { l.Scores[1].Board = Board{} }},
		{"reversed", "Entries[0].Original.OccurredAt must be the time of the change", func(l *Letter) { l.Entries[0].Original = &Entry{} }},
		{"player-changed", "Changes must have a change", func(l *Letter) { l.Changes = nil }},
		{"player-changed", "Player must not be empty", func(l *Letter) { l.Player = "" }},
		{"player-erased", "Changes must have the fields that were erased", func(l *Letter) { l.Changes = nil }},
		{"player-erased", "Unsubscribe must be empty: this mail cannot be switched off", func(l *Letter) { l.Unsubscribe = "https://b/" }},
		{"link-proposed", "Board must have an id or a title", func(l *Letter) { l.Board = Board{} }},
		{"link-ended", "Player must not be empty", func(l *Letter) { l.Player = "" }},
		{"period-closed", "Closed must have the period that was closed", func(l *Letter) { l.Closed = nil }},
		{"period-closed", "Closed.Of must be at least the number of places", func(l *Letter) { l.Closed.Of = 9 }},
		{"period-closed", "Closed.Top must have at most 10 places", func(l *Letter) { l.Closed.Top = slices.Repeat(l.Closed.Top, 2) }},
		{"period-closed", "Closed.Top[0] must have a rank and a name", func(l *Letter) { l.Closed.Top[0].Rank = 0 }},
		{"period-closed", "Closed must have both Start and End, or neither", func(l *Letter) { l.Closed.End = time.Time{} }},
		{"role-changed", "Changes must have the role with its new value", func(l *Letter) { l.Changes[0].To = "" }},
		{"login-failed", "Failed must be at least 0", func(l *Letter) { l.Failed = -1 }},
		{"verify", "Link must be a URL that begins with https:// or http://", func(l *Letter) { l.Link = "/verify" }},
		{"reset", "LinkFor must be at least a minute", func(l *Letter) { l.LinkFor = 0 }},
		{"other", "Other must have a type and a subject", func(l *Letter) { l.Other = nil }},
		{"other", "Kind is unknown", func(l *Letter) { l.Kind = "gossip" }},
	} {
		l := samples(t)[c.sample]
		c.change(&l)
		m, err := l.Render()
		if err == nil || m != (Mail{}) || !strings.Contains(err.Error()+"; ", ": "+c.want+"; ") && !strings.Contains(err.Error()+"; ", "; "+c.want+"; ") {
			t.Errorf("%s without %q: %v", c.sample, c.want, err)
		}
	}
}

func TestErrorsAreShort(t *testing.T) {
	l := samples(t)["batch"]
	l.Board = Board{}
	if _, err := l.Render(); err == nil || len(err.Error()) > 1000 || !strings.HasSuffix(err.Error(), "; and 291 more") {
		t.Error(err)
	}
}

// TestErrorsNameNobody checks that an error, which is logged, has no text of people.
func TestErrorsNameNobody(t *testing.T) {
	for name, l := range samples(t) {
		l = everywhere(l, "Jin")
		l.Zone, l.Locale, l.Unsubscribe, l.Link = nil, "Jin", "Jin", "Jin"
		l.Board.Unit = "Jin"
		if _, err := l.Render(); err == nil || strings.Contains(err.Error(), "Jin") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
