package score

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// Ledger writes entries.
type Ledger interface {
	Directory
	// Add writes the entries, updates the standings of their runs and inserts
	// the events into the outbox, all or nothing, in one transaction. If an
	// item's key exists with the same digest, Add returns the entry stored
	// under it, marked as replayed.
	Add(ctx context.Context, a Addition) (Outcome, error)
}

// Addition is what a ledger is asked to write.
type Addition struct {
	Versions map[string]int64 // by board: the version that the items were built from
	Items    []Item
	Batch    string // id shared by the items; empty for a single item
	Actor    string
	User     string // the person who acts: of an API key, its owner
}

// Item is one entry or reversal to write.
type Item struct {
	ID         string // id of the entry, if it is written
	Board      string
	Key        string // idempotency key; empty if none
	Digest     []byte // of the request that the key protects
	Refused    bool   // its board refuses it: the ledger may replay its key but must not write it
	Late       bool   // closed periods are left out instead of refused
	Note       string
	OccurredAt time.Time

	// Reverses is the entry that a reversal cancels. The fields below are then
	// empty.
	Reverses string

	Player   string
	Kind     Kind
	Points   int64
	Tiebreak int64
	Reason   string
	Metadata string
	Profile  *Profile
	Rename   bool  // the profile may change or clear the name that the player has
	Runs     []Run // the runs that it credits
	Day      *Run  // the day that the daily cap counts it in; nil without a cap
}

// Outcome is the result of an addition. Exactly one of its fields is set;
// entries are written only if it is Added or Entries.
type Outcome struct {
	Stale   []Board // boards that have changed, in their current version
	Refusal *Refusal
	Added   *Added       // of a single item
	Entries []BatchEntry // of a batch, in the order of its items
}

// Added is an entry that was written, by this request or, if Replayed, by an
// earlier one.
type Added struct {
	Entry
	Replayed bool
}

// BatchEntry is what a batch returns for each entry, written by this request
// or, if Replayed, by an earlier one.
type BatchEntry struct {
	ID, Board, Player string
	Points            int64
	Batch             string // batch that it was written in; empty for a single entry
	Replayed          bool
}

// Refusal lists the items that a ledger could not write, in order. Nothing was
// written.
type Refusal struct {
	Items  []int
	Reason Cause
	Name   string // of NameDiffers: the display name that the item would change
	// RetryAfter is when the same request would no longer be refused, of
	// TooManyProposals.
	RetryAfter time.Duration
}

// Cause is the reason for a refusal.
type Cause string

// The causes.
const (
	KeyReused         Cause = "key-reused" // the key belongs to another request
	NoEntry           Cause = "no-entry"   // the entry to reverse is not on the board
	ItemRefused       Cause = "refused"    // the items were marked Refused, and their keys are new
	TooManyAttributes Cause = "attributes" // the player would have more than 16 attributes
	InClosedPeriod    Cause = "closed"     // the item touches a closed period, or no period at all
	AlreadyReversed   Cause = "reversed"   // the entry is reversed already, or is itself a reversal
	OverDailyCap      Cause = "daily-cap"
	BelowFloor        Cause = "floor"
	NameDiffers       Cause = "name"  // the last of two items changes the name that the first one brings; of one alone, the player's name
	OutOfRange        Cause = "range" // a score would leave ±MaxPoints
	TiebreakRange     Cause = "tiebreak-range"
	ProposalDeclined  Cause = "link-declined" // the user has declined to be the player
	TooManyProposals  Cause = "link-limit"    // more than MaxProposals would reach the user within 24 hours
)

// Adder adds entries. It is safe for concurrent use.
type Adder struct {
	Ledger Ledger
	Now    func() time.Time

	boards cache
}

// attempts is how often an add is tried if its board keeps changing.
const attempts = 3

// BatchItem is one entry or reversal of a batch.
type BatchItem struct {
	Board string
	Submission
}

// MaxBatch is the maximum number of items in a batch.
const MaxBatch = 1000

// Add adds one entry or one reversal to the board. An idempotency key also
// covers the route: the same key on another route is another request.
//
// Faults are checked in the order that the API documents: the submission alone;
// the board (404, 403); the key (422); the entry to reverse (404); the
// catalogue and the bounds (400); the state (409).
func (a *Adder) Add(ctx context.Context, who access.Caller, route, board string, in Submission) (Added, error) {
	out, err := a.add(ctx, who, addRequest{route: route, items: []BatchItem{{board, in}}})
	if err != nil {
		return Added{}, err
	}
	return *out.Added, nil
}

