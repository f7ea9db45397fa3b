package scores_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/postgres"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
)

// manyBoards returns Boards with as many connections as the role has, and the quotas.
func (s *scores) manyBoards(t *testing.T, q score.Quotas) *score.Boards {
	t.Helper()
	config := s.db.Config("board_admin")
	config.MaxConns = 6 // the role's limit
	db, err := postgres.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &score.Boards{Registry: pgscores.New(db), Quotas: q}
}

func create(t *testing.T, boards *score.Boards, who access.Caller, id string, set func(*score.Board)) error {
	t.Helper()
	if set == nil {
		set = func(*score.Board) {}
	}
	_, err := boards.Create(ctxOf(t), who, id, nil, set)
	return err
}

// An account creates as many boards as its quota, also by many requests at once and
// by its keys, whatever their state, even if others own them later.
func TestQuotaOfBoards(t *testing.T) {
	s := newScores(t, 1)
	boards := s.manyBoards(t, score.Quotas{Boards: 5})
	key := access.Caller{User: "o", Role: access.Service, Owner: access.Organizer, Key: "k", Scopes: []string{access.ScopeBoards}}
	other := access.Caller{User: "p", Role: access.Organizer}
	var made, full atomic.Int64
	together(func(i int) {
		who := owner
		if i%2 == 0 {
			who = key
		}
		err := create(t, boards, who, fmt.Sprintf("b%d", i), func(b *score.Board) {
			b.State = []score.State{score.Open, score.Draft, score.Archived}[i%3]
			b.Owners = []string{"p"} // does not count for p
		})
		switch {
		case err == nil:
			made.Add(1)
		case fault.Is(err, fault.TooManyBoards):
			full.Add(1)
		default:
			t.Error(err)
		}
	})
	if made.Load() != 5 || full.Load() == 0 || s.count(t, "boards WHERE created_by = 'o'") != 5 {
		t.Errorf("%d boards were created, %d refused", made.Load(), full.Load())
	}
	// The quota comes before the id, taken or not.
	var taken string
	if err := s.db.Owner().Get(&taken, `SELECT id FROM boards LIMIT 1`); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{taken, "free"} {
		if err := create(t, boards, owner, id, nil); !fault.Is(err, fault.TooManyBoards) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if n := s.count(t, "board_refusals"); n != 0 {
		t.Errorf("%d refusals were counted", n)
	}
	// Giving boards away makes no room.
	for range 5 {
		s.db.Owner().MustExec(`UPDATE boards SET owners = '{p}'`)
	}
	if err := create(t, boards, owner, "free", nil); !fault.Is(err, fault.TooManyBoards) {
		t.Error(err)
	}
	if err := create(t, boards, other, "free", nil); err != nil {
		t.Error(err)
	}
}

// After 20 ids that are taken, an account creates no board until the first of them is
// an hour old.
func TestRefusedIDsAreLimited(t *testing.T) {
	s := newScores(t, 1)
	for _, b := range []struct {
		id  string
		set func(*score.Board)
	}{
		{"public", nil}, {"private", func(b *score.Board) { b.Public = false }},
		{"draft", func(b *score.Board) { b.State = score.Draft }}, {"archived", func(b *score.Board) { b.State = score.Archived }},
	} {
		s.board(t, b.id, b.set)
	}
	boards := s.manyBoards(t, score.Quotas{})
	guesser := access.Caller{User: "g", Role: access.Organizer}
	key := access.Caller{User: "g", Role: access.Service, Owner: access.Organizer, Key: "k", Scopes: []string{access.ScopeBoards}}
	if err := create(t, boards, guesser, "mine", nil); err != nil {
		t.Fatal(err)
	}
	var taken, limited atomic.Int64
	attempt := func(i int) {
		id, who := []string{"public", "private", "draft", "archived", "mine"}[i%5], guesser
		if i%2 == 0 {
			who = key
		}
		err := create(t, boards, who, id, nil)
		switch f, _ := fault.As(err); {
		case fault.Is(err, fault.IDUnavailable) && f.Field == "id" && f.Detail == fmt.Sprintf("The id %q is not available. Choose another id.", id):
			taken.Add(1)
		case fault.Is(err, fault.TooManyRequests) && f.RetryAfter > 59*time.Minute && f.RetryAfter <= time.Hour:
			limited.Add(1)
		default:
			t.Errorf("%s: %v", id, err)
		}
	}
	for i := range 10 {
		attempt(i)
	}
	together(attempt)
	if taken.Load() != 20 || limited.Load() == 0 || s.count(t, "board_refusals WHERE user_id = 'g'") != 20 {
		t.Errorf("%d refusals, then %d", taken.Load(), limited.Load())
	}
	// Admins see every board, so that a refusal reveals nothing.
	for range 21 {
		if err := create(t, boards, access.Caller{User: "a", Role: access.Admin}, "draft", nil); !fault.Is(err, fault.IDUnavailable) {
			t.Fatalf("an admin: %v", err)
		}
	}
	for _, id := range []string{"free", "public"} {
		if err := create(t, boards, guesser, id, nil); !fault.Is(err, fault.TooManyRequests) {
			t.Errorf("%s: %v", id, err)
		}
	}
	// What is wrong with the request itself comes before.
	if err := create(t, boards, guesser, "No Id", nil); !fault.Is(err, fault.BadRequest) {
		t.Error(err)
	}
	if err := create(t, boards, owner, "others-go-on", nil); err != nil {
		t.Error(err)
	}
	// The oldest leaves the hour: one more attempt.
	s.db.Owner().MustExec(`UPDATE board_refusals SET at = at - interval '1 hour' WHERE id = (SELECT min(id) FROM board_refusals)`)
	if err := create(t, boards, guesser, "free", nil); err != nil {
		t.Error(err)
	}
	if err := create(t, boards, guesser, "public", nil); !fault.Is(err, fault.IDUnavailable) {
		t.Error(err)
	}
	if err := create(t, boards, guesser, "free-2", nil); !fault.Is(err, fault.TooManyRequests) {
		t.Error(err)
	}
	// The one that left has been deleted.
	if n := s.count(t, "board_refusals"); n != 20 {
		t.Errorf("%d refusals are kept", n)
	}
	if n := s.count(t, "boards WHERE version <> 1"); n != 0 {
		t.Errorf("a refusal changed %d boards", n)
	}
}

// The functions of the previous version go on creating boards, which count.
func TestPreviousVersionCreatesBoards(t *testing.T) {
	s := newScores(t, 1)
	admin := s.db.Open("board_admin")
	for id, c := range map[string]struct{ owners, actor, creator string }{
		"user": {`["x","o"]`, "user/o", "o"}, "key": {`["o"]`, "key/k", "o"}, "keys": {`["x","o"]`, "key/k", "-"},
	} {
		var doc []byte
		err := admin.Get(&doc, `SELECT create_board_v1($1, $2, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')`, fmt.Sprintf(`{"id":%q,"title":"T","combine":"sum","order":"desc","ties":"first","periods":["all"],"categories":[],
			"time_zone":"UTC","catalogue":null,"min":0,"decimals":0,"unit":"points","grace":"24h","players":"any","public":true,"owners":%s,"writers":[],"viewers":[],"state":"open"}`, id, c.owners), c.actor)
		var creator string
		if err == nil {
			err = s.db.Owner().Get(&creator, `SELECT coalesce(created_by, '-') FROM boards WHERE id = $1`, id)
		}
		if err != nil || creator != c.creator {
			t.Errorf("%s: created by %q, want %q; %v", id, creator, c.creator, err)
		}
	}
}
