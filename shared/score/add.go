package score

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// Ledger writes entries.
type Ledger interface {
	Directory
	// Add writes the items' entries, credits the standings of their spans and
	// puts the events into the outbox, all or nothing, in one transaction. An
	// item whose key is there already with the same digest comes back as it
	// was, marked as replayed.
	Add(ctx context.Context, a Addition) (Outcome, error)
}

// Addition is what a ledger is to write.
type Addition struct {
	Versions map[string]int64 // of the items' boards, as the items were made by
	Items    []Item
	Actor    string
}

// Item is one entry to be written.
type Item struct {
	ID         string // the entry's, if it is written
	Board      string
	Player     string
	Key        string // idempotency key, empty without protection
	Digest     []byte // of the request
	Refused    bool   // by its board: it may be answered from its key, never written
	Kind       Kind
	Points     int64
	Tiebreak   int64
	Reason     string
	Note       string
	OccurredAt time.Time
	Metadata   string
	Profile    *Profile
	Spans      []Span // the periods that it credits
}

// Outcome is what came of an addition: exactly one of its fields is set, and
// nothing was written unless it is Added.
type Outcome struct {
	Stale   []Board  // the boards whose version is another, as they are now
	Refusal *Refusal // of the first item that cannot be written
	Added   []Added  // in the order of the items
}

// Added is an entry that is written, now or, where it is replayed, before.
type Added struct {
	Entry
	Replayed bool
}

// Refusal says why a ledger did not write an item.
type Refusal struct {
	Item   int
	Reason Cause
}

// Cause is why a ledger refuses.
type Cause string

// The causes.
const (
	ItemRefused       Cause = "refused"    // the item said so, and its key is new
	KeyReused         Cause = "key-reused" // the key belongs to another request
	OutOfRange        Cause = "range"      // a score would leave ±MaxPoints
	TiebreakRange     Cause = "tiebreak-range"
	TooManyAttributes Cause = "attributes" // the player would have more than 16
)

// Adder adds entries. It is safe for concurrent use.
type Adder struct {
	Ledger Ledger
	Now    func() time.Time

	boards cache
}

// attempts is how often an add is tried while its board is being changed.
const attempts = 3

// Add adds one entry to the board. Route is part of what a key protects: the
// same key on another route is another request.
//
// Faults come in the order that the API promises: of the submission alone; of
// the board (404, 403); of the key (422); against catalogue and bounds (400);
// against the state (409).
func (a *Adder) Add(ctx context.Context, who access.Caller, route, board string, in Submission) (Added, error) {
	now := a.Now()
	if err := in.check(now); err != nil {
		return Added{}, err
	}
	digest, err := in.digest(who.Actor(), route)
	if err != nil {
		return Added{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Added{}, err
	}
	b, current, err := a.boards.find(ctx, a.Ledger, board)
	if err != nil {
		return Added{}, err
	}
	if err := permit(ctx, a.Ledger, b, who, write); err != nil {
		if current {
			return Added{}, err
		}
		// The board that was kept may be an old one.
		if b, err = a.boards.load(ctx, a.Ledger, board); err != nil {
			return Added{}, err
		}
		if err := permit(ctx, a.Ledger, b, who, write); err != nil {
			return Added{}, err
		}
	}
	for range attempts {
		item, refusal, err := in.item(b, now)
		if err != nil {
			return Added{}, err
		}
		item.ID, item.Digest, item.Refused = id.String(), digest, refusal != nil
		out, err := a.Ledger.Add(ctx, Addition{Versions: map[string]int64{b.ID: b.Version}, Items: []Item{item}, Actor: who.Actor()})
		switch {
		case err != nil:
			return Added{}, err
		case len(out.Stale) > 0:
			b = out.Stale[0]
			a.boards.keep(b)
			if err := permit(ctx, a.Ledger, b, who, write); err != nil {
				return Added{}, err
			}
		case out.Refusal != nil && out.Refusal.Reason == ItemRefused:
			return Added{}, refusal
		case out.Refusal != nil:
			return Added{}, out.Refusal.fault(item)
		default:
			return out.Added[0], nil
		}
	}
	return Added{}, &fault.Error{
		Kind: fault.Busy, RetryAfter: time.Second,
		Detail: "The board is being changed. Repeat the request with the same Idempotency-Key.",
	}
}

// item makes what the ledger is to write on the board, and says whether the
// board refuses it.
func (in Submission) item(b Board, now time.Time) (item Item, refusal, err error) {
	item = Item{Board: b.ID, Player: in.Player, Key: in.Key, Kind: in.kind(), OccurredAt: now, Metadata: in.Metadata, Profile: in.Profile}
	item.Points, refusal = in.points(b)
	if in.OccurredAt != nil {
		item.OccurredAt = *in.OccurredAt
	}
	// PostgreSQL would round what is finer than it keeps, perhaps into the
	// next period.
	item.OccurredAt = item.OccurredAt.UTC().Truncate(time.Microsecond)
	if in.Tiebreak != nil {
		item.Tiebreak = *in.Tiebreak
	}
	if in.Reason != nil {
		item.Reason = *in.Reason
	}
	if in.Note != nil {
		item.Note = *in.Note
	}
	item.Spans, err = b.Spans(item.OccurredAt)
	return item, refusal, err
}

func (r *Refusal) fault(item Item) error {
	switch r.Reason {
	case KeyReused:
		return fault.Field(fault.KeyReused, "Idempotency-Key", "The key %q belongs to another request on this board. Repeat that request as it was, or take a new key.", item.Key)
	case OutOfRange:
		return fault.Field(fault.ScoreRange, "points", "The score of %q would leave ±%d.", item.Player, int64(MaxPoints))
	case TiebreakRange:
		return fault.Field(fault.ScoreRange, "tiebreak", "The tiebreak of %q would leave ±%d.", item.Player, int64(MaxPoints))
	case TooManyAttributes:
		return badField("profile.attributes", "would give the player more than %d attributes", maxAttributes)
	}
	return fault.New(fault.Internal, "")
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
