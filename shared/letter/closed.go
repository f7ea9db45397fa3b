package letter

import "fmt"

// maxTop is how many places of a final table a letter has.
const maxTop = 10

// periodClosed writes about the final table of a run.
func (l Letter) periodClosed(w in, d *doc) {
	c, board := l.Closed, w.board(l.Board)
	// A name that the board chose, or the days.
	var period any = foreign{c.Period, maxName}
	if calendar[c.Period] {
		period = w.period(l.Board, c.Period, c.Start)
	}
	own := 0
	for _, place := range c.Top {
		if place.You {
			own = place.Rank
		}
	}
	if own > 0 {
		d.subject = w.subject("You finished %[3]s on %[1]s, %[2]s", "최종 %[3]s – %[1]s, %[2]s", board, period, w.ordinal(own))
	} else {
		d.subject = w.subject("Final ranking of %s, %s", "최종 순위 – %s, %s", board, period)
	}
	l.greet(w, d)
	if own > 0 {
		d.say(w.say("Congratulations! The period is closed, and your place is final.", "축하합니다! 기간이 마감되어 회원님의 순위가 확정되었습니다."))
	} else {
		d.say(w.say("The period is closed, and its ranking is final.", "기간이 마감되어 순위가 확정되었습니다."))
	}
	var f facts
	f.add(w.say("Board", "점수판"), board.String())
	f.add(w.say("Period", "기간"), w.capital(c.Period, fmt.Sprint(period)))
	if !c.Start.IsZero() {
		zone := w.zoneOf(l.Board)
		f.add(w.say("From", "시작"), w.instant(c.Start, zone))
		f.add(w.say("Until", "종료"), w.instant(c.End, zone))
	}
	f.add(w.say("Took part", "참가 인원"), w.count(c.Of, "player", "players", "명"))
	d.blocks = append(d.blocks, f)
	if len(c.Top) == 0 {
		return
	}
	t := table{
		title: w.say("Final ranking", "최종 순위"),
		head:  []string{w.say("Rank", "순위"), w.say("Player", "참가자"), w.say("Score", "점수")},
	}
	for _, place := range c.Top {
		name := w.player(place.Name)
		name.max = maxCell
		shown := name.String()
		if place.You {
			shown = w.say("%s (you)", "%s (나)", shown)
		}
		t.rows = append(t.rows, row{
			cells: [][]string{{digits(uint64(place.Rank))}, {shown}, {w.points(l.Board, place.Score)}},
			main:  place.You,
		})
	}
	if rest := c.Of - len(c.Top); rest > 0 {
		t.more = w.say("and %s", "외 %s", w.count(rest, "more player", "more players", "명"))
	}
	d.blocks = append(d.blocks, t)
}
