package score

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

func TestCreate(t *testing.T) {
	all := []string{access.ScopeRead, access.ScopeEntries, access.ScopeBoards}
	for _, c := range []struct {
		name   string
		who    access.Caller
		id     string
		faults fault.List
		set    func(*Board)
		want   string
	}{
		{"with every default", owner, "new", nil, func(*Board) {}, ""},
		{"a malformed id", owner, "New", nil, func(*Board) {}, "bad-request id"},
		{"every fault at once", owner, "-", fault.List{{Field: "colour", Detail: "is unknown"}}, func(b *Board) {
			b.Combine, b.Min, b.Max, b.TimeZone = "most", 3, ptr[int64](2), "Moon"
		}, "bad-request colour id combine time_zone max"},
		{"faults come before the scope", apiKey("owner", access.Organizer, []string{access.ScopeRead}), "New", nil, func(*Board) {}, "bad-request id"},
		{"a key", apiKey("owner", access.Organizer, all), "new", nil, func(*Board) {}, ""},
		{"a key without the scope", apiKey("owner", access.Organizer, []string{access.ScopeRead, access.ScopeEntries}), "new", nil, func(*Board) {}, "forbidden"},
		{"a key for this id", apiKey("owner", access.Organizer, all, "new"), "new", nil, func(*Board) {}, ""},
		{"a key for other boards", apiKey("owner", access.Organizer, all, "taken"), "new", nil, func(*Board) {}, "forbidden"},
		{"an id that is taken", owner, "taken", nil, func(*Board) {}, "id-unavailable id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory(board("taken", nil))
			s := &Boards{Registry: m}
			got, err := s.Create(t.Context(), c.who, c.id, c.faults, c.set)
			if text := kindAndFields(err); text != c.want {
				t.Fatalf("got %q, want %q", text, c.want)
			}
			if c.want != "" {
				if len(m.boards) != 1 {
					t.Error("a board was written")
				}
				return
			}
			if want := jsonOf(NewBoard(c.id, owner.User)); jsonOf(got) != want || jsonOf(m.boards[c.id]) != want {
				t.Errorf("got %s, want %s", jsonOf(got), want)
			}
			if !slices.Equal(m.actors, []string{c.who.Actor()}) {
				t.Errorf("the actors are %q", m.actors)
			}
		})
	}
}

func TestLimitsOfACreation(t *testing.T) {
	key := apiKey("owner", access.Organizer, []string{access.ScopeBoards})
	for name, c := range map[string]struct {
		outcome CreationOutcome
		want    string
		detail  string
		wait    time.Duration
	}{
		"refusals": {CreationOutcome{Wait: 90 * time.Second}, "too-many-requests", "Wait", 90 * time.Second},
		"boards":   {CreationOutcome{Full: true}, "too-many-boards", "7 boards", 0},
		"an id":    {CreationOutcome{Taken: true}, "id-unavailable id", `The id "new" is not available. Choose another id.`, 0},
	} {
		for _, who := range []access.Caller{owner, key} {
			m := newMemory()
			m.limited = &c.outcome
			_, err := (&Boards{Registry: m, Quotas: Quotas{Boards: 7}}).Create(t.Context(), who, "new", nil, func(*Board) {})
			f, _ := fault.As(err)
			if kindAndFields(err) != c.want || !strings.Contains(f.Detail, c.detail) || f.RetryAfter != c.wait {
				t.Errorf("%s: %+v", name, f)
			}
			// A key counts for its owner.
			if got := m.creations[0]; got.User != "owner" || got.Boards != 7 || got.Refusals != 20 {
				t.Errorf("%s: the creation is %+v", name, got)
			}
		}
	}
	m := newMemory()
	m.limited = &CreationOutcome{Full: true}
	_, err := (&Boards{Registry: m}).Create(t.Context(), owner, "New", nil, func(*Board) {})
	if kindAndFields(err) != "bad-request id" || m.creations != nil {
		t.Errorf("the limits come before the fields: %v", err)
	}
}

