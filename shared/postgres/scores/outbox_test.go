package scores_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/access"
	"plaudit/shared/audit"
	"plaudit/shared/audit/audittest"
	"plaudit/shared/event"
	"plaudit/shared/event/eventtest"
	"plaudit/shared/postgres"
	"plaudit/shared/postgres/outbox"
	"plaudit/shared/postgres/pgtest"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
)

// relayed takes up to limit messages and sends each with the error of its id, nil for most.
func relayed(t *testing.T, o audit.Outbox, limit int, errs map[int64]error) (sent []audit.Message) {
	t.Helper()
	n, err := o.Take(t.Context(), limit, func(_ context.Context, messages []audit.Message) []error {
		out := make([]error, len(messages))
		for i, m := range messages {
			out[i] = errs[m.ID]
		}
		sent = messages
		return out
	})
	if err != nil || n < len(sent) {
		t.Fatalf("took %d messages: %v", n, err)
	}
	return sent
}

func ids(messages []audit.Message) (out []int64) {
	for _, m := range messages {
		out = append(out, m.ID)
	}
	return out
}

func (s *scores) relay(t *testing.T) *pgscores.Store { return pgscores.New(s.db.Open("outbox_relay")) }

// some makes a board with three entries: four messages.
func (s *scores) some(t *testing.T) {
	s.board(t, "b", nil)
	for i := range 3 {
		s.add(t, "b", score.Submission{Player: fmt.Sprint("p", i), Points: ptr[int64](1)})
	}
}

// more adds n more entries: n messages.
func (s *scores) more(t *testing.T, n int) {
	for range n {
		s.add(t, "b", score.Submission{Player: "p0", Points: ptr[int64](1)})
	}
}

func TestTakeMarksWhatIsSent(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.some(t)
	relay := s.relay(t)
	if waiting, oldest, err := relay.Depth(t.Context(), 3); err != nil || waiting != 3 || oldest <= 0 || oldest > time.Minute {
		t.Errorf("%d wait, since %s: %v", waiting, oldest, err)
	}
	if got := ids(relayed(t, relay, 2, map[int64]error{2: errors.New("down")})); !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("took %d first", got)
	}
	if got := ids(relayed(t, relay, 3, map[int64]error{3: audit.Unwritable{Reason: "why"}})); !slices.Equal(got, []int64{2, 3, 4}) {
		t.Errorf("took %d then", got)
	}
	if got := relayed(t, relay, 3, nil); got != nil {
		t.Errorf("took %d at the end", ids(got))
	}
	if waiting, oldest, err := relay.Depth(t.Context(), 3); err != nil || waiting != 0 || oldest != 0 {
		t.Errorf("%d wait in the end, since %s: %v", waiting, oldest, err)
	}
	if s.count(t, "outbox WHERE sent_at IS NOT NULL") != 3 || s.count(t, "outbox") != 3 {
		t.Error("not all are marked")
	}
	var failed []struct{ Reason, Entry string }
	if err := s.db.Owner().Select(&failed, `SELECT f.reason, e.player AS entry FROM outbox_failed f JOIN entries e ON e.id = f.entry WHERE f.id = 3`); err != nil || len(failed) != 1 || failed[0].Reason != "why" || failed[0].Entry != "p1" {
		t.Errorf("set aside are %v, %v", failed, err)
	}
}

// A relay takes the rows that no other one has locked. Those that it could not send,
// because it died or its context ended, stay.
func TestRelaysShareAnOutbox(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.some(t)
	one, other := s.relay(t), s.relay(t)
	ctx, cancel := context.WithCancel(t.Context())
	n, err := one.Take(ctx, 2, func(_ context.Context, mine []audit.Message) []error {
		if got := ids(relayed(t, other, 9, nil)); !slices.Equal(got, []int64{3, 4}) || len(mine) != 2 {
			t.Errorf("the other relay took %d", got)
		}
		cancel()
		return []error{nil, context.Canceled} // one was sent before
	})
	if n != 2 || err != nil {
		t.Errorf("a relay that ends took %d: %v", n, err)
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = one.Take(t.Context(), 2, func(context.Context, []audit.Message) []error { panic("dead") })
	}()
	if got := ids(relayed(t, one, 9, nil)); !slices.Equal(got, []int64{2}) {
		t.Errorf("what stays is %d", got)
	}
}

// A batch has a few megabytes, or one row.
func TestABatchIsBounded(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.some(t)
	s.db.Owner().MustExec(`UPDATE outbox SET entry = NULL, subject = 's/' || id, actor = 'a', subjectseq = 1, data = to_json(repeat('x', 5000000))::text WHERE id < 4`)
	relay := s.relay(t)
	for _, want := range [][]int64{{1, 2}, {3, 4}} {
		if got := ids(relayed(t, relay, 100, nil)); !slices.Equal(got, want) {
			t.Errorf("a batch has the rows %d, want %d", got, want)
		}
	}
	s.db.Owner().MustExec(`DELETE FROM outbox`)
}

