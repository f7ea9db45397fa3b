package score

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// Ledger writes entries.
type Ledger interface {
	Directory
	// Add writes the items' entries, credits the standings of their runs and
	// puts the events into the outbox, all or nothing, in one transaction. An
	// item whose key is there already with the same digest comes back as it
	// was, marked as replayed.
	Add(ctx context.Context, a Addition) (Outcome, error)
}

// Addition is what a ledger is to write.
type Addition struct {
	Versions map[string]int64 // of the items' boards, as the items were made by
	Items    []Item
	Batch    string // what they have in common; empty where there is one item alone
	Actor    string
}

// Item is one entry or reversal to be written.
type Item struct {
	ID         string // the entry's, if it is written
	Board      string
	Key        string // idempotency key, empty without protection
	Digest     []byte // of the request
	Refused    bool   // by its board: it may be answered from its key, never written
	Late       bool   // it credits or cancels in the periods still open, though others are closed
	Note       string
	OccurredAt time.Time

	// Reverses is the entry that a reversal cancels. It says everything else,
	// and what follows is empty.
	Reverses string

	Player   string
	Kind     Kind
	Points   int64
	Tiebreak int64
	Reason   string
	Metadata string
	User     string // whom a player that is new belongs to
	Profile  *Profile
	Runs     []Run // the periods that it credits
	Day      *Run  // in which the daily cap counts it, nil without one
}

// Outcome is what came of an addition: exactly one of its fields is set, and
// nothing was written unless it is Added or Lines.
type Outcome struct {
	Stale   []Board // the boards whose version is another, as they are now
	Refusal *Refusal
	Added   *Added       // of one item alone
	Entries []BatchEntry // of a batch, in the order of its items
}

// Added is an entry that is written, now or, where it is replayed, before.
type Added struct {
	Entry
	Replayed bool
}

// BatchEntry is what a batch says of an entry that is written, now or, where it is
// replayed, before.
type BatchEntry struct {
	ID, Board, Player string
	Points            int64
	Batch             string // where it was written; empty for one alone
	Replayed          bool
}

// Refusal says why a ledger wrote nothing: the items, the first one first,
// that cannot be written.
type Refusal struct {
	Items  []int
	Reason Cause
}

// Cause is why a ledger refuses.
type Cause string

// The causes.
const (
	KeyReused         Cause = "key-reused" // the key belongs to another request
	NoEntry           Cause = "no-entry"   // the entry to be reversed is not on the board
	ItemRefused       Cause = "refused"    // the items said so, and their keys are new
	TooManyAttributes Cause = "attributes" // the player would have more than 16
	InClosedPeriod    Cause = "closed"     // it would touch a closed period, or there is none to touch
	AlreadyReversed   Cause = "reversed"   // or it is a reversal itself
	OverDailyCap      Cause = "daily-cap"
	OutOfRange        Cause = "range" // a score would leave ±MaxPoints
	TiebreakRange     Cause = "tiebreak-range"
)

// Adder adds entries. It is safe for concurrent use.
type Adder struct {
	Ledger Ledger
	Now    func() time.Time

	boards cache
}

// attempts is how often an add is tried while its board is being changed.
const attempts = 3

// BatchItem is an entry or a reversal of a batch.
type BatchItem struct {
	Board string
	Submission
}

// MaxBatch is how many items a batch may have.
const MaxBatch = 1000

// Add adds one entry to the board, or one reversal. Route is part of what a
// key protects: the same key on another route is another request.
//
// Faults come in the order that the API promises: of the submission alone; of
// the board (404, 403); of the key (422); of the entry to be reversed (404);
// against catalogue and bounds (400); against the state (409).
func (a *Adder) Add(ctx context.Context, who access.Caller, route, board string, in Submission) (Added, error) {
	out, err := a.add(ctx, who, addition{route: route, lines: []BatchItem{{board, in}}})
	if err != nil {
		return Added{}, err
	}
	return *out.Added, nil
}

// AddAll adds all lines or none, as one change, and gives the name of the
// batch: of the first entry's where all were there already. Faults are what
// was wrong with the request as it came, by the fields of the request. Other
// faults are those of Add, and name the line as `entries[1]`.
func (a *Adder) AddAll(ctx context.Context, who access.Caller, route string, lines []BatchItem, faults fault.List) (batch string, added []BatchEntry, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", nil, err
	}
	out, err := a.add(ctx, who, addition{route: route, lines: lines, batch: id.String(), faults: faults})
	if err != nil {
		return "", nil, err
	}
	if !slices.ContainsFunc(out.Entries, func(l BatchEntry) bool { return !l.Replayed }) {
		return out.Entries[0].Batch, out.Entries, nil
	}
	return id.String(), out.Entries, nil
}