// AddAll adds all items or none, as one change, and returns the id of the
// batch. If every item is a replay, that is the batch of the first entry. Its
// faults are those of Add, naming the item as `entries[1]`; faults holds those
// already found while the request was decoded. Items without a time of their own
// occur 1 µs after each other, in their order.
func (a *Adder) AddAll(ctx context.Context, who access.Caller, route string, items []BatchItem, faults fault.List) (batch string, added []BatchEntry, err error) {
	batchID, err := uuid.NewV7()
	if err != nil {
		return "", nil, err
	}
	out, err := a.add(ctx, who, addRequest{route: route, items: items, batch: batchID.String(), faults: faults})
	if err != nil {
		return "", nil, err
	}
	if !slices.ContainsFunc(out.Entries, func(e BatchEntry) bool { return !e.Replayed }) {
		return out.Entries[0].Batch, out.Entries, nil
	}
	return batchID.String(), out.Entries, nil
}

// addRequest is a request to add a single item or a batch.
type addRequest struct {
	route  string
	items  []BatchItem
	batch  string // its id; empty for a single item
	faults fault.List
}

// field returns the path of an item's field in the request's body.
func (r addRequest) field(item int, name string) string {
	if r.batch == "" {
		return name
	}
	return index("entries", item) + "." + name
}

// atItem makes a fault of a batch name its item: by the fault's own field if it
// has one, else by the given one. A single item needs no such path.
func (r addRequest) atItem(item int, err error, field string) error {
	f, ok := fault.As(err)
	if !ok || r.batch == "" {
		return err
	}
	named := *f
	if named.Field == "" {
		named.Field = field
	}
	named.Field = r.field(item, named.Field)
	named.Errors = slices.Clone(f.Errors)
	for i := range named.Errors {
		named.Errors[i].Field = r.field(item, named.Errors[i].Field)
	}
	return &named
}

// reversed returns the field that names the entry which an item reverses.
func (r addRequest) reversed(item int) string {
	if r.batch == "" {
		return "entry" // of the route
	}
	return r.field(item, "reverses")
}

// check returns every fault of the request that does not depend on a board.
func (r addRequest) check(now time.Time) error {
	faults := slices.Clone(r.faults)
	if r.batch != "" && (len(r.items) < 1 || len(r.items) > MaxBatch) {
		faults.Add("entries", "must list 1 to %d entries and reversals", MaxBatch)
		return faults.Err()
	}
	type boardKey struct{ board, key string }
	keys := map[boardKey]bool{}
	for i, item := range r.items {
		if f, ok := fault.As(item.check(now)); ok {
			for _, f := range f.Errors {
				faults.Append(fault.FieldFault{Field: r.field(i, f.Field), Detail: f.Detail})
			}
		}
		if item.Key == "" || item.Board == "" {
			continue
		}
		if k := (boardKey{item.Board, item.Key}); keys[k] {
			faults.Add(r.field(i, "key"), "appears more than once for board %q: send another key", item.Board)
		} else {
			keys[k] = true
		}
	}
	r.checkAttributes(&faults)
	return faults.Err()
}

// maxNamed is how many attributes of one player a batch may name. The ledger applies
// the profiles one after another, and each works on all the attributes so far.
const maxNamed = 64

func (r addRequest) checkAttributes(faults *fault.List) {
	named := map[[2]string]map[string]bool{} // by board and player
	for i, item := range r.items {
		if item.Profile == nil || len(item.Profile.Attributes) == 0 {
			continue
		}
		player := [2]string{item.Board, item.Player}
		if named[player] == nil {
			named[player] = map[string]bool{}
		}
		before := len(named[player])
		for name := range item.Profile.Attributes {
			named[player][name] = true
		}
		if before <= maxNamed && len(named[player]) > maxNamed {
			faults.Add(r.field(i, "profile.attributes"), "must not bring the attributes that the batch names for this player to more than %d: leave some out", maxNamed)
		}
	}
}

// needed returns the board with no other reasons than those of the request's items.
// A request may have a thousand boards, and a catalogue takes up to 400 KB.
func (r addRequest) needed(b Board) Board {
	if b.Catalogue == nil {
		return b
	}
	all := b.Catalogue
	b.Catalogue = map[string]int64{}
	for _, in := range r.items {
		if in.Board != b.ID || in.Reason == nil {
			continue
		}
		if points, ok := all[*in.Reason]; ok {
			b.Catalogue[*in.Reason] = points
		}
	}
	return b
}