// A row that cannot be read as a message is set aside; one that only a later version can
// read stays. Neither holds up the others.
func TestUnreadableRowsAreSetAside(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.some(t)
	s.db.Owner().MustExec(`
		UPDATE outbox SET extensions = '[' WHERE id = 1;
		UPDATE outbox SET enc = 2 WHERE id = 2;
		UPDATE outbox SET kind = 'mail' WHERE id = 3;`)
	taken := relayed(t, s.relay(t), 9, nil)
	if got := ids(taken); !slices.Equal(got, []int64{1, 3, 4}) {
		t.Fatalf("taken are %d", got)
	}
	for i, unreadable := range []bool{true, true, false} {
		if m := taken[i]; (m.Fault != "") != unreadable || (m.Event == nil) != unreadable {
			t.Errorf("message %d: %+v", m.ID, m)
		}
	}
	checker := pgscores.New(s.db.Open("db_check"))
	failed, err := checker.Failed(t.Context(), 0, 9)
	if err != nil || len(failed) != 2 || !strings.Contains(failed[0].Reason, "extensions") || !strings.Contains(failed[1].Reason, `"mail"`) {
		t.Errorf("set aside are %v, %v", failed, err)
	}
	if s.count(t, "outbox WHERE enc = 2 AND sent_at IS NULL") != 1 {
		t.Error("the row of a later version is gone")
	}
	s.db.Owner().MustExec(`DELETE FROM outbox`)
	if found, last, err := checker.Orphans(t.Context(), "", 1); err != nil || len(found) != 1 || last == "" {
		t.Errorf("the entry without a row: %v, %s, %v", found, last, err)
	}
	s.db.Owner().MustExec(`DELETE FROM outbox_failed`)
}

// A row whose rendering panics waits for a version that can render it. It holds up neither
// the others nor a check.
func TestARowThatPanicsHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.some(t)
	odd := func(doc []byte, _ int) (outbox.Entry, error) {
		if strings.Contains(string(doc), `"p1"`) {
			panic("odd")
		}
		return outbox.Entry{Subject: "board/b/player/p", Data: []byte("{}")}, nil
	}
	relay := outbox.New(s.db.Open("outbox_relay"), event.Scores, odd)
	var sent []int64
	n, err := relay.Take(t.Context(), 9, func(_ context.Context, messages []audit.Message) []error {
		out := make([]error, len(messages))
		for i, m := range messages {
			if out[i] = m.Err; m.Err == nil {
				sent = append(sent, m.ID)
			}
		}
		return out
	})
	if err != nil || n != 4 || !slices.Equal(sent, []int64{1, 2, 4}) || s.count(t, "outbox WHERE sent_at IS NULL") != 1 || s.count(t, "outbox_failed") != 0 {
		t.Errorf("of %d rows, %v were sent: %v", n, sent, err)
	}
	kept, err := outbox.New(s.db.Open("db_check"), event.Scores, odd).Kept(t.Context(), 0, 9)
	if err != nil || len(kept) != 4 || kept[2].Fault != "panic: odd" || kept[2].ID != 3 || !kept[2].Sent.IsZero() || kept[2].Event.RecordedTime.IsZero() || kept[3].Fault != "" {
		t.Errorf("kept are %+v, %v", kept, err)
	}
}

// A whole batch that fails again and again does not hold up what is behind it, and has its
// turn again, also while more and more comes.
func TestABatchThatFailsIsPassed(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.some(t)
	s.more(t, 4)
	relay := s.relay(t)
	down := map[int64]error{1: errors.New("down"), 2: errors.New("down"), 3: errors.New("down"), 4: errors.New("down")}
	for i, want := range [][]int64{{1, 2}, {3, 4}, {5, 6}, {7, 8}, {1, 2}, {3, 4}, {1, 2}} {
		if got := ids(relayed(t, relay, 2, down)); !slices.Equal(got, want) {
			t.Errorf("batch %d has the rows %d, want %d", i, got, want)
		}
	}
	turns := 0
	for range 120 {
		s.more(t, 1)
		if got := ids(relayed(t, relay, 1, down)); got[0] == 1 {
			turns++
		}
	}
	if turns < 2 {
		t.Errorf("the oldest row had %d turns", turns)
	}
}