// A catalogue has at most the quota's bytes, or as many as it has already.
func TestSizeOfACatalogue(t *testing.T) {
	reasons := func(n int) map[string]int64 { // {"aa":1,"ab":1} has 15 bytes
		all := map[string]int64{}
		for i := range n {
			all["a"+string(rune('a'+i))] = 1
		}
		return all
	}
	m := newMemory(board("large", func(b *Board) { b.Catalogue = reasons(4) }))
	s := &Boards{Registry: m, Quotas: Quotas{Catalogue: 15}}
	for i, c := range []struct {
		catalogue map[string]int64
		want      string
	}{
		{nil, ""}, {reasons(2), ""}, {reasons(3), "catalogue-too-large catalogue"}, {map[string]int64{"<&>가나": 1}, ""},
		{map[string]int64{"<&>가나다": 1}, "catalogue-too-large catalogue"}, {map[string]int64{`"""a`: -12}, ""}, {map[string]int64{`"""a`: -123}, "catalogue-too-large catalogue"},
	} {
		_, err := s.Create(t.Context(), owner, fmt.Sprintf("new-%d", i), nil, func(b *Board) { b.Catalogue = c.catalogue })
		if got := kindAndFields(err); got != c.want {
			t.Errorf("%v: got %q, want %q", c.catalogue, got, c.want)
		}
	}
	for _, c := range []struct {
		change func(*Board)
		want   string
	}{
		{func(b *Board) { b.Catalogue = reasons(5) }, "catalogue-too-large catalogue"},
		{func(b *Board) { b.Catalogue = map[string]int64{"aa": 10, "ab": 1, "ac": 1, "ad": 1} }, "catalogue-too-large catalogue"},
		{func(b *Board) { b.Title = "New" }, ""},
		{func(b *Board) { b.Catalogue = map[string]int64{"aa": 9, "ab": 9, "ac": 9, "ad": 9} }, ""},
		{func(b *Board) { b.Catalogue = reasons(3) }, ""},
		{func(b *Board) { b.Catalogue = reasons(4) }, "catalogue-too-large catalogue"},
		{func(b *Board) { b.Catalogue = nil }, ""},
	} {
		before := m.boards["large"]
		_, err := s.Change(t.Context(), owner, "large", nil, c.change)
		if got := kindAndFields(err); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if changed := m.boards["large"].Version != before.Version; changed != (c.want == "") {
			t.Errorf("after %q the board has changed: %t", c.want, changed)
		}
	}
}

func TestTheCreatorOwnsTheBoard(t *testing.T) {
	s := &Boards{Registry: newMemory()}
	b, err := s.Create(t.Context(), owner, "new", nil, func(b *Board) {
		b.Owners, b.Writers, b.Viewers, b.Catalogue = []string{"a", "b", "a"}, []string{"w", "w"}, nil, map[string]int64{}
	})
	if err != nil || jsonOf(b.Owners) != `["a","b","owner"]` || jsonOf(b.Writers) != `["w"]` || jsonOf(b.Viewers) != `[]` || b.Catalogue != nil {
		t.Errorf("got %s, %v", jsonOf(b), err)
	}
}

// Each case breaks the rule it names and every rule that is checked after it.
func TestFaultsOfAChangeComeInTheDocumentedOrder(t *testing.T) {
	stranger := person("x", access.Member)
	for _, c := range []struct {
		name string
		who  access.Caller
		id   string
		set  func(*Board)
		want string
	}{
		{"a field alone", stranger, "none", func(b *Board) { b.Unit, b.Max, b.Combine = "metres", ptr[int64](-5), Best }, "bad-request unit"},
		{"an unknown board", stranger, "none", func(b *Board) { b.Max, b.Combine = ptr[int64](-5), Best }, "not-found"},
		{"a private board", stranger, "private", func(b *Board) { b.Max, b.Combine = ptr[int64](-5), Best }, "not-found"},
		{"the right to change", stranger, "b", func(b *Board) { b.Max, b.Combine = ptr[int64](-5), Best }, "forbidden"},
		{"fields that contradict each other", owner, "b", func(b *Board) { b.Max, b.Combine = ptr[int64](-5), Best }, "bad-request max"},
		{"fields that entries were counted by", owner, "b", func(b *Board) { b.Combine = Best }, "board-in-use combine"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory(board("b", nil), board("private", func(b *Board) { b.Public = false }))
			m.entries["e"] = Entry{Board: "b"}
			_, err := (&Boards{Registry: m}).Change(t.Context(), c.who, c.id, nil, c.set)
			if got := kindAndFields(err); got != c.want || len(m.actors) > 0 {
				t.Errorf("got %q, want %q; %d changes were written", got, c.want, len(m.actors))
			}
		})
	}
}