// add writes the request's items, again if their boards have changed. The
// outcome is never stale or refused.
func (a *Adder) add(ctx context.Context, who access.Caller, r addRequest) (Outcome, error) {
	now := a.Now()
	r.items = slices.Clone(r.items)
	for i := range r.items {
		r.items[i].normalise()
	}
	if err := r.check(now); err != nil {
		return Outcome{}, err
	}
	boards := map[string]Board{}
	first, proposing := map[string]int{}, map[string]int{} // a board's first item, and the first that proposes a link
	for i, item := range r.items {
		if _, ok := first[item.Board]; !ok {
			first[item.Board] = i
		}
		if _, ok := proposing[item.Board]; !ok && item.proposes() {
			proposing[item.Board] = i
		}
	}
	load := func(id string) error {
		item, links := proposing[id]
		b, err := a.writable(ctx, who, id, links)
		if err == nil {
			boards[id] = r.needed(b)
			return nil
		}
		if f, ok := fault.As(err); !ok || f.Field != profileUser {
			item = first[id]
		}
		return r.atItem(item, err, "board")
	}
	for i, item := range r.items {
		if first[item.Board] == i {
			if err := load(item.Board); err != nil {
				return Outcome{}, err
			}
		}
	}
	ids, digests := make([]string, len(r.items)), make([][]byte, len(r.items))
	for i, item := range r.items {
		entry, err := uuid.NewV7()
		if err != nil {
			return Outcome{}, err
		}
		ids[i] = entry.String()
		if digests[i], err = item.digest(who.Actor(), r.route); err != nil {
			return Outcome{}, err
		}
	}
	for range attempts {
		refusals := make([]error, len(r.items))
		add := Addition{Versions: map[string]int64{}, Items: make([]Item, len(r.items)), Batch: r.batch, Actor: who.Actor(), User: who.User}
		for _, b := range boards {
			add.Versions[b.ID] = b.Version
		}
		for i, in := range r.items {
			var item Item
			var err error
			// The order of the items decides ties.
			at := now.Add(time.Duration(i) * time.Microsecond)
			if item, refusals[i], err = in.item(boards[in.Board], at); err != nil {
				return Outcome{}, err
			}
			item.ID, item.Digest, item.Refused = ids[i], digests[i], refusals[i] != nil
			add.Items[i] = item
		}
		out, err := a.Ledger.Add(ctx, add)
		switch {
		case err != nil:
			return Outcome{}, err
		case out.Refusal != nil:
			return Outcome{}, r.refused(*out.Refusal, refusals)
		case len(out.Stale) == 0:
			return out, nil
		}
		for _, b := range out.Stale {
			a.boards.keep(b)
			if err := load(b.ID); err != nil {
				return Outcome{}, err
			}
		}
	}
	return Outcome{}, &fault.Error{
		Kind: fault.Busy, RetryAfter: time.Second,
		Detail: "The board kept changing. Repeat the request with the same Idempotency-Key.",
	}
}

// writable returns the board, perhaps an old version of it, if the caller may add to
// it, and also propose links of its players if links is true.
func (a *Adder) writable(ctx context.Context, who access.Caller, id string, links bool) (Board, error) {
	refusal := func(b Found) error {
		if err := permit(b, who, write); err != nil || !links {
			return err
		}
		return permitLink(b, who, profileUser)
	}
	if b, ok := a.boards.get(id); ok && refusal(Found{Board: b}) == nil {
		return b, nil
	}
	// The cached board may be out of date. Besides, callers without the right must not
	// learn which boards are in the cache: whatever the board, they cause one look-up.
	b, err := find(ctx, a.Ledger, who, id, "")
	if err != nil {
		return Board{}, err
	}
	a.boards.keep(b.Board)
	return b.Board, refusal(b)
}

// item builds what the ledger is to write; it occurs at the given time unless
// the submission names another. refusal is why the board does not accept it; err
// is an error of ours.
func (in Submission) item(b Board, at time.Time) (item Item, refusal, err error) {
	item = Item{
		Board: b.ID, Key: in.Key, Late: in.Late != nil && *in.Late, Reverses: in.Reverses,
		// PostgreSQL would round finer times, perhaps into the next period.
		OccurredAt: at.UTC().Truncate(time.Microsecond),
	}
	if in.Note != nil {
		item.Note = *in.Note
	}
	if in.Reverses != "" {
		if !ValidEntry(in.Reverses) {
			item.Reverses = uuid.Nil.String() // no entry has it
		}
		return item, b.checkOpen(), nil
	}
	item.Player, item.Kind, item.Metadata, item.Profile = in.Player, in.kind(), in.Metadata, in.Profile
	item.Rename = in.Rename != nil && *in.Rename
	item.Points, refusal = in.checkAgainst(b)
	if in.OccurredAt != nil {
		item.OccurredAt = in.OccurredAt.UTC().Truncate(time.Microsecond)
	}
	if in.Tiebreak != nil {
		item.Tiebreak = *in.Tiebreak
	}
	if in.Reason != nil {
		item.Reason = *in.Reason
	}
	if b.DailyCap != nil && b.Combine == Sum && item.Kind != Adjustment {
		day, _, err := b.RunAt(Period{Name: Day}, item.OccurredAt)
		if err != nil {
			return item, refusal, err
		}
		item.Day = &day
	}
	item.Runs, err = b.Runs(item.OccurredAt)
	return item, refusal, err
}