func TestSentRowsLeave(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.some(t)
	relay := s.relay(t)
	relayed(t, relay, 3, nil)
	s.db.Owner().MustExec(`UPDATE outbox SET sent_at = sent_at - interval '10 days' WHERE id < 3`)
	for _, want := range []int{1, 1, 0} {
		if n, err := relay.Purge(t.Context(), 9*24*time.Hour, 1); err != nil || n != want {
			t.Errorf("%d rows left, want %d: %v", n, want, err)
		}
	}
	if s.count(t, "outbox") != 2 {
		t.Errorf("%d rows stay", s.count(t, "outbox"))
	}
}

// A restore has sent rows sent again, as the same events, in pieces.
func TestRestoreSendsTheSameEvents(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.some(t)
	relay, checker := s.relay(t), pgscores.New(s.db.Open("db_check"))
	first := relayed(t, relay, 3, nil)
	kept, err := checker.Kept(t.Context(), 0, 9)
	if err != nil || len(kept) != 4 || kept[2].Sent.IsZero() || !kept[3].Sent.IsZero() {
		t.Fatalf("kept are %v, %v", kept, err)
	}
	if last, err := checker.LastID(t.Context()); err != nil || last != 4 {
		t.Errorf("the last id is %d, %v", last, err)
	}
	from := kept[1].Event.RecordedTime
	for _, want := range [][3]int64{{0, 1, 2}, {2, 1, 0}} { // after, marked, last
		marked, last, err := checker.Restore(t.Context(), want[0], from, kept[3].Event.RecordedTime, 2)
		if err != nil || int64(marked) != want[1] || last != want[2] {
			t.Errorf("after %d, %d were marked up to %d: %v", want[0], marked, last, err)
		}
	}
	if n, err := checker.Restoring(t.Context(), 9); err != nil || n != 2 {
		t.Errorf("%d are restored: %v", n, err)
	}
	if _, oldest, err := relay.Depth(t.Context(), 1); err != nil || oldest != 0 {
		t.Errorf("restored rows count as %s old: %v", oldest, err)
	}
	again := relayed(t, relay, 9, nil)
	if !slices.Equal(ids(again), []int64{2, 3, 4}) || !again[0].Restored || !again[1].Restored || again[2].Restored {
		t.Fatalf("sent again are %+v", again)
	}
	for i, m := range again[:2] {
		one, _ := first[i+1].Event.Encode()
		other, err := m.Event.Encode()
		if err != nil || string(one) != string(other) {
			t.Errorf("sent again is %s, %v\nbefore it was %s", other, err, one)
		}
	}
	if marked, last, err := checker.Restore(t.Context(), 0, time.Time{}, time.Time{}, 100); err != nil || marked != 4 || last != 0 {
		t.Errorf("all: %d up to %d: %v", marked, last, err)
	}
}

func TestTheOutboxIsASource(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.board(t, "b", nil)
	s.db.Owner().MustExec(`DELETE FROM outbox`)
	relay := s.relay(t)
	all := func(err error) {
		t.Helper()
		_, err = relay.Take(t.Context(), 100, func(_ context.Context, messages []audit.Message) []error {
			return slices.Repeat([]error{err}, len(messages))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	audittest.Source(t, audittest.Outbox{
		Name: event.Scores, Source: pgscores.New(s.db.Open("db_check")),
		Add: func(n int) {
			for range n {
				s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1)})
			}
		},
		Send:     func() { all(nil) },
		SetAside: func() { all(audit.Unwritable{Reason: "why"}) },
	})
}

// A row that comes back is the one that was set aside, in all columns.
func TestARetryBringsWholeRowsBack(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.some(t)
	pgtest.RetryKeepsRows(t, s.db, s.relay(t), pgscores.New(s.db.Open("db_check")))
}

func TestARetryNeedsAMigratedDatabase(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	s.db.Owner().MustExec(`DROP FUNCTION outbox_retry_v1`)
	if _, _, err := pgscores.New(s.db.Open("db_check")).Retry(t.Context(), 0, 1); err == nil || !strings.Contains(err.Error(), "migrate it with `plaudit setup` first") {
		t.Errorf("got %v", err)
	}
}