// addition is a request to add: one line, or a batch of them.
type addition struct {
	route  string
	lines  []BatchItem
	batch  string // its name; empty for one line
	faults fault.List
}

// field names a field of a line.
func (r addition) field(line int, name string) string {
	if r.batch == "" {
		return name
	}
	return index("entries", line) + "." + name
}

// name makes a fault of a line name the line: by the field it has, else by the
// one that is given. One line alone needs no name.
func (r addition) name(line int, err error, field string) error {
	f, ok := fault.As(err)
	if !ok || r.batch == "" {
		return err
	}
	named := *f
	if named.Field == "" {
		named.Field = field
	}
	named.Field = r.field(line, named.Field)
	named.Errors = slices.Clone(f.Errors)
	for i := range named.Errors {
		named.Errors[i].Field = r.field(line, named.Errors[i].Field)
	}
	return &named
}

// check gives every fault that the lines have whatever their boards say.
func (r addition) check(now time.Time) error {
	faults := slices.Clone(r.faults)
	if r.batch != "" && (len(r.lines) < 1 || len(r.lines) > MaxBatch) {
		faults.Add("entries", "must be 1 to %d entries and reversals", MaxBatch)
		return faults.Err()
	}
	keys := map[string]bool{}
	for i, line := range r.lines {
		if f, ok := fault.As(line.check(now)); ok {
			for _, f := range f.Errors {
				faults = append(faults, fault.FieldFault{Field: r.field(i, f.Field), Detail: f.Detail})
			}
		}
		if line.Key != "" && keys[line.Key] {
			faults.Add(r.field(i, "key"), "stands there twice")
		}
		keys[line.Key] = true
	}
	return faults.Err()
}

