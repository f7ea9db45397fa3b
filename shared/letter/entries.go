package letter

import "time"

// The kinds of entries.
const (
	kindAdjustment = "adjustment"
	kindReversal   = "reversal"
	kindImport     = "import"
)

// entry returns an entry with what it has in common with its letter.
func (l Letter) entry(e Entry) Entry {
	if e.Board == (Board{}) {
		e.Board = l.Board
	}
	if e.Player == "" {
		e.Player = l.Player
	}
	return e
}

// score returns a score with what it has in common with its letter.
func (l Letter) score(s Score) Score {
	only := Entry{Board: s.Board, Player: s.Player}
	if len(l.Entries) == 1 {
		first := l.entry(l.Entries[0])
		if only.Board == (Board{}) {
			only.Board = first.Board
		}
		if only.Player == "" {
			only.Player = first.Player
		}
	}
	only = l.entry(only)
	s.Board, s.Player = only.Board, only.Player
	return s
}

// bonus returns 1 for a bonus, -1 for a penalty and 0 if it is neither, or if that is
// unknown.
func (e Entry) bonus() int {
	sign := 0
	switch {
	case e.Points > 0:
		sign = 1
	case e.Points < 0:
		sign = -1
	}
	switch e.Board.Order {
	case "desc":
		return sign
	case "asc":
		return -sign
	}
	return 0
}

// corrected writes about one adjustment or reversal.
func (l Letter) corrected(w in, d *doc, rows int) {
	e := l.entry(l.Entries[0])
	board := w.board(e.Board)
	var f facts
	f.add(w.say("Board", "점수판"), board.String())
	f.add(w.say("Player", "참가자"), w.player(e.Player).String())
	l.greet(w, d)
	if e.Kind == kindReversal {
		d.subject = w.subject("%[2]s cancelled on %[1]s", "%[1]s: %[2]s 취소", board, upper(w.cancelled(e)))
		d.say(w.say("An entry of yours was cancelled and no longer counts.", "기록이 취소되어 더 이상 점수에 반영되지 않습니다."))
		what := fact{name: w.say("Cancelled", "취소된 기록"), value: []string{upper(w.cancelled(e))}}
		if e.Original != nil {
			what.of = foreign{e.Original.Reason, maxName}.String()
		}
		f = append(f, what)
		if o := e.Original; o != nil {
			f.add(w.say("Dated", "기록 일시"), w.when(o.OccurredAt))
			if lines := note(o.Note); len(lines) > 0 {
				f = append(f, fact{name: w.say("Note on it", "기록의 메모"), value: lines})
			}
		}
	} else {
		switch amount := w.unsigned(e.Board, e.Points); {
		case e.bonus() < 0 && e.Board.Unit == unitDuration:
			d.subject = w.subject("Penalty of %[2]s on %[1]s", "%[1]s: 페널티 %[2]s", board, amount)
		case e.bonus() < 0:
			d.subject = w.subject("Penalty of %[2]s on %[1]s", "%[1]s: %[2]s 감점", board, amount)
		case e.bonus() > 0 && e.Board.Unit == unitDuration:
			d.subject = w.subject("Bonus of %[2]s on %[1]s", "%[1]s: 보너스 %[2]s", board, amount)
		case e.bonus() > 0:
			d.subject = w.subject("Bonus of %[2]s on %[1]s", "%[1]s: %[2]s 가점", board, amount)
		default:
			d.subject = w.subject("Adjustment of %[2]s on %[1]s", "%[1]s: 점수 조정 %[2]s", board, w.signed(e.Board, e.Points))
		}
		d.say(w.say("Your score was adjusted.", "점수가 조정되었습니다."))
		f.add(w.say("Adjustment", "조정"), w.signed(e.Board, e.Points))
		if reason := (foreign{e.Reason, maxName}).String(); reason != "" {
			f.add(w.say("Reason", "항목"), reason)
		}
	}
	f = append(f, l.scores(w, rows, false)...)
	why := e.Note
	if why == "" {
		why = l.Note
	}
	// An adjustment counts in the periods of the time that it is dated.
	if apart := l.At.Sub(e.OccurredAt).Abs(); e.Kind == kindAdjustment && apart >= time.Minute {
		f.add(w.say("Dated", "기준 일시"), w.when(e.OccurredAt))
	}
	l.said(w, &f, why)
	d.blocks = append(d.blocks, f)
}

// cancelled names the entry that a reversal cancels: result of 30 points.
func (w in) cancelled(e Entry) string {
	kind, n := "", -e.Points
	if e.Original != nil {
		kind, n = e.Original.Kind, e.Original.Points
	}
	points := w.points(e.Board, n)
	switch kind {
	case kindAdjustment:
		return w.say("adjustment of %s", "%s 조정", w.signed(e.Board, n))
	case kindImport:
		return w.say("imported result of %s", "%s 가져온 기록", points)
	case "result":
		return w.say("result of %s", "%s 기록", points)
	}
	return w.say("entry of %s", "%s 기록", points)
}

// scores lists how the scores changed. Several boards or players are named.
func (l Letter) scores(w in, rows int, named bool) (f facts) {
	for i, s := range l.Scores {
		if i == rows {
			f.add("…", w.say("and %s more scores", "외 점수 %s개", digits(uint64(len(l.Scores)-i))))
			break
		}
		s = l.score(s)
		of := w.capital(s.Period, w.period(s.Board, s.Period, s.Start))
		if named {
			of += " · " + w.place(s.Board, s.Player)
		}
		f = append(f, fact{name: w.say("Score", "점수"), value: []string{w.scored(s)}, of: of, main: true})
	}
	return f
}