// Events are compared and signed byte for byte, so that a row must always be the same
// document: these ones.
func TestEventsHaveTheseBytes(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.clock(t, noon)
	s.board(t, "b", func(b *score.Board) {
		b.Periods = []score.Period{{Name: "all"}, {Name: "season", Start: noon.AddDate(-1, 0, 0), End: noon.AddDate(9, 0, 0)}}
	})
	s.exec(t, `UPDATE players SET user_id = 'u' WHERE false`)
	owned := s.db
	for i, batch := range []any{nil, entryID(90)} {
		item := fields{"item": 0, "id": entryID(i + 1), "board": "b", "version": 1, "player": "p", "refused": false, "late": false, "kind": "adjustment",
			"points": -5, "tiebreak": 1, "note": "a \"note\" <&> \u2028 ä\t", "metadata": `{"secret": 1}`, "occurred_at": noon.Add(-time.Hour), "run_set": 1}
		runs := list(fields{"run_set": 1, "board": "b", "period": "all"}, fields{"run_set": 1, "board": "b", "period": "season", "start_at": noon.AddDate(-1, 0, 0), "end_at": noon.AddDate(9, 0, 0)})
		var text string
		if err := sqlx.GetContext(t.Context(), owned, &text, `SELECT add_entries_v3('{b}', `+of("add_item_v1", 1)+`, `+of("add_run_v1", 2)+`, 'user/o', 'o', $3, $4, '{}')::text`, list(item), runs, parent, batch); err != nil {
			t.Fatal(err)
		}
		s.exec(t, `UPDATE players SET user_id = 'u'`)
	}
	s.exec(t, `SELECT internal.change_links(ARRAY[b.no], '{p}', ARRAY[NULL], '{0}', 'key/k', 'o', $1) FROM boards b`, parent)
	// The first ones are as if they had been written before rows had tags.
	const tag = "018f0000-0000-4000-8000-000000000077"
	s.exec(t, `UPDATE outbox SET tag = CASE WHEN id > 3 THEN $1::uuid END`, tag)
	rows, err := pgscores.New(s.scores.db.Open("db_check")).Kept(t.Context(), 1, 9) // the board's has random parts
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d events, %v", len(rows), err)
	}
	const head = `{"specversion":"1.0","id":"%s","source":"/plaudit/scores","type":"plaudit.%s","subject":"board/b/player/p","time":"%s","datacontenttype":"application/json","dataschema":"%[5]s","recordedtime":"%[4]s","logid":"%[6]s","actor":"%[7]s",`
	logid := func(id string) string { return event.LogID(event.Scores, id) }
	want := []string{
		fmt.Sprintf(head, "2", "entry.adjusted", "2026-04-05T11:00:00Z", "2026-04-05T12:00:00Z", "/docs/events/plaudit.entry.adjusted.json", logid("2"), "user/o") +
			`"traceparent":"` + parent + `","data":{"id":"00000000-0000-0000-0000-000000000001","board":"b","player":"p","points":-5,"reason":null,"note":"a \"note\" \u003c\u0026\u003e \u2028 ä\t","kind":"adjustment","actor":"user/o","seq":1,"tiebreak":1,"occurred_at":"2026-04-05T11:00:00Z","recorded_at":"2026-04-05T12:00:00Z","standings":[{"period":"all","start":null,"score":-5},{"period":"season","start":"2025-04-05T12:00:00Z","score":-5}]}}`,
		fmt.Sprintf(head, "3", "entry.adjusted", "2026-04-05T11:00:00Z", "2026-04-05T12:00:00.000001Z", "/docs/events/plaudit.entry.adjusted.json", logid("3"), "user/o") +
			`"notify":"u","traceparent":"` + parent + `","user":"u","data":{"id":"00000000-0000-0000-0000-000000000002","board":"b","player":"p","points":-5,"reason":null,"note":"a \"note\" \u003c\u0026\u003e \u2028 ä\t","kind":"adjustment","actor":"user/o","seq":2,"tiebreak":1,"occurred_at":"2026-04-05T11:00:00Z","recorded_at":"2026-04-05T12:00:00.000001Z","batch":"00000000-0000-0000-0000-000000000090","batch_size":1,"standings":[{"period":"all","start":null,"score":-10},{"period":"season","start":"2025-04-05T12:00:00Z","score":-10}]}}`,
		fmt.Sprintf(head, "4-"+tag, "player.link-ended", "2026-04-05T12:00:00.000002Z", "2026-04-05T12:00:00.000002Z", "urn:plaudit:event:plaudit.player.link-ended", logid("4-"+tag), "key/k") +
			`"notify":"u","traceparent":"` + parent + `","subjectseq":1,"data":{"user": "u", "state": "accepted"}}`,
	}
	for i, r := range rows {
		document, err := r.Event.Encode()
		if err != nil || string(document) != want[i] {
			t.Errorf("an event is\n%s, %v\nwant\n%s", document, err, want[i])
		}
	}
	eventtest.Validate(t, rows[2].Event)
	for _, r := range rows {
		if err := eventtest.Data(r.Event.Type, r.Event.JSON); err != nil {
			t.Error(err)
		}
	}
}

