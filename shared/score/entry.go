package score

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

// Kind says what an entry is.
type Kind string

// The kinds.
const (
	Result     Kind = "result"
	Adjustment Kind = "adjustment" // by staff: the player is told
	Import     Kind = "import"     // nobody is told
	Reversal   Kind = "reversal"   // cancels another entry
)

// Entry is one line of the ledger. It holds everything that its answer shows,
// so that a repeated request gets the same bytes whatever has happened since.
type Entry struct {
	ID         string // UUIDv7
	Board      string
	Player     string
	Seq        int64 // counts the player's entries on the board from 1
	Kind       Kind
	Points     int64
	Tiebreak   int64
	Reason     string // empty where points were given
	Note       string
	Actor      string
	OccurredAt time.Time // in whole µs, as every time here
	RecordedAt time.Time // strictly later than the player's entry before
	Batch      string
	Reverses   string
	Metadata   string   // compact JSON, empty where there is none
	Standings  []Credit // the standings it led to, in the order of the board's periods
}

// Credit is what an entry led to in one period.
type Credit struct {
	Period string
	Start  time.Time // zero where the period has no beginning
	Score  *int64    // nil where nothing was left
}

// Text is a change of a text: absent leaves it, nil clears it.
type Text struct {
	Set   bool
	Value *string
}

// Profile is what an entry may say about its player. What is absent stays.
type Profile struct {
	DisplayName Text
	Country     Text // ISO 3166-1 alpha-2
	User        Text // id of the user that the player is
	// Attributes change one by one, nil clears one; ClearAttributes clears all.
	Attributes      map[string]*string
	ClearAttributes bool
}

// Submission is an entry or a reversal as a client sends it; nil and empty mean
// absent.
type Submission struct {
	// Reverses is the entry that a reversal cancels. Beside it there are only
	// Note, Late and Key.
	Reverses   string
	Player     string
	Points     *int64
	Reason     *string
	Kind       *Kind
	Note       *string
	Tiebreak   *int64
	OccurredAt *time.Time
	Late       *bool
	Metadata   string // compact JSON
	Profile    *Profile
	Key        string // idempotency key
	// Faults are what was wrong with the request as it came, to be told with
	// the rest.
	Faults fault.List
}

const playerForm = "must have 1 to 64 characters of A-Z, a-z, 0-9 and ._~@:-, the first a letter or a digit"

// ValidKey says whether an idempotency key is 1 to 128 visible ASCII
// characters.
func ValidKey(key string) bool { return keyText.MatchString(key) }

func (in Submission) kind() Kind {
	if in.Kind == nil {
		return Result
	}
	return *in.Kind
}

// earliest is the first instant that occurred_at may be, and ahead how far it
// may be in the future: clocks differ.
var earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// latest is the end of what a season's border may be.
var latest = time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)

const ahead = 5 * time.Minute

// check gives every fault that the submission has whatever its board says.
func (in Submission) check(now time.Time) error {
	faults := slices.Clone(in.Faults)
	if in.Note != nil {
		checkText(&faults, "note", *in.Note, maxNote)
	}
	if in.Reverses != "" {
		if in.Note == nil {
			faults.Add("note", "is required for a reversal: say why")
		}
		return faults.Err()
	}
	if !ValidPlayer(in.Player) {
		faults.Add("player", playerForm)
	}
	switch kind := in.kind(); kind {
	case Adjustment:
		if in.Reason != nil {
			faults.Add("reason", "is not for adjustments: give points")
		}
		if in.Points == nil {
			faults.Add("points", "is required")
		}
		if in.Note == nil {
			faults.Add("note", "is required for an adjustment: say why")
		}
	default:
		if in.Points != nil && in.Reason != nil {
			faults.Add("reason", "cannot stand beside points: give one of them")
		}
		if in.Points == nil && in.Reason == nil {
			faults.Add("points", "is required, or a reason where the board has a catalogue")
		}
		if kind == Reversal {
			faults.Add("kind", "must be result, adjustment or import: a reversal names the entry that it cancels")
		} else {
			oneOf(&faults, "kind", kind, Result, Adjustment, Import)
		}
	}
	if in.Points != nil {
		checkPoints(&faults, "points", *in.Points)
	}
	if in.Reason != nil {
		checkText(&faults, "reason", *in.Reason, maxReason)
	}
	if in.Tiebreak != nil {
		checkPoints(&faults, "tiebreak", *in.Tiebreak)
	}
	if at := in.OccurredAt; at != nil && (at.Before(earliest) || at.After(now.Add(ahead))) {
		faults.Add("occurred_at", "must be from 2000 on and at most 5 minutes ahead")
	}
	if len(in.Metadata) > MaxMetadata {
		faults.Add("metadata", "may have %d bytes of compact JSON, and has %d", MaxMetadata, len(in.Metadata))
	}
	if in.Profile != nil {
		in.Profile.check(&faults, "profile.")
	}
	return faults.Err()
}