// add gives an outcome of entries that are written.
func (a *Adder) add(ctx context.Context, who access.Caller, r addition) (Outcome, error) {
	now := a.Now()
	if err := r.check(now); err != nil {
		return Outcome{}, err
	}
	boards := map[string]Board{}
	for i, line := range r.lines {
		if _, ok := boards[line.Board]; ok {
			continue
		}
		b, err := a.writable(ctx, who, line.Board)
		if err != nil {
			return Outcome{}, r.name(i, err, "board")
		}
		boards[line.Board] = b
	}
	ids, digests := make([]string, len(r.lines)), make([][]byte, len(r.lines))
	for i, line := range r.lines {
		id, err := uuid.NewV7()
		if err != nil {
			return Outcome{}, err
		}
		ids[i] = id.String()
		if digests[i], err = line.digest(who.Actor(), r.route); err != nil {
			return Outcome{}, err
		}
	}
	for range attempts {
		refusals := make([]error, len(r.lines))
		add := Addition{Versions: map[string]int64{}, Items: make([]Item, len(r.lines)), Batch: r.batch, Actor: who.Actor()}
		for _, b := range boards {
			add.Versions[b.ID] = b.Version
		}
		for i, line := range r.lines {
			var item Item
			var err error
			if item, refusals[i], err = line.item(boards[line.Board], now); err != nil {
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
			boards[b.ID] = b
			if err := permit(ctx, a.Ledger, b, who, write); err != nil {
				first := slices.IndexFunc(r.lines, func(l BatchItem) bool { return l.Board == b.ID })
				return Outcome{}, r.name(first, err, "board")
			}
		}
	}
	return Outcome{}, &fault.Error{
		Kind: fault.Busy, RetryAfter: time.Second,
		Detail: "The board is being changed. Repeat the request with the same Idempotency-Key.",
	}
}

// writable gives the board, perhaps an old version of it, where the caller may
// add to it.
func (a *Adder) writable(ctx context.Context, who access.Caller, id string) (Board, error) {
	b, current, err := a.boards.find(ctx, a.Ledger, id)
	if err != nil {
		return Board{}, err
	}
	err = permit(ctx, a.Ledger, b, who, write)
	if err == nil || current {
		return b, err
	}
	// The board that was kept may be an old one.
	if b, err = a.boards.load(ctx, a.Ledger, id); err != nil {
		return Board{}, err
	}
	return b, permit(ctx, a.Ledger, b, who, write)
}

// item makes what the ledger is to write on the board, and says whether the
// board refuses it.
func (in Submission) item(b Board, now time.Time) (item Item, refusal, err error) {
	item = Item{
		Board: b.ID, Key: in.Key, Late: in.Late != nil && *in.Late, Reverses: in.Reverses,
		// PostgreSQL would round what is finer than it keeps, perhaps into the
		// next period.
		OccurredAt: now.UTC().Truncate(time.Microsecond),
	}
	if in.Note != nil {
		item.Note = *in.Note
	}
	if in.Reverses != "" {
		if !entryID.MatchString(in.Reverses) {
			item.Reverses = uuid.Nil.String() // no entry has it
		}
		return item, b.takes(), nil
	}
	item.Player, item.Kind, item.Metadata, item.Profile = in.Player, in.kind(), in.Metadata, in.Profile
	item.Points, refusal = in.points(b)
	if in.OccurredAt != nil {
		item.OccurredAt = in.OccurredAt.UTC().Truncate(time.Microsecond)
	}
	if in.Tiebreak != nil {
		item.Tiebreak = *in.Tiebreak
	}
	if in.Reason != nil {
		item.Reason = *in.Reason
	}
	if b.Players == RegisteredPlayers {
		item.User = in.Player
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

// refused makes the fault of a refusal. Errors are the refusals of the lines by
// their boards.
func (r addition) refused(refusal Refusal, errors []error) error {
	first := refusal.Items[0]
	line := r.lines[first]
	name := func(err error, field string) error { return r.name(first, err, field) }
	switch refusal.Reason {
	case KeyReused:
		field := "Idempotency-Key"
		if r.batch != "" {
			field = "key"
		}
		return name(fault.Field(fault.KeyReused, field, "The key %q belongs to another request on this board. Repeat that request as it was, or take a new key.", line.Key), "")
	case NoEntry:
		return name(fault.New(fault.NotFound, "There is no entry %q on the board %q.", line.Reverses, line.Board), "reverses")
	case ItemRefused:
		return r.refusedByBoard(refusal.Items, errors)
	case TooManyAttributes:
		return name(badField("profile.attributes", "would give the player more than %d attributes", maxAttributes), "")
	case InClosedPeriod:
		detail := "No period of the board that is open contains this time."
		if line.Late == nil || !*line.Late {
			detail = "A period that this would change is closed, or the board has none at this time. With `late: true` it counts in the periods that are open."
		}
		return name(fault.Field(fault.PeriodClosed, "occurred_at", "%s", detail), "")
	case AlreadyReversed:
		return name(fault.New(fault.AlreadyReversed, "The entry %q is reversed already, or is a reversal itself. Add a new entry instead.", line.Reverses), "reverses")
	case OverDailyCap:
		return name(fault.Field(fault.DailyCap, "points", "Would take the player over what the board allows in a day."), "")
	case OutOfRange:
		return name(fault.Field(fault.ScoreRange, "points", "The score would leave ±%d.", int64(MaxPoints)), "")
	case TiebreakRange:
		return name(fault.Field(fault.ScoreRange, "tiebreak", "The tiebreak would leave ±%d.", int64(MaxPoints)), "")
	}
	return fault.New(fault.Internal, "")
}

// refusedByBoard gives every fault of the lines against catalogues and bounds,
// or else the first that a board has against its line.
func (r addition) refusedByBoard(lines []int, errors []error) error {
	var faults fault.List
	for _, i := range lines {
		if f, ok := fault.As(r.name(i, errors[i], "board")); ok && f.Kind == fault.BadRequest {
			faults = append(faults, f.Errors...)
		}
	}
	if err := faults.Err(); err != nil {
		return err
	}
	return r.name(lines[0], errors[lines[0]], "board")
}

// cache keeps the boards that this process has met. A board in it may be an
// old one: whoever acts on it has its version compared by the ledger.
type cache struct {
	mu     sync.Mutex
	boards map[string]Board
}

// maxCached bounds the memory: a board with a full catalogue has some 100 KB.
const maxCached = 200

// find gives the board that is kept, else the directory's; current says that
// it is the latter.
func (c *cache) find(ctx context.Context, dir Directory, id string) (b Board, current bool, err error) {
	c.mu.Lock()
	b, ok := c.boards[id]
	c.mu.Unlock()
	if ok {
		return b, false, nil
	}
	b, err = c.load(ctx, dir, id)
	return b, true, err
}

func (c *cache) load(ctx context.Context, dir Directory, id string) (Board, error) {
	b, err := findBoard(ctx, dir, id)
	if err == nil {
		c.keep(b)
	}
	return b, err
}

func (c *cache) keep(b Board) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.boards[b.ID]; ok && old.Version > b.Version {
		return
	}
	if c.boards == nil {
		c.boards = map[string]Board{}
	}
	for id := range c.boards {
		if len(c.boards) < maxCached {
			break
		}
		delete(c.boards, id) // whichever comes first
	}
	c.boards[b.ID] = b
}

// findBoard asks the directory, unless no board can have the id.
func findBoard(ctx context.Context, dir Directory, id string) (Board, error) {
	if !boardID.MatchString(id) {
		return Board{}, NoBoard(id)
	}
	return dir.Board(ctx, id)
}