// Boards' events name their owners, those of players the user who they are.
func TestExtensionsOfEvents(t *testing.T) {
	t.Parallel()
	const account = "018f0000-0000-7000-8000-000000000001"
	s := newScores(t, 1)
	s.board(t, "b", func(b *score.Board) { b.State = score.Draft })
	s.change(t, "b", func(b *score.Board) { b.State = score.Open })
	s.change(t, "b", func(b *score.Board) { b.Owners, b.Public = append(b.Owners, "second"), false })
	s.board(t, "r", func(b *score.Board) { b.Players = score.RegisteredPlayers })
	s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1), Profile: ptr(userIs("l"))})
	s.add(t, "r", score.Submission{Player: account, Points: ptr[int64](1), Profile: &score.Profile{Attributes: map[string]*string{"club": ptr("Han")}}})
	if _, err := s.boards.AcceptLink(ctxOf(t), linkedUser, "b", "p"); err != nil {
		t.Fatal(err)
	}
	s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1)})
	s.add(t, "b", score.Submission{Player: account, Points: ptr[int64](1)}) // like an account's, but anybody's here
	if _, _, err := s.boards.ChangePlayer(ctxOf(t), owner, "b", "p", nil, score.PlayerChange{Status: ptr(score.Status("hidden"))}); err != nil {
		t.Fatal(err)
	}
	s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1)}) // its user reads in the log what is hidden
	if err := s.boards.EndLink(ctxOf(t), linkedUser, "b", "p"); err != nil {
		t.Fatal(err)
	}
	rows, err := pgscores.New(s.db.Open("db_check")).Kept(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		text, err := json.Marshal(r.Event.Extensions)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %d %s", strings.TrimPrefix(string(r.Event.Type), "plaudit."), strings.ReplaceAll(r.Event.Subject, account, "A"), r.Event.SubjectSeq, strings.ReplaceAll(string(text), account, "A")))
	}
	want := []string{
		`board.created board/b 1 {"draft":true,"owners":"` + owner.User + `","public":false}`,
		`board.updated board/b 2 {"owners":"` + owner.User + `","public":true}`,
		`board.updated board/b 3 {"owners":"` + owner.User + `,second","public":false}`,
		`board.created board/r 1 {"owners":"` + owner.User + `","public":true}`,
		`entry.added board/b/player/p 0 null`,
		`player.link-proposed board/b/player/p 1 null`,
		`entry.added board/r/player/A 0 {"user":"A"}`,
		`player.changed board/r/player/A 1 {"user":"A"}`,
		`player.link-accepted board/b/player/p 2 {"user":"l"}`,
		`entry.added board/b/player/p 0 {"user":"l"}`,
		`entry.added board/b/player/A 0 null`,
		`player.changed board/b/player/p 3 {"user":"l"}`,
		`entry.added board/b/player/p 0 {"user":"l"}`,
		`player.link-ended board/b/player/p 4 null`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("the events are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// bell is a waker that counts.
type bell struct {
	mu    sync.Mutex
	rings int
	err   error
	slow  bool
}

func (b *bell) Wake(ctx context.Context) error {
	if b.slow {
		<-ctx.Done()
		return ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rings++
	return b.err
}

func (b *bell) rung() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	rings := b.rings
	b.rings = 0
	return rings == 1
}

// Every change wakes the relay once its promise is over, also if it is repeated, and none
// does before. What is refused never does.
func TestChangesWakeTheRelay(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	b := &bell{}
	adder := &score.Adder{Ledger: pgscores.New(s.db.Open("score_add")).Waking(b), Now: time.Now}
	boards := &score.Boards{Registry: pgscores.New(s.db.Open("board_admin")).Waking(b)}
	syncer := pgscores.New(s.db.Open("player_sync")).Waking(b)
	n := 0
	member := access.Caller{User: "018f0000-0000-7000-8000-000000000001", Role: access.Member}
	changes := []struct {
		name string
		do   func() error
	}{
		{"a board", func() error {
			n++
			_, err := boards.Create(ctxOf(t), owner, fmt.Sprint("b", n), nil, func(*score.Board) {})
			return err
		}},
		{"a board's change", func() error {
			_, err := boards.Change(ctxOf(t), owner, fmt.Sprint("b", n), nil, func(b *score.Board) { b.Title = fmt.Sprint("Title ", n) })
			return err
		}},
		{"an add", func() error {
			_, err := adder.Add(ctxOf(t), owner, addRoute, fmt.Sprint("b", n), score.Submission{Player: "p", Points: ptr[int64](1), Key: "k"})
			return err
		}},
		{"a batch", func() error {
			_, _, err := adder.AddAll(ctxOf(t), owner, batchRoute, []score.BatchItem{{Board: fmt.Sprint("b", n), Submission: score.Submission{Player: "q", Points: ptr[int64](1)}}}, nil)
			return err
		}},
		{"a proposal", func() error {
			_, _, err := boards.ChangePlayer(ctxOf(t), owner, fmt.Sprint("b", n), "p", nil, score.PlayerChange{Profile: userIs(member.User)})
			return err
		}},
		{"an acceptance", func() error {
			_, err := boards.AcceptLink(ctxOf(t), member, fmt.Sprint("b", n), "p")
			return err
		}},
		{"a name", func() error {
			return syncer.ApplyProfile(ctxOf(t), audit.Profile{User: member.User, Version: int64(n), DisplayName: ptr(fmt.Sprint("Kim ", n))})
		}},
		{"an end", func() error { return boards.EndLink(ctxOf(t), member, fmt.Sprint("b", n), "p") }},
		{"an erasure", func() error { return boards.ErasePlayer(ctxOf(t), owner, fmt.Sprint("b", n), "p") }},
	}
	relay := s.relay(t)
	for _, until := range []string{"-infinity", "infinity", "-infinity"} {
		s.db.Owner().MustExec(`UPDATE relay_lease SET until = $1`, until)
		for _, c := range changes {
			if err := c.do(); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if got := b.rung(); got != (until == "-infinity") {
				t.Errorf("with a promise until %s, %s wakes the relay: %t", until, c.name, got)
			}
		}
	}
	// A repetition cannot know whether the first one, whose answer was lost, came to its wake.
	add := func() error {
		_, err := adder.Add(ctxOf(t), owner, addRoute, fmt.Sprint("b", n), score.Submission{Player: "p", Points: ptr[int64](1), Key: "k"})
		return err
	}
	repeated := map[string]func() error{
		"an add": add,
		"a batch": func() error {
			_, _, err := adder.AddAll(ctxOf(t), owner, batchRoute, []score.BatchItem{{Board: fmt.Sprint("b", n), Submission: score.Submission{Player: "q", Points: ptr[int64](1), Key: "batch"}}}, nil)
			return err
		},
		"a player": func() error {
			_, _, err := boards.ChangePlayer(ctxOf(t), owner, fmt.Sprint("b", n), "new", nil, score.PlayerChange{})
			return err
		},
		"an acceptance": func() error {
			_, err := boards.AcceptLink(ctxOf(t), member, fmt.Sprint("b", n), "linked")
			return err
		},
		"an end":     func() error { return boards.EndLink(ctxOf(t), member, fmt.Sprint("b", n), "unlinked") },
		"an erasure": func() error { return boards.ErasePlayer(ctxOf(t), owner, fmt.Sprint("b", n), "erased") },
	}
	for _, player := range []string{"linked", "unlinked", "erased"} {
		if _, _, err := boards.ChangePlayer(ctxOf(t), owner, fmt.Sprint("b", n), player, nil, score.PlayerChange{Profile: userIs(member.User)}); err != nil {
			t.Fatal(err)
		}
	}
	for name, do := range repeated {
		for _, until := range []string{"infinity", "-infinity", "infinity"} {
			s.db.Owner().MustExec(`UPDATE relay_lease SET until = $1`, until)
			b.rung()
			if err := do(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got := b.rung(); got != (until == "-infinity") {
				t.Errorf("with a promise until %s, %s that is repeated wakes the relay: %t", until, name, got)
			}
		}
	}
	s.db.Owner().MustExec(`UPDATE relay_lease SET until = '-infinity'`)
	for name, do := range map[string]func() error{
		"a board whose id is taken": func() error {
			_, err := boards.Create(ctxOf(t), owner, "b1", nil, func(*score.Board) {})
			return err
		},
		"a link that does not exist": func() error { return boards.EndLink(ctxOf(t), member, fmt.Sprint("b", n), "new") },
	} {
		if err := do(); err == nil || b.rung() {
			t.Errorf("%s wakes the relay, or is there: %v", name, err)
		}
	}
	// The change is made, whatever becomes of the wake.
	b.err = errors.New("down")
	if err := changes[3].do(); err != nil || !b.rung() {
		t.Errorf("a batch whose wake fails: %v", err)
	}
	b.slow = true
	if err := changes[3].do(); err != nil {
		t.Errorf("a batch whose wake hangs: %v", err)
	}
	if _, err := relay.Extend(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
}

func TestLeaseIsExtended(t *testing.T) {
	t.Parallel()
	s := newStepper(t)
	s.clock(t, noon)
	relay := s.relay(t)
	for _, c := range []struct{ by, want time.Duration }{{time.Minute, time.Minute}, {time.Second, time.Minute}, {2 * time.Minute, 2 * time.Minute}} {
		if got, err := relay.Extend(t.Context(), c.by); err != nil || got != c.want+postgres.LongestWrite {
			t.Errorf("extended by %s, a relay polls for %s, want %s longer than a writer takes: %v", c.by, got, c.want, err)
		}
	}
	s.clock(t, noon.Add(2*time.Minute-time.Microsecond))
	for _, want := range []bool{false, true} {
		var wake bool
		if err := sqlx.GetContext(t.Context(), s.db, &wake, `SELECT internal.wake()`); err != nil || wake != want {
			t.Errorf("wake: %t, %v", wake, err)
		}
		s.clock(t, noon.Add(2*time.Minute))
	}
}

// interleaved is one relay and one writer over the same database, and the clock that both
// see. Everything happens in the order in which the test says it.
type interleaved struct {
	stepper
	t      *testing.T
	relay  *pgscores.Store
	now    time.Time
	writer *sqlx.DB
	n      int
	sent   map[int64]bool
}

func newInterleaved(t *testing.T) *interleaved {
	s := newStepper(t)
	s.board(t, "b", nil)
	s.clock(t, noon)
	i := &interleaved{stepper: s, t: t, relay: s.relay(t), now: noon, writer: s.scores.db.Open("score_add"), sent: map[int64]bool{}}
	_, commit := i.write() // the first entry makes the run, for which others would wait
	commit()
	i.look()
	return i
}

func (i *interleaved) pass(d time.Duration) {
	i.now = i.now.Add(d)
	i.clock(i.t, i.now)
}

// write begins an add and returns what it says of the wake, and its commit.
func (i *interleaved) write() (wake bool, commit func()) {
	i.t.Helper()
	i.n++
	item := list(fields{"item": 0, "id": entryID(i.n), "board": "b", "version": 1, "player": fmt.Sprint("p", i.n), "refused": false, "late": false,
		"kind": "result", "points": 1, "tiebreak": 0, "occurred_at": noon, "run_set": 1})
	runs := list(fields{"run_set": 1, "board": "b", "period": "all"})
	tx, err := i.writer.BeginTxx(i.t.Context(), nil)
	if err != nil {
		i.t.Fatal(err)
	}
	err = tx.GetContext(i.t.Context(), &wake, `SELECT (add_entries_v3('{b}', `+of("add_item_v1", 1)+`, `+of("add_run_v1", 2)+`, 'user/o', 'o', $3, NULL, '{}') ->> 'wake')::boolean`, item, runs, parent)
	if err != nil {
		i.t.Fatal(err)
	}
	return wake, func() {
		i.t.Helper()
		if err := tx.Commit(); err != nil {
			i.t.Fatal(err)
		}
	}
}

// look is the relay's look at the outbox.
func (i *interleaved) look() (n int) {
	i.t.Helper()
	for _, m := range relayed(i.t, i.relay, 100, nil) {
		i.sent[m.ID] = true
		n++
	}
	return n
}

// The relay lets its promise run out while an add is about to commit that relies on it.
func TestPromiseRunsOutBeforeTheCommit(t *testing.T) {
	t.Parallel()
	i := newInterleaved(t)
	pollFor, err := i.relay.Extend(t.Context(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	end := i.now.Add(pollFor)
	i.pass(10*time.Second - time.Microsecond)
	wake, commit := i.write()
	if wake {
		t.Fatal("an add wakes the relay before its promise is over")
	}
	i.pass(time.Second) // the promise is over
	if n := i.look(); n != 0 {
		t.Fatalf("%d messages of an add that has not committed", n)
	}
	other, commitOther := i.write()
	if !other {
		t.Error("an add after the promise does not wake the relay")
	}
	commitOther()
	i.look()
	// As late as a writer can commit, the relay still polls.
	i.pass(postgres.LongestWrite - time.Second)
	if !i.now.Before(end) {
		t.Fatalf("the relay has stopped at %s, before %s", end, i.now)
	}
	commit()
	i.pass(end.Sub(i.now))
	if n := i.look(); n != 1 { // the last look begins at the end
		t.Errorf("the last look finds %d messages", n)
	}
}

// In any order of what writers and relays do, a message that is committed has woken a
// relay, or one polls that will find it.
func TestNoWakeIsLost(t *testing.T) {
	t.Parallel()
	i := newInterleaved(t)
	random := rand.New(rand.NewPCG(1, 2))
	type writer struct {
		deadline time.Time // by when the server ends it
		wake     bool
		commit   func()
	}
	const by = 10 * time.Second
	for history := range 1000 {
		var writers []writer
		var promised, pollEnd time.Time // of the relay; zero: none runs
		woken := false
		steps := 2 + random.IntN(12)
		for step := 0; step < steps || len(writers) > 0; step++ {
			if step < steps && len(writers) < 3 && random.IntN(3) == 0 {
				wake, commit := i.write()
				writers = append(writers, writer{i.now.Add(postgres.LongestWrite), wake, commit})
				continue
			}
			switch random.IntN(5) {
			case 0, 1: // time passes, but nobody outlives their time-out
				next := i.now.Add(time.Duration(random.Int64N(int64(by))))
				if random.IntN(2) == 0 { // what goes wrong does so at the ends
					next = []time.Time{promised.Add(-time.Microsecond), promised, i.now.Add(time.Hour)}[random.IntN(3)]
				}
				if next.Before(i.now) {
					next = i.now
				}
				for _, w := range writers {
					if next.After(w.deadline) {
						next = w.deadline
					}
				}
				if !pollEnd.IsZero() && next.After(pollEnd) {
					next = pollEnd // the relay looks once more, and ends
				}
				i.pass(next.Sub(i.now))
			case 2: // a writer commits
				if len(writers) > 0 {
					at := random.IntN(len(writers))
					writers[at].commit()
					woken = woken || writers[at].wake
					writers = slices.Delete(writers, at, at+1)
				}
			case 3: // a relay starts if it was woken, or extends its promise
				if woken || !pollEnd.IsZero() {
					pollFor, err := i.relay.Extend(t.Context(), by)
					if err != nil {
						t.Fatal(err)
					}
					promised, pollEnd, woken = i.now.Add(by), i.now.Add(pollFor), false
					i.look()
				}
			case 4: // the relay looks; the look that begins after the end is the last one
				if !pollEnd.IsZero() {
					over := !i.now.Before(pollEnd)
					n := i.look()
					if over && n == 0 {
						pollEnd = time.Time{}
					}
				}
			}
		}
		// All have committed. Without a relay that polls or is woken, nothing may wait.
		if pollEnd.IsZero() && !woken {
			if n := i.look(); n != 0 {
				t.Fatalf("history %d leaves %d messages without a relay", history, n)
			}
			continue
		}
		i.look()
		i.exec(t, `UPDATE relay_lease SET until = $1`, i.now) // the next history begins without a promise
	}
	if len(i.sent) != i.n+1 {
		t.Errorf("%d messages of %d were sent", len(i.sent), i.n+1)
	}
}

// The largest change of a board: everything in it changes, and is as long as it may be.
func TestTheLargestEventFitsIntoTheLog(t *testing.T) {
	t.Parallel()
	s := newScores(t, 1)
	full := func(b *score.Board, letter string, n int64) {
		b.Title = strings.Repeat("😀", 200)[:4*199] + letter
		b.Catalogue = map[string]int64{}
		// 139 bytes each, with the quotes, the colon and the comma.
		for i := range int64(1000) {
			b.Catalogue[fmt.Sprintf("%s%s%03d", strings.Repeat("한", 38), letter, i)] = n - 1000 - i
		}
		var people []string
		for i := range 99 {
			people = append(people, fmt.Sprintf("%s%s%03d", strings.Repeat("u", 60), letter, i))
		}
		b.Owners, b.Writers, b.Viewers = append([]string{owner.User}, people...), people, people
		b.Periods, b.Categories = []score.Period{{Name: score.All}}, nil
		for i := range 7 {
			b.Periods = append(b.Periods, score.Period{Name: fmt.Sprint(strings.Repeat("기", 38), letter, i), Cron: "0 0 1 1 *"})
		}
		for i := range 4 {
			b.Categories = append(b.Categories, fmt.Sprint(strings.Repeat("분", 38), letter, i))
		}
	}
	boards := &score.Boards{Registry: pgscores.New(s.db.Open("board_admin")), Quotas: score.Quotas{Catalogue: score.MaxCatalogue}}
	if _, err := boards.Create(ctxOf(t), owner, "b", nil, func(b *score.Board) { full(b, "a", -score.MaxPoints+2000) }); err != nil {
		t.Fatal(err)
	}
	before := s.largest(t)
	if _, err := boards.Change(ctxOf(t), owner, "b", nil, func(b *score.Board) { full(b, "b", -score.MaxPoints+2000) }); err != nil {
		t.Fatal(err)
	}
	// Without the catalogue's size the test would show nothing.
	if after := s.largest(t); after <= before || after > audit.MaxDocument || after < 2*score.MaxCatalogue*95/100 {
		t.Errorf("the largest event has %d bytes, before it %d", after, before)
	}
}

// largest returns the size of the largest event.
func (s *scores) largest(t *testing.T) (size int) {
	t.Helper()
	rows, err := pgscores.New(s.db.Open("db_check")).Kept(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		document, err := r.Event.Encode()
		if err != nil {
			t.Fatal(err)
		}
		size = max(size, len(document))
	}
	return size
}