// check notes what is wrong with the profile; its fields begin with at.
func (p *Profile) check(faults *fault.List, at string) {
	if v := p.DisplayName.Value; v != nil {
		checkText(faults, at+"display_name", *v, maxDisplayName)
	}
	if v := p.Country.Value; v != nil && !country.MatchString(*v) {
		faults.Add(at+"country", "must be two capital letters (ISO 3166-1), such as KR")
	}
	if v := p.User.Value; v != nil && !userID.MatchString(*v) {
		faults.Add(at+"user", "must be the id of a user")
	}
	if len(p.Attributes) > maxAttributes {
		faults.Add(at+"attributes", "may hold %d attributes", maxAttributes)
	}
	for _, name := range sortedKeys(p.Attributes) {
		field := at + "attributes." + name
		if n := utf8.RuneCountInString(name); n < 1 || n > maxAttributeName {
			faults.Add(field, "must have a name of 1 to %d characters", maxAttributeName)
		}
		if v := p.Attributes[name]; v != nil {
			checkText(faults, field, *v, maxAttributeValue)
		}
	}
}

// Patch gives the profile as a JSON merge patch (RFC 7396) of the player.
func (p *Profile) Patch() map[string]any {
	patch := map[string]any{}
	for name, text := range map[string]Text{"display_name": p.DisplayName, "country": p.Country, "user": p.User} {
		if text.Set {
			patch[name] = text.Value
		}
	}
	if p.ClearAttributes {
		patch["attributes"] = nil
	} else if p.Attributes != nil {
		patch["attributes"] = p.Attributes
	}
	return patch
}

// sent is what a request says before defaults, by whom, on which route. Its
// names are in the order in which JSON text is compared; nil is null, which no
// client can send.
type sent struct {
	Actor      string     `json:"actor"`
	Kind       *Kind      `json:"kind"`
	Late       *bool      `json:"late"`
	Metadata   string     `json:"metadata,omitempty"`
	Note       *string    `json:"note"`
	OccurredAt *time.Time `json:"occurred_at,omitempty"`
	Player     string     `json:"player"`
	Points     *int64     `json:"points"`
	Profile    any        `json:"profile,omitempty"`
	Reason     *string    `json:"reason"`
	Reverses   string     `json:"reverses,omitempty"`
	Route      string     `json:"route"`
	Tiebreak   *int64     `json:"tiebreak"`
}

// digest tells one request from another under the same key.
func (in Submission) digest(actor, route string) ([]byte, error) {
	s := sent{
		Actor: actor, Route: route, Player: in.Player, Reverses: in.Reverses, Points: in.Points, Reason: in.Reason,
		Kind: in.Kind, Note: in.Note, Tiebreak: in.Tiebreak, Late: in.Late,
	}
	if in.OccurredAt != nil {
		at := in.OccurredAt.UTC()
		s.OccurredAt = &at
	}
	if in.Metadata != "" {
		metadata := jsontext.Value(in.Metadata)
		// The order of names and the escapes of strings mean nothing; how a
		// number is written is kept.
		if err := metadata.Format(jsontext.ReorderRawObjects(true)); err != nil {
			return nil, fmt.Errorf("metadata of an entry: %w", err)
		}
		s.Metadata = string(metadata)
	}
	if in.Profile != nil {
		s.Profile = in.Profile.Patch()
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return sum[:], nil
}

// points gives the points that the submission is worth on the board, or the
// fault it has against the board: first what is wrong with it, then what the
// board's state does not allow.
func (in Submission) points(b Board) (int64, error) {
	var faults fault.List
	b.checkPlayer(&faults, in.Player, in.Profile, "profile.")
	points := in.worth(b, &faults)
	if err := faults.Err(); err != nil {
		return 0, err
	}
	return points, b.takes()
}

// takes says whether the board's state refuses entries, reversals and changes
// of players.
func (b Board) takes() error {
	if b.State == Open {
		return nil
	}
	return fault.New(fault.BoardClosed, "The board %q is %s and takes no entries and no changes of players until an owner opens it.", b.ID, b.State)
}

// checkPlayer notes what is wrong with a player on a board of registered ones:
// their id is the user's whom they are.
func (b Board) checkPlayer(faults *fault.List, player string, p *Profile, at string) {
	if b.Players != RegisteredPlayers {
		return
	}
	if !registeredID.MatchString(player) {
		faults.Add("player", "must be the id of a user on this board")
	}
	if p != nil && p.User.Set && (p.User.Value == nil || *p.User.Value != player) {
		faults.Add(at+"user", "must be the player's own id on this board")
	}
}

func (in Submission) worth(b Board, faults *fault.List) (points int64) {
	switch {
	case in.kind() == Adjustment:
		return *in.Points
	case in.Reason != nil && b.Catalogue == nil:
		faults.Add("reason", "needs a catalogue, and the board has none: give points")
	case in.Reason != nil:
		points, ok := b.Catalogue[*in.Reason]
		if !ok {
			faults.Add("reason", "is not in the board's catalogue")
		}
		return points
	case b.Catalogue != nil:
		faults.Add("points", "are fixed by the board's catalogue: give a reason")
	case *in.Points < b.Min:
		faults.Add("points", "must be at least %d on this board", b.Min)
	case b.Max != nil && *in.Points > *b.Max:
		faults.Add("points", "must be at most %d on this board", *b.Max)
	default:
		return *in.Points
	}
	return 0
}

func badField(field, format string, args ...any) error {
	var faults fault.List
	faults.Add(field, format, args...)
	return faults.Err()
}

// seesAll says whether the caller may see what other readers of the board may
// not: the metadata of its entries, and hidden players.
func (b Board) seesAll(c access.Caller) bool {
	return c.Scoped(scopes[read], b.ID) && (b.rightOf(c) >= write || c.Rights() == access.Auditor)
}