func TestWhoMayChangeBoardsAndPlayers(t *testing.T) {
	all := []string{access.ScopeRead, access.ScopeEntries, access.ScopeBoards}
	for _, c := range []struct {
		name          string
		who           access.Caller
		board, player string // of an erasure as of the board
	}{
		{"nobody", access.Caller{}, "not-found", "not-found"},
		{"a stranger", person("x", access.Organizer), "not-found", "not-found"},
		{"a linked user", person("linked", access.Member), "forbidden", "forbidden"},
		{"a viewer", person("viewer", access.Member), "forbidden", "forbidden"},
		{"a writer", person("writer", access.Member), "forbidden", ""},
		{"an owner", owner, "", ""},
		{"an admin", person("x", access.Admin), "", ""},
		{"an auditor", person("x", access.Auditor), "forbidden", "forbidden"},
		{"the owner's key", apiKey("owner", access.Member, all), "", ""},
		{"the owner's key for entries", apiKey("owner", access.Member, []string{access.ScopeEntries}), "forbidden", ""},
		{"the owner's key for boards", apiKey("owner", access.Member, []string{access.ScopeBoards}), "", "forbidden"},
		{"the owner's key for another board", apiKey("owner", access.Member, all, "other"), "not-found", "not-found"},
		{"a writer's key", apiKey("writer", access.Member, all), "forbidden", ""},
		{"an auditor's key", apiKey("x", access.Auditor, all), "forbidden", "forbidden"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory(board("b", func(b *Board) { b.Public, b.Writers, b.Viewers = false, []string{"writer"}, []string{"viewer"} }))
			m.links[[2]string{"b", "linked"}] = true
			s := &Boards{Registry: m}
			if _, err := s.Change(t.Context(), c.who, "b", nil, func(b *Board) { b.Title = "New" }); kindAndFields(err) != c.board {
				t.Errorf("the board: got %v, want %q", err, c.board)
			}
			if _, _, err := s.ChangePlayer(t.Context(), c.who, "b", "p", nil, PlayerChange{}); kindAndFields(err) != c.player {
				t.Errorf("a player: got %v, want %q", err, c.player)
			}
			m.players[[2]string{"b", "p"}] = Player{Board: "b", ID: "p"}
			if err := s.ErasePlayer(t.Context(), c.who, "b", "p"); kindAndFields(err) != c.board {
				t.Errorf("an erasure: got %v, want %q", err, c.board)
			}
			for _, actor := range m.actors {
				if actor != c.who.Actor() {
					t.Errorf("the actor is %q", actor)
				}
			}
		})
	}
}

func TestChangesOfNothingChangeNothing(t *testing.T) {
	full := func(b *Board) {
		b.Title, b.Catalogue, b.Max, b.Writers = "Race", map[string]int64{"full": 42}, ptr[int64](5), []string{"w"}
		b.Periods = []Period{{Name: All}, {Name: "s", Start: now, End: now.AddDate(0, 1, 0)}}
	}
	seoul := time.FixedZone("", 9*3600)
	for name, set := range map[string]func(*Board){
		"no field":                       func(*Board) {},
		"the same values":                full,
		"a person listed twice":          func(b *Board) { b.Writers = []string{"w", "w"} },
		"an instant in another zone":     func(b *Board) { b.Periods[1].Start, b.Periods[1].End = now.In(seoul), now.AddDate(0, 1, 0) },
		"a catalogue in any other order": func(b *Board) { b.Catalogue = map[string]int64{"full": 42} },
	} {
		t.Run(name, func(t *testing.T) {
			old := board("b", full)
			m := newMemory(old)
			m.entries["e"] = Entry{Board: "b"}
			got, err := (&Boards{Registry: m}).Change(t.Context(), owner, "b", nil, func(b *Board) {
				// The probe of the request alone has no periods of the board.
				if len(b.Periods) < 2 {
					full(b)
				}
				set(b)
			})
			if err != nil || jsonOf(got) != jsonOf(old) || len(m.changes) != 0 {
				t.Errorf("got %s, %v; %d changes", jsonOf(got), err, len(m.changes))
			}
		})
	}
}

