package model

import (
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Item is one entry or reversal of a request. Nil fields are absent.
type Item struct {
	Board      string
	Player     string
	Points     *int64
	Reason     *string
	Kind, Note *string
	Tiebreak   *int64
	OccurredAt *time.Time
	Late       bool
	Metadata   any
	Key        string
	Profile    *Profile
	Rename     bool
	Reversal   bool
	Reverses   string
	Identity   string // the item as sent
}

// Profile is what an entry or a PATCH changes about its player. Absent fields
// stay; an inner nil clears.
type Profile struct {
	DisplayName, Country, User **string
	Attributes                 map[string]*string
	Status                     *string
	Note                       **string
}

// applyEntry merges the profile that an entry brings. If the player is linked to
// a user, the name and the country are the user's.
func (p *Profile) applyEntry(s *State) {
	if p == nil {
		return
	}
	brought := *p
	if s.account() {
		brought.DisplayName, brought.Country = nil, nil
	}
	brought.apply(s)
}

// account reports whether the player's name and country are those of an account.
func (s *State) account() bool { return s.User != nil || s.Account }

// propose proposes the user as the player, nil to end the link.
func (s *State) propose(user *string) {
	switch {
	case user == nil:
		s.User, s.Proposed, s.Link = nil, nil, ""
	case s.proposes(user):
		s.User, s.Proposed, s.Link = nil, user, "proposed"
	}
}

// proposes reports whether proposing the user changes something: the user is not
// linked, and has answered the last proposal.
func (s *State) proposes(user *string) bool {
	return user != nil && !same(s.User, user) && !(s.Link == "proposed" && same(s.Proposed, user))
}

func (p *Profile) apply(s *State) {
	if p == nil {
		return
	}
	for _, f := range []struct{ from, to **string }{
		{p.DisplayName, &s.DisplayName}, {p.Country, &s.Country}, {p.Note, &s.Note},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if p.User != nil {
		s.propose(*p.User)
	}
	if p.Status != nil {
		s.Status = *p.Status
	}
	for name, value := range p.Attributes {
		if value == nil {
			delete(s.Attributes, name)
		} else {
			s.Attributes[name] = *value
		}
	}
}

// Refusal is a way in which the API may refuse a request. Why is the kind of
// problem, if the status does not determine it. Each of Faults is a set of
// names, one of which the response must name. Without Faults the field is not
// checked. Says is a part of the detail.
type Refusal struct {
	Status int
	Why    string
	Faults [][]string
	Says   string
}

// Verdict is the expected result of a request. Any of Refusals is correct. If
// there is none, each item is either Made or a Replay.
type Verdict struct {
	Refusals []Refusal
	Made     []*Entry // nil if the item is a replay
	Replay   []*Entry // nil if it is made
}

// Judge returns the expected result of a request to add, and writes nothing.
// single means a request of one item, whose fields have no prefix.
func (w *World) Judge(c Caller, route string, single bool, items []Item) Verdict {
	name := func(i int, field string) string {
		if single {
			return field
		}
		if field == "" {
			return fmt.Sprintf("entries[%d]", i)
		}
		return fmt.Sprintf("entries[%d].%s", i, field)
	}
	// Each stage checks every item, and the first stage with a fault ends the
	// checks.
	var v Verdict
	if c.Role == "" {
		return refuse(Refusal{Status: 401, Why: "unauthenticated"})
	}
	if faults := w.bodyFaults(items, name); len(faults) > 0 {
		return refuse(Refusal{Status: 400, Why: "bad-request", Faults: faults})
	}
	for i, in := range items {
		if status := w.gate(c, w.Board(in.Board), Staff, "entries:write"); status != 0 {
			v.Refusals = append(v.Refusals, Refusal{Status: status, Faults: item(single, name(i, ""))})
		}
	}
	if v.Refusals != nil {
		return v
	}
	for i, in := range items {
		if in.Profile != nil && in.Profile.User != nil && w.gate(c, w.Board(in.Board), Owns, "boards:write") != 0 {
			v.Refusals = append(v.Refusals, Refusal{Status: 403, Faults: [][]string{{name(i, "profile.user")}}})
		}
	}
	if v.Refusals != nil {
		return v
	}
	for i, in := range items {
		old := w.byKey(in.Board, in.Key)
		v.Replay = append(v.Replay, old)
		if old != nil && old.Identity != c.Actor+" "+route+" "+in.Identity {
			v.Refusals = append(v.Refusals, Refusal{Status: 422, Why: "key-reused", Faults: item(single, name(i, ""))})
		}
	}
	if v.Refusals != nil {
		return v
	}
	for i, in := range items {
		if v.Replay[i] == nil && in.Reversal && w.Entry(in.Board, in.Reverses) == nil {
			v.Refusals = append(v.Refusals, Refusal{Status: 404, Faults: item(single, name(i, ""))})
		}
	}
	if v.Refusals != nil {
		return v
	}
	var faults [][]string
	for i, in := range items {
		if v.Replay[i] == nil && !in.Reversal {
			faults = append(faults, boundFaults(w.Board(in.Board), in, func(f string) string { return name(i, f) })...)
		}
	}
	if faults != nil {
		return refuse(Refusal{Status: 400, Why: "bad-request", Faults: faults})
	}
	w.make(c, route, items, single, name, &v)
	return v
}

func refuse(r Refusal) Verdict { return Verdict{Refusals: []Refusal{r}} }

func item(single bool, name string) [][]string {
	if single {
		return nil
	}
	return [][]string{{name}}
}

// bodyFaults returns the faults of the body alone.
func (w *World) bodyFaults(items []Item, name func(int, string) string) [][]string {
	var faults [][]string
	for i, in := range items {
		add := func(fields ...string) {
			for j := range fields {
				fields[j] = name(i, fields[j])
			}
			faults = append(faults, fields)
		}
		for j := range i {
			if in.Key != "" && items[j].Key == in.Key && items[j].Board == in.Board {
				faults = append(faults, []string{name(i, "key"), name(j, "key")})
			}
		}
		if in.Reversal {
			if in.Note == nil || *in.Note == "" {
				add("note")
			}
			continue
		}
		if (in.Points == nil) == (in.Reason == nil) || in.Reason != nil && in.Kind != nil && *in.Kind == "adjustment" {
			add("points", "reason")
		}
		if in.Points != nil && (*in.Points > MaxPoints || *in.Points < -MaxPoints) {
			add("points")
		}
		if in.Tiebreak != nil && (*in.Tiebreak > MaxPoints || *in.Tiebreak < -MaxPoints) {
			add("tiebreak")
		}
		if in.Kind != nil && *in.Kind == "reversal" {
			add("kind")
		}
		if in.Kind != nil && *in.Kind == "adjustment" && (in.Note == nil || *in.Note == "") {
			add("note")
		}
		if at := in.OccurredAt; at != nil && (at.Year() < 2000 || at.After(w.Now.Add(5*time.Minute))) {
			add("occurred_at")
		}
	}
	return faults
}

// boundFaults returns the faults against the board's players, catalogue and
// bounds.
func boundFaults(b *Board, in Item, name func(string) string) [][]string {
	faults := playerFaults(b, in.Player, in.Profile, name, "profile.user")
	adjustment := in.Kind != nil && *in.Kind == "adjustment"
	known := false
	if in.Reason != nil {
		_, known = b.Catalogue[*in.Reason]
	}
	switch {
	case in.Reason != nil && b.Catalogue == nil, in.Points != nil && b.Catalogue != nil && !adjustment:
		faults = append(faults, []string{name("reason"), name("points")})
	case in.Reason != nil && !known:
		faults = append(faults, []string{name("reason")})
	case in.Points != nil && !adjustment && (*in.Points < b.Min || b.Max != nil && *in.Points > *b.Max):
		faults = append(faults, []string{name("points")})
	}
	return faults
}

// playerFaults returns the faults of players on a board of registered ones: ids
// must be users', and a player is linked to itself only.
func playerFaults(b *Board, player string, p *Profile, name func(string) string, user string) [][]string {
	var faults [][]string
	if b.Players == "registered" && !isUser.MatchString(player) {
		faults = append(faults, []string{name("player")})
	}
	if b.Players == "registered" && p != nil && p.User != nil && *p.User != nil && **p.User != player {
		faults = append(faults, []string{name(user)})
	}
	return faults
}

// isUser matches users' ids: UUIDs.
var isUser = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// make adds the entries and checks the state after them.
func (w *World) make(c Caller, route string, items []Item, single bool, name func(int, string) string, v *Verdict) {
	against := func(i int, why, field string) {
		r := Refusal{Status: 409, Why: why}
		switch {
		case field != "":
			r.Faults = [][]string{{name(i, field)}}
		case !single:
			r.Faults = [][]string{{name(i, "")}}
		}
		v.Refusals = append(v.Refusals, r)
	}
	before := len(w.Entries)
	players := slices.Clone(w.Players)
	var ends []int // length of the ledger after each item
	for i, in := range items {
		if v.Replay[i] != nil {
			v.Made = append(v.Made, nil)
			ends = append(ends, len(w.Entries))
			continue
		}
		b := w.Board(in.Board)
		e := &Entry{
			ID: fmt.Sprintf("to come %d", i), Board: in.Board, Player: in.Player, Reason: in.Reason, Note: in.Note, Kind: "result",
			Actor: c.Actor, OccurredAt: w.Now.Truncate(time.Microsecond).Add(time.Duration(i) * time.Microsecond), Metadata: in.Metadata,
			Key: in.Key, Identity: c.Actor + " " + route + " " + in.Identity,
		}
		runs := []Run(nil)
		if in.Reversal {
			old := w.Entry(in.Board, in.Reverses)
			e.Kind, e.Player, e.Points, e.Tiebreak, e.Reverses = "reversal", old.Player, -old.Points, -old.Tiebreak, old.ID
			runs = old.Runs
			again := slices.ContainsFunc(w.Entries, func(r *Entry) bool { return r.Reverses == old.ID })
			if again || old.Reverses != "" {
				against(i, "already-reversed", "")
			}
		} else {
			if in.Kind != nil {
				e.Kind = *in.Kind
			}
			if in.Tiebreak != nil {
				e.Tiebreak = *in.Tiebreak
			}
			if in.OccurredAt != nil {
				e.OccurredAt = in.OccurredAt.Truncate(time.Microsecond).UTC()
			}
			if in.Reason != nil {
				e.Points = b.Catalogue[*in.Reason]
			} else {
				e.Points = *in.Points
			}
			runs = b.Runs(e.OccurredAt)
		}
		if !b.Open() {
			against(i, "board-closed", "")
		}
		for _, s := range runs {
			if !w.Closed(b, s) {
				e.Runs = append(e.Runs, s)
			}
		}
		if len(e.Runs) == 0 || len(e.Runs) < len(runs) && !in.Late {
			against(i, "period-closed", "occurred_at")
		}
		e.Seq = 1
		for _, other := range w.Entries {
			if other.Board == e.Board && other.Player == e.Player {
				e.Seq++
			}
		}
		if w.Player(e.Board, e.Player) == nil {
			w.Players = append(w.Players, w.newPlayer(e.Board, e.Player))
		}
		w.Entries = append(w.Entries, e)
		v.Made = append(v.Made, e)
		ends = append(ends, len(w.Entries))
	}
	w.capped(v, ends, against)
	w.ranged(v, ends, against)
	w.floored(v, before, ends, items, single, against)
	w.renamed(v, items, name)
	for i, in := range lastLinks(*v, items) {
		if v.Made[i] != nil && in.Profile != nil && in.Profile.User != nil && w.declined(in.Board, in.Player, *in.Profile.User) {
			against(i, "link-declined", "profile.user")
		}
	}
	for _, e := range v.Made {
		if e == nil {
			continue
		}
		for _, s := range e.Runs {
			var score *int64
			if st, ok := w.Standing(w.Board(e.Board), e.Player, s); ok {
				score = &st.Score
			}
			e.Scores = append(e.Scores, score)
		}
	}
	w.Entries, w.Players = w.Entries[:before:before], players
}

// against adds a refusal of an item with 409.
type against func(i int, why, field string)

// at runs a function with the ledger as it was after its first entries.
func (w *World) at(length int, do func()) {
	all := w.Entries
	w.Entries = all[:length]
	do()
	w.Entries = all
}

// capped adds the refusal of a request that exceeds a daily cap: of several
// items that do so together, the first that crosses it, which is over the cap
// without those after it too.
func (w *World) capped(v *Verdict, ends []int, against against) {
	for i, e := range v.Made {
		if e == nil || !w.overCap(w.Board(e.Board), e) {
			continue
		}
		crosses := false
		w.at(ends[i], func() { crosses = w.overCap(w.Board(e.Board), e) })
		if crosses {
			against(i, "daily-cap", "points")
			return
		}
	}
}

// ranged adds the refusals of a request that leaves the range of what clients
// can represent. On a board that sums, the first item is named whose running
// total is out of range; on others, where the order of the walk is not that of
// the items, any item at which a total crosses.
func (w *World) ranged(v *Verdict, ends []int, against against) {
	sum := false
	for i, e := range v.Made {
		if e == nil {
			continue
		}
		b := w.Board(e.Board)
		for _, s := range e.Runs {
			final := w.outOfRange(b, e.Player, s)
			if len(final) == 0 {
				continue
			}
			var before, after []string
			w.at(ends[i]-1, func() { before = w.outOfRange(b, e.Player, s) })
			w.at(ends[i], func() { after = w.outOfRange(b, e.Player, s) })
			stays := slices.ContainsFunc(after, func(total string) bool { return slices.Contains(final, total) })
			crosses := slices.ContainsFunc(after, func(total string) bool { return !slices.Contains(before, total) })
			switch {
			case b.Combine == "sum" && stays && !sum:
				against(i, "score-range", "")
				sum = true
			case b.Combine != "sum" && crosses:
				against(i, "score-range", "")
			}
		}
	}
}

// outOfRange returns the totals of a player in a run that exceed what clients
// can represent: of the standing, or of the adjustments alone.
func (w *World) outOfRange(b *Board, player string, s Run) []string {
	var list []string
	k := w.Walk(b, player, s)
	for _, total := range []struct {
		name string
		n    int64
	}{{"score", k.S.Score}, {"tiebreak", k.S.Tiebreak}, {"adjusted score", k.Adjusted.Score}, {"adjusted tiebreak", k.Adjusted.Tiebreak}} {
		if total.n > MaxPoints || total.n < -MaxPoints {
			list = append(list, total.name)
		}
	}
	return list
}

// floored adds the refusal of a request after which a score in `all` is below
// the floor, unless it rose. Named is the first item that lowers a score and
// leaves it below the floor or, if none does, the first item of such a player.
func (w *World) floored(v *Verdict, before int, ends []int, items []Item, single bool, against against) {
	var lowers, stays []int
	all := Run{Name: "all"}
	for i, e := range v.Made {
		if e == nil || w.Board(e.Board).Floor == nil {
			continue
		}
		b := w.Board(e.Board)
		var old, running Walk
		w.at(before, func() { old = w.Walk(b, e.Player, all) })
		w.at(ends[i], func() { running = w.Walk(b, e.Player, all) })
		now := w.Walk(b, e.Player, all)
		if !now.Present || now.S.Score >= *b.Floor || now.S.Score > old.S.Score {
			continue
		}
		if e.Points < 0 && running.S.Score < *b.Floor {
			lowers = append(lowers, i)
		} else {
			stays = append(stays, i)
		}
	}
	list := append(lowers, stays...)
	if len(list) == 0 {
		return
	}
	switch first := list[0]; {
	case !items[first].Reversal:
		against(first, "score-floor", "points")
	case single:
		against(first, "score-floor", "entry")
	default:
		against(first, "score-floor", "reverses")
	}
}

// renamed adds the refusals of a request that changes names without saying so.
func (w *World) renamed(v *Verdict, items []Item, name func(int, string) string) {
	at := func(i int) []string { return []string{name(i, "profile.display_name")} }
	for j, in := range items {
		if v.Replay[j] != nil || !w.names(in) || in.Rename {
			continue
		}
		is := *in.Profile.DisplayName
		before := w.here(in.Board, in.Player).DisplayName
		now, said := before, []int(nil)
		for i, other := range items[:j] {
			if v.Replay[i] == nil && other.Board == in.Board && other.Player == in.Player && w.names(other) {
				now, said = *other.Profile.DisplayName, append(said, i)
			}
		}
		if same(is, now) {
			continue
		}
		for _, i := range said {
			if other := *items[i].Profile.DisplayName; other != nil && is != nil && *other != *is {
				v.Refusals = append(v.Refusals, Refusal{Status: 409, Why: "name-differs", Faults: [][]string{at(i), at(j)}})
			}
		}
		if before != nil && !same(is, before) {
			v.Refusals = append(v.Refusals, Refusal{Status: 409, Why: "name-differs", Faults: [][]string{at(j)}, Says: *before})
		}
	}
}

// names reports whether the item brings a display name that counts. Those of
// players who are linked to a user do not.
func (w *World) names(in Item) bool {
	return in.Profile != nil && in.Profile.DisplayName != nil && !w.account(in.Board, in.Player)
}

func (w *World) account(board, player string) bool {
	s := w.here(board, player)
	return s.account()
}

// declined reports whether the user is proposed as a player whom they have declined to be.
func (w *World) declined(board, player string, user *string) bool {
	s := w.here(board, player)
	return s.proposes(user) && w.Refused[[3]string{board, player, *user}]
}

// lastLinks returns the items with those links only that count: of several items of a
// player that are made, the last one's.
func lastLinks(v Verdict, items []Item) []Item {
	items = slices.Clone(items)
	seen := map[[2]string]bool{}
	for i := len(items) - 1; i >= 0; i-- {
		in := items[i]
		if v.Made[i] == nil || in.Profile == nil || in.Profile.User == nil {
			continue
		}
		player := [2]string{in.Board, in.Player}
		if seen[player] {
			p := *in.Profile
			p.User = nil
			items[i].Profile = &p
		}
		seen[player] = true
	}
	return items
}

// here returns the current state of a player, who need not exist yet.
func (w *World) here(board, id string) State {
	if p := w.Player(board, id); p != nil {
		return p.Today()
	}
	return w.newPlayer(board, id).Today()
}

func same(x, y *string) bool { return x == nil && y == nil || x != nil && y != nil && *x == *y }

// overCap reports whether the net points of the entry's day exceed the cap and
// the entry adds to them. Points that are taken away never exceed it, not even
// if the cap was lowered since.
func (w *World) overCap(b *Board, e *Entry) bool {
	if b.DailyCap == nil || e.Kind != "result" && e.Kind != "import" || e.Points <= 0 {
		return false
	}
	net := int64(0)
	for _, other := range w.Entries {
		reversed := slices.ContainsFunc(w.Entries, func(r *Entry) bool { return r.Reverses == other.ID })
		if other.Board == b.ID && other.Player == e.Player && b.Day(other.OccurredAt).Equal(b.Day(e.OccurredAt)) &&
			(other.Kind == "result" || other.Kind == "import") && !reversed {
			net += other.Points
		}
	}
	return net > *b.DailyCap
}

// Commit writes the expected result: the made entries, which have their ids
// now, and their players' profiles.
func (w *World) Commit(v Verdict, items []Item) {
	items = lastLinks(v, items)
	for i, e := range v.Made {
		if e != nil {
			w.Entries = append(w.Entries, e)
			w.Set(e.Board, e.Player, items[i].Profile.applyEntry)
		}
	}
}

// JudgePlayer returns the expected result of a PATCH of a player.
func (w *World) JudgePlayer(c Caller, board, player string, p *Profile) []Refusal {
	b := w.Board(board)
	if c.Role == "" {
		return []Refusal{{Status: 401, Why: "unauthenticated"}}
	}
	links := *p
	links.User = nil
	if alone := p.User != nil && links.empty(); !alone {
		if status := w.gate(c, b, Staff, "entries:write"); status != 0 {
			return []Refusal{{Status: status}}
		}
	}
	if p.User != nil {
		switch status := w.gate(c, b, Owns, "boards:write"); status {
		case 0:
		case 403:
			return []Refusal{{Status: 403, Faults: [][]string{{"user"}}}}
		default:
			return []Refusal{{Status: status}}
		}
	}
	if faults := playerFaults(b, player, p, func(f string) string { return f }, "user"); faults != nil {
		return []Refusal{{Status: 400, Why: "bad-request", Faults: faults}}
	}
	if !b.Open() {
		return []Refusal{{Status: 409, Why: "board-closed"}}
	}
	if p.User != nil && w.declined(board, player, *p.User) {
		return []Refusal{{Status: 409, Why: "link-declined", Faults: [][]string{{"user"}}}}
	}
	return nil
}

// empty reports whether the profile changes nothing.
func (p *Profile) empty() bool {
	return p.DisplayName == nil && p.Country == nil && p.User == nil && p.Attributes == nil && p.Status == nil && p.Note == nil
}

// JudgeLink returns the expected result of a request to accept or to end a link: of
// one to end it, also if the user has declined it before.
func (w *World) JudgeLink(c Caller, board, player string, end bool) []Refusal {
	switch b, p := w.Board(board), w.Player(board, player); {
	case c.Role == "":
		return []Refusal{{Status: 401}}
	case c.Scopes != nil:
		return []Refusal{{Status: 403}}
	case b == nil || b.State == "draft" || p == nil:
	case same(p.Today().Proposed, &c.User), end && w.Refused[[3]string{board, player, c.User}]:
		return nil
	}
	return []Refusal{{Status: 404}}
}

// SetLink accepts or ends the caller's link.
func (w *World) SetLink(c Caller, board, player string, end bool) {
	if !same(w.here(board, player).Proposed, &c.User) {
		return // declined before, and somebody else is proposed
	}
	w.Set(board, player, func(s *State) {
		if s.User, s.Link = nil, "declined"; !end {
			s.User, s.Link = &c.User, "accepted"
		}
	})
	if w.Refused == nil {
		w.Refused = map[[3]string]bool{}
	}
	w.Refused[[3]string{board, player, c.User}] = end
}

// SetPlayer merges a profile into a player.
func (w *World) SetPlayer(board, id string, p *Profile) { w.Set(board, id, p.apply) }

// JudgeErasure returns the expected status of an erasure of a player.
func (w *World) JudgeErasure(c Caller, board, player string) int {
	if c.Role == "" {
		return 401
	}
	if status := w.gate(c, w.Board(board), Owns, "boards:write"); status != 0 {
		return status
	}
	if w.Player(board, player) == nil {
		return 404
	}
	return 204
}

// Erase erases the personal data of a player.
func (w *World) Erase(board, id string) {
	w.Set(board, id, func(s *State) {
		s.DisplayName, s.Country, s.Note, s.Attributes = nil, nil, nil, map[string]string{}
		s.User, s.Proposed, s.Link = nil, nil, "" // who refused stays
	})
	for _, e := range w.Entries {
		if e.Board == board && e.Player == id && e.Metadata != nil {
			e.Metadata, e.Answer = nil, ""
		}
	}
}

// JudgeNewBoard returns the expected result of creating a board.
func (w *World) JudgeNewBoard(c Caller, b *Board) []Refusal {
	if c.Role == "" {
		return []Refusal{{Status: 401}}
	}
	var list []Refusal
	if b.Floor != nil && (*b.Floor > 0 || b.Combine != "sum" || !b.has("all")) {
		list = append(list, Refusal{Status: 400, Faults: [][]string{{"floor"}}})
	}
	if c.Role != "organizer" && c.Role != "admin" || !c.scoped("boards:write") {
		list = append(list, Refusal{Status: 403})
	} else if w.Board(b.ID) != nil {
		list = append(list, Refusal{Status: 409, Why: "id-unavailable"})
	}
	return list
}

// has reports whether the board has the period.
func (b *Board) has(period string) bool {
	return slices.ContainsFunc(b.Periods, func(p Period) bool { return p.Name == period })
}

// JudgeBoard returns the expected result of a PATCH of a board. b is the board
// after it, set are the fields in it, and counting means that it changes how
// entries count.
func (w *World) JudgeBoard(c Caller, board string, b *Board, set []string, counting bool) []Refusal {
	old := w.Board(board)
	if c.Role == "" {
		return []Refusal{{Status: 401, Why: "unauthenticated"}}
	}
	var list []Refusal
	if b.Floor != nil && *b.Floor > 0 {
		list = append(list, Refusal{Status: 400, Faults: [][]string{{"floor"}}})
	}
	if status := w.gate(c, old, Owns, "boards:write"); status != 0 {
		list = append(list, Refusal{Status: status})
	}
	if list != nil {
		return list
	}
	var faults [][]string
	under := func(field string) {
		faults = append(faults, slices.DeleteFunc([]string{field, "floor"}, func(f string) bool { return !slices.Contains(set, f) }))
	}
	if b.Floor != nil && b.Combine != "sum" {
		under("combine")
	}
	if b.Floor != nil && !b.has("all") {
		under("periods")
	}
	if faults != nil {
		list = append(list, Refusal{Status: 400, Faults: faults})
	}
	if old.State != "draft" && b.State == "draft" || old.State == "draft" && b.State == "closed" {
		list = append(list, Refusal{Status: 409, Why: "board-state", Faults: [][]string{{"state"}}})
	}
	if counting && w.Entered(old) {
		list = append(list, Refusal{Status: 409, Why: "board-in-use"})
	}
	return list
}