// refused turns a ledger's refusal into a fault. errors holds the boards'
// refusals of the items.
func (r addRequest) refused(refusal Refusal, errors []error) error {
	first := refusal.Items[0]
	item := r.items[first]
	named := func(err error, field string) error { return r.atItem(first, err, field) }
	switch refusal.Reason {
	case KeyReused:
		field := "key"
		if item.KeyInHeader {
			field = "Idempotency-Key"
		}
		if !ValidKey(item.Key) { // derived: the client does not know it
			return named(fault.Field(fault.KeyReused, field, "The Idempotency-Key was used for a batch with another item at this position. Repeat that batch unchanged, or use a new key."), "")
		}
		return named(fault.Field(fault.KeyReused, field, "The key %q was used for another request on this board. Repeat that request unchanged, or use a new key.", item.Key), "")
	case NoEntry:
		return named(fault.New(fault.NotFound, "Board %q has no entry %q.", item.Board, item.Reverses), "reverses")
	case ItemRefused:
		return r.refusedByBoard(refusal.Items, errors)
	case TooManyAttributes:
		return named(badField("profile.attributes", "would exceed the limit of %d attributes for a player: clear others with null", maxAttributes), "")
	case InClosedPeriod:
		detail := "No open period of the board contains this time."
		if item.Late == nil || !*item.Late {
			detail = "This would change a closed period, or the board has no period at this time. Send `late: true` to count it in the open periods only."
		}
		return named(fault.Field(fault.PeriodClosed, "occurred_at", "%s", detail), "")
	case AlreadyReversed:
		return fault.Field(fault.AlreadyReversed, r.reversed(first), "Entry %q is already reversed, or is itself a reversal. Add a new entry instead.", item.Reverses)
	case OverDailyCap:
		return named(fault.Field(fault.DailyCap, "points", "The player would exceed the board's daily cap. Reduce the points, or add them on another day."), "")
	case BelowFloor:
		if item.Reverses != "" {
			return fault.Field(fault.ScoreFloor, r.reversed(first), "Without this entry, the player's score would be below the board's floor. Add points first.")
		}
		return named(fault.Field(fault.ScoreFloor, "points", "The player's score must not fall below the board's floor. Take fewer points, or add some first."), "")
	case NameDiffers:
		return r.nameDiffers(refusal)
	case ProposalDeclined, TooManyProposals:
		return named(refusal.ofLink(profileUser, item.Player), "")
	case OutOfRange, TiebreakRange:
		what, field := "score", "points"
		if refusal.Reason == TiebreakRange {
			what, field = "tiebreak", "tiebreak"
		}
		if item.Reverses != "" {
			return fault.Field(fault.ScoreRange, r.reversed(first), "Without this entry, the player's %s would not be within ±%d. Reverse others first, or add an adjustment that makes up for it.", what, int64(MaxPoints))
		}
		return named(fault.Field(fault.ScoreRange, field, "The %s must stay within ±%d. Reduce the %s.", what, int64(MaxPoints), field), "")
	}
	return fault.New(fault.Internal, "")
}

// nameDiffers returns the fault of an item that would change a player's name.
func (r addRequest) nameDiffers(refusal Refusal) error {
	const field = "profile.display_name"
	last := refusal.Items[len(refusal.Items)-1]
	player := r.items[last].Player
	if len(refusal.Items) == 1 {
		return r.atItem(last, fault.Field(fault.NameDiffers, field,
			"Player %q is named %q. Correct the player's id, or send `rename: true` to change the name.", player, refusal.Name), "")
	}
	f := fault.New(fault.NameDiffers,
		"Two items bring different names for player %q: the first one %q. Correct the player's id of one of them, or send `rename: true` with the later one.", player, refusal.Name)
	for _, i := range refusal.Items {
		f.Errors = append(f.Errors, fault.FieldFault{Field: r.field(i, field), Detail: "brings another name for this player than the other item"})
	}
	f.Field = f.Errors[0].Field
	return f
}

// refusedByBoard returns every fault of the items against catalogues and bounds
// or, if there is none, the first item's refusal by its board.
func (r addRequest) refusedByBoard(items []int, errors []error) error {
	var faults fault.List
	for _, i := range items {
		if f, ok := fault.As(r.atItem(i, errors[i], "board")); ok && f.Kind == fault.BadRequest {
			faults.Append(f.Errors...)
		}
	}
	if err := faults.Err(); err != nil {
		return err
	}
	return r.atItem(items[0], errors[items[0]], "board")
}