func TestChangesAreNamed(t *testing.T) {
	m := newMemory(board("b", nil))
	got, err := (&Boards{Registry: m}).Change(t.Context(), owner, "b", nil, func(b *Board) {
		b.Title, b.Max, b.Public = "Race", ptr[int64](5), true
	})
	if err != nil || got.Version != 2 || got.Title != "Race" || *got.Max != 5 {
		t.Errorf("got %+v, %v", got, err)
	}
	c := m.changes[0]
	if text := jsonOf(c.Changes); text != `{"max":{"from":null,"to":5},"title":{"from":"b","to":"Race"}}` {
		t.Errorf("the changes are %s", text)
	}
	if c.NoEntries || c.Actor != "user/owner" || c.Board.Version != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestFieldsFrozenByEntries(t *testing.T) {
	free := map[string]func(*Board){
		"title":     func(b *Board) { b.Title = "x" },
		"catalogue": func(b *Board) { b.Catalogue = map[string]int64{"full": 1} },
		"min":       func(b *Board) { b.Min = -1 },
		"max":       func(b *Board) { b.Max = ptr[int64](1) },
		"daily_cap": func(b *Board) { b.DailyCap = ptr[int64](1) },
		"floor":     func(b *Board) { b.Floor = ptr[int64](-1) },
		"unit":      func(b *Board) { b.Unit = "duration_ms" },
		"public":    func(b *Board) { b.Public = false },
		"owners":    func(b *Board) { b.Owners = append(b.Owners, "x") },
		"writers":   func(b *Board) { b.Writers = []string{"x"} },
		"viewers":   func(b *Board) { b.Viewers = []string{"x"} },
		"state":     func(b *Board) { b.State = Closed },
	}
	locked := map[string]func(*Board){
		"combine":    func(b *Board) { b.Combine = Last },
		"order":      func(b *Board) { b.Order = Asc },
		"ties":       func(b *Board) { b.Ties = Shared },
		"periods":    func(b *Board) { b.Periods = []Period{{Name: Day}} },
		"categories": func(b *Board) { b.Categories = []string{"club"} },
		"time_zone":  func(b *Board) { b.TimeZone = "Asia/Seoul" },
		"decimals":   func(b *Board) { b.Decimals = 2 },
		"players":    func(b *Board) { b.Players = RegisteredPlayers },
		"grace":      func(b *Board) { b.Grace = 0 },
	}
	// Every field that a client can change is in one of the two.
	all, err := fields(NewBoard("b", "o"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range all {
		if given := slices.Contains([]string{"id", "version", "created_at", "opened_at"}, name); !given && free[name] == nil && locked[name] == nil {
			t.Errorf("no case changes %s", name)
		}
	}
	change := func(entries bool, set func(*Board)) (*memory, error) {
		m := newMemory(board("b", nil))
		if entries {
			m.entries["e"] = Entry{Board: "b"}
		}
		_, err := (&Boards{Registry: m}).Change(t.Context(), owner, "b", nil, set)
		return m, err
	}
	for name, set := range free {
		if m, err := change(true, set); err != nil || len(m.actors) != 1 {
			t.Errorf("%s with entries: %v", name, err)
		}
	}
	for name, set := range locked {
		if _, err := change(true, set); kindAndFields(err) != "board-in-use "+name {
			t.Errorf("%s with entries: %v", name, err)
		}
		if m, err := change(false, set); err != nil || len(m.actors) != 1 {
			t.Errorf("%s without entries: %v", name, err)
		}
	}
	_, err = change(true, func(b *Board) { b.Title, b.Grace, b.Order, b.Ties = "x", 0, Asc, Shared })
	if f, ok := fault.As(err); !ok || kindAndFields(err) != "board-in-use order ties grace" || f.Field != "order" {
		t.Errorf("several at once: %v", err)
	}
}

func TestABoardWithPlayersCannotBecomeRegistered(t *testing.T) {
	m := newMemory(board("b", nil))
	m.players[[2]string{"b", "p"}] = Player{}
	if _, err := (&Boards{Registry: m}).Change(t.Context(), owner, "b", nil, func(b *Board) { b.Players = RegisteredPlayers }); kindAndFields(err) != "board-in-use players" {
		t.Errorf("got %v", err)
	}
}

// Of two fields that contradict each other, the fault names the one that the
// request changes.
func TestContradictionsNameTheChangedField(t *testing.T) {
	for _, c := range []struct {
		name     string
		old, set func(*Board)
		want     string
	}{
		{"max below min", func(b *Board) { b.Min = 5 }, func(b *Board) { b.Max = ptr[int64](4) }, "bad-request max"},
		{"min above max", func(b *Board) { b.Max = ptr[int64](5) }, func(b *Board) { b.Min = 6 }, "bad-request min"},
		{"both", nil, func(b *Board) { b.Min, b.Max = 6, ptr[int64](5) }, "bad-request max"},
		{"min equal to max", func(b *Board) { b.Max = ptr[int64](5) }, func(b *Board) { b.Min = 5 }, ""},
		{"a cap on a board of best", func(b *Board) { b.Combine = Best }, func(b *Board) { b.DailyCap = ptr[int64](9) }, "bad-request daily_cap"},
		{"best on a board with a cap", func(b *Board) { b.DailyCap = ptr[int64](9) }, func(b *Board) { b.Combine = Best }, "bad-request combine"},
	} {
		m := newMemory(board("b", c.old))
		_, err := (&Boards{Registry: m}).Change(t.Context(), owner, "b", nil, c.set)
		if got := kindAndFields(err); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAChangeIsTriedAgainWhileOthersChangeTheBoard(t *testing.T) {
	m := newMemory(board("b", nil))
	tries := 0
	m.before = func() {
		if tries++; tries < 5 {
			m.edit("b", func(b *Board) { b.Writers = append(slices.Clone(b.Writers), fmt.Sprint("w", tries)) })
		}
	}
	got, err := (&Boards{Registry: m}).Change(t.Context(), owner, "b", nil, func(b *Board) { b.Title = "Mine" })
	if err != nil || tries != 5 || got.Title != "Mine" || jsonOf(got.Writers) != `["w1","w2","w3","w4"]` {
		t.Errorf("after %d tries: %+v, %v", tries, got, err)
	}
	if text := jsonOf(m.changes[4].Changes); text != `{"title":{"from":"b","to":"Mine"}}` {
		t.Errorf("the change that was written is %s", text)
	}
}

func TestAChangeEndsIfOthersMakeItNeedlessOrForbidden(t *testing.T) {
	for _, c := range []struct {
		name   string
		others func(*Board)
		set    func(*Board)
		want   string
	}{
		{"others made the same change", func(b *Board) { b.Title = "Mine" }, func(b *Board) { b.Title = "Mine" }, ""},
		{"others took the board away", func(b *Board) { b.Owners = []string{"x"} }, func(b *Board) { b.Title = "Mine" }, "forbidden"},
		{"others took and hid the board", func(b *Board) { b.Owners, b.Public = []string{"x"}, false }, func(b *Board) { b.Title = "Mine" }, "not-found"},
		{"others made it contradictory", func(b *Board) { b.Min = 5 }, func(b *Board) { b.Max = ptr[int64](4) }, "bad-request max"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory(board("b", nil))
			m.before = func() { m.edit("b", c.others) }
			_, err := (&Boards{Registry: m}).Change(t.Context(), owner, "b", nil, c.set)
			if got := kindAndFields(err); got != c.want || len(m.changes) != 1 || len(m.actors) != 0 {
				t.Errorf("got %q after %d tries, want %q", got, len(m.changes), c.want)
			}
		})
	}
}

func TestABoardThatNeverStopsChangingIsBusy(t *testing.T) {
	m := newMemory(board("b", nil))
	m.before = func() { m.edit("b", func(*Board) {}) }
	_, err := (&Boards{Registry: m}).Change(t.Context(), owner, "b", nil, func(b *Board) { b.Title = "Mine" })
	if f, ok := fault.As(err); !ok || f.Kind != fault.Busy || f.RetryAfter != time.Second || len(m.changes) != 100 {
		t.Errorf("got %v after %d tries", err, len(m.changes))
	}
}

func TestChangePlayer(t *testing.T) {
	const user = "0198c0de-0000-7000-8000-00000000abcd"
	registered := func(b *Board) { b.Players = RegisteredPlayers }
	closed := func(b *Board) { b.State = Closed }
	name := PlayerChange{Profile: Profile{DisplayName: Text{true, ptr("Jin")}}}
	for _, c := range []struct {
		name   string
		board  func(*Board)
		id     string
		player string
		faults fault.List
		change PlayerChange
		want   string
	}{
		{"a new player", nil, "b", "p", nil, name, ""},
		{"a change of nothing creates the player", nil, "b", "p", nil, PlayerChange{}, ""},
		{"every status", nil, "b", "p", nil, PlayerChange{Status: ptr(DidNotFinish)}, ""},
		{"an unknown status", nil, "b", "p", nil, PlayerChange{Status: ptr(Status("asleep"))}, "bad-request status"},
		{"every fault at once", nil, "b", "a/b", fault.List{{Field: "extra"}}, PlayerChange{
			Profile: Profile{Country: Text{true, ptr("Atlantis")}}, Status: ptr(Status("asleep")), Note: Text{true, ptr(strings.Repeat("n", 1001))},
		}, "bad-request extra player country status note"},
		{"faults come before an unknown board", nil, "none", "a/b", nil, name, "bad-request player"},
		{"an unknown board", nil, "none", "p", nil, name, "not-found"},
		{"a closed board", closed, "b", "p", nil, name, "board-closed"},
		{"a registered board takes users", registered, "b", user, nil, name, ""},
		{"a registered board takes no other players", registered, "b", "p", nil, name, "bad-request player"},
		{"a registered board links a player to itself only", registered, "b", user, nil, PlayerChange{Profile: Profile{User: Text{true, ptr("u")}}}, "bad-request user"},
		{"a registered board proposes a player's own user", registered, "b", user, nil, PlayerChange{Profile: Profile{User: Text{true, ptr(user)}}}, ""},
		{"a registered board ends a link", registered, "b", user, nil, PlayerChange{Profile: Profile{User: Text{Set: true}}}, ""},
		{"faults by the board come before its state", func(b *Board) { registered(b); closed(b) }, "b", "p", nil, name, "bad-request player"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory(board("b", c.board))
			s := &Boards{Registry: m}
			p, made, err := s.ChangePlayer(t.Context(), owner, c.id, c.player, c.faults, c.change)
			if got := kindAndFields(err); got != c.want {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			if made != (c.want == "") || len(m.players) != len(m.actors) || made != (len(m.players) == 1) {
				t.Errorf("made is %v, and %d players were written", made, len(m.players))
			}
			if c.want != "" {
				return
			}
			if p.ID != c.player || p.User != nil {
				t.Errorf("got %+v", p)
			}
			if _, made, err := s.ChangePlayer(t.Context(), owner, c.id, c.player, nil, c.change); err != nil || made {
				t.Errorf("again: made is %v, %v", made, err)
			}
		})
	}
}

func TestChangePlayerByAnOutdatedBoard(t *testing.T) {
	for _, c := range []struct {
		name  string
		now   func(*Board)
		want  string
		tries int
	}{
		{"the board changed", func(b *Board) { b.Title = "New" }, "", 2},
		{"the board was closed", func(b *Board) { b.State = Closed }, "board-closed", 1},
		{"the caller lost the board", func(b *Board) { b.Owners = []string{"x"} }, "forbidden", 1},
		{"the caller lost sight of the board", func(b *Board) { b.Owners, b.Public = []string{"x"}, false }, "not-found", 1},
		{"the board takes registered players now", func(b *Board) { b.Players = RegisteredPlayers }, "bad-request player", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory(board("b", nil))
			tries := 0
			m.before = func() {
				if tries++; tries == 1 {
					m.edit("b", c.now)
				}
			}
			_, _, err := (&Boards{Registry: m}).ChangePlayer(t.Context(), owner, "b", "p", nil, PlayerChange{})
			if got := kindAndFields(err); got != c.want || tries != c.tries || (len(m.players) == 1) != (c.want == "") {
				t.Errorf("got %q after %d tries with %d players, want %q after %d", got, tries, len(m.players), c.want, c.tries)
			}
		})
	}
}

func TestChangePlayerOfABoardThatKeepsChangingIsBusy(t *testing.T) {
	m := newMemory(board("b", nil))
	tries := 0
	m.before = func() { tries++; m.edit("b", func(*Board) {}) }
	_, _, err := (&Boards{Registry: m}).ChangePlayer(t.Context(), owner, "b", "p", nil, PlayerChange{})
	if f, ok := fault.As(err); !ok || f.Kind != fault.Busy || f.RetryAfter != time.Second || tries != 3 || len(m.players) != 0 {
		t.Errorf("got %v after %d tries", err, tries)
	}
}

func TestAPlayerHasAtMost16Attributes(t *testing.T) {
	m := newMemory(board("b", nil))
	m.refusal = &Refusal{Items: []int{0}, Reason: TooManyAttributes}
	if _, _, err := (&Boards{Registry: m}).ChangePlayer(t.Context(), owner, "b", "p", nil, PlayerChange{}); kindAndFields(err) != "bad-request attributes" {
		t.Errorf("got %v", err)
	}
}