// scored writes what a score was, if that is known, and is. The unit comes once.
func (w in) scored(s Score) string {
	switch {
	case !s.FromKnown:
		return w.score(s.Board, s.To)
	case s.From == nil && s.To == nil, s.From != nil && s.To != nil && *s.From == *s.To:
		return w.say("%s (unchanged)", "%s (변동 없음)", w.score(s.Board, s.To))
	case s.From == nil || s.To == nil || w.ko:
		return arrow(w.score(s.Board, s.From), w.score(s.Board, s.To))
	}
	return arrow(s.Board.number(*s.From), w.score(s.Board, s.To))
}

// batch writes about many adjustments and reversals that were added together.
func (l Letter) batch(w in, d *doc, rows int) {
	sums := l.sums()
	why, same := l.commonNote()
	n := w.count(len(l.Entries), "correction", "corrections", "건")
	boards := map[string]bool{}
	for _, s := range sums {
		boards[s.board.key()] = true
	}
	if len(boards) == 1 {
		d.subject = w.subject("%[2]s on %[1]s", "%[1]s: 정정 %[2]s", w.board(sums[0].board), n)
	} else {
		d.subject = w.subject("%s on %s", "점수판 %[2]s의 기록 정정 %[1]s", n, w.count(len(boards), "board", "boards", "개"))
	}
	l.greet(w, d)
	d.say(w.say("Several entries were corrected together.", "여러 기록이 한꺼번에 정정되었습니다."))
	var f facts
	several := len(sums) > 1
	if !several {
		f.add(w.say("Board", "점수판"), w.board(sums[0].board).String())
		f.add(w.say("Player", "참가자"), w.player(sums[0].player).String())
		f.add(w.say("In total", "합계"), sums[0].total(w))
	}
	f = append(f, l.scores(w, rows, several)...)
	l.said(w, &f, why)
	d.blocks = append(d.blocks, f)
	if several {
		d.blocks = append(d.blocks, totals(w, sums, rows))
	}
	t := table{title: w.say("Corrections", "정정 내역"), head: []string{w.say("Entry", "기록"), w.say("Points", "점수")}}
	for i, e := range l.Entries {
		if i == rows {
			t.more = w.say("and %s more", "외 %s건", digits(uint64(len(l.Entries)-i)))
			break
		}
		t.rows = append(t.rows, w.correction(l.entry(e), several, !same))
	}
	d.blocks = append(d.blocks, t)
}

// correction is a row about an entry of a batch.
func (w in) correction(e Entry, named, noted bool) row {
	what := w.say("Adjustment", "조정")
	if e.Kind == kindReversal {
		what = w.say("Cancelled: %s", "취소: %s", w.cancelled(e))
	}
	cell := []string{what}
	if named {
		cell = append(cell, w.place(e.Board, e.Player))
	}
	at := e.OccurredAt
	if e.Original != nil {
		at = e.Original.OccurredAt
	}
	cell = append(cell, w.short(at))
	if why := (foreign{e.Note, maxRow}).String(); noted && why != "" {
		cell = append(cell, why)
	}
	return row{cells: [][]string{cell, {w.signed(e.Board, e.Points)}}}
}

// place names a player of a board in a row of a table.
func (w in) place(b Board, player string) string {
	board, name := w.board(b), w.player(player)
	board.max, name.max = maxCell, maxCell
	return board.String() + " · " + name.String()
}

// key tells boards apart. Zones of the same name may be different pointers.
func (b Board) key() string {
	if b.ID == "" {
		return b.Title
	}
	return b.ID
}

// sum is what a batch changed for one player of a board.
type sum struct {
	board   Board
	player  string
	entries int
	points  int64
}

func (s sum) total(w in) string { return w.signed(s.board, s.points) }

// sums returns the sums of a batch, in the order of its entries.
func (l Letter) sums() (sums []sum) {
	type of struct{ board, player string }
	at := map[of]int{}
	for _, e := range l.Entries {
		e = l.entry(e)
		who := of{e.Board.key(), e.Player}
		k, ok := at[who]
		if !ok {
			k = len(sums)
			at[who] = k
			sums = append(sums, sum{board: e.Board, player: e.Player})
		}
		sums[k].entries++
		sums[k].points += e.Points // no sum of maxEntries overflows
	}
	return sums
}

func totals(w in, sums []sum, rows int) table {
	t := table{title: w.say("In total", "합계"), head: []string{w.say("Player", "참가자"), w.say("Points", "점수")}}
	for i, s := range sums {
		if i == rows {
			t.more = w.say("and %s more players", "외 참가자 %s명", digits(uint64(len(sums)-i)))
			break
		}
		t.rows = append(t.rows, row{cells: [][]string{
			{w.place(s.board, s.player), w.count(s.entries, "correction", "corrections", "건")},
			{s.total(w)},
		}})
	}
	return t
}

// commonNote returns the note that all entries share. same reports whether they do.
func (l Letter) commonNote() (why string, same bool) {
	for i, e := range l.Entries {
		if i > 0 && e.Note != l.Entries[0].Note {
			return l.Note, false
		}
	}
	if why = l.Entries[0].Note; why == "" {
		why = l.Note
	}
	return why, true
}
