package score

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/unicode/norm"

	"plaudit/shared/fault"
	"plaudit/shared/id"
	"plaudit/shared/text"
)

// Kind is what an entry is for.
type Kind string

// The kinds.
const (
	Result     Kind = "result"
	Adjustment Kind = "adjustment" // a penalty or a bonus by staff: the player is notified
	Import     Kind = "import"     // nobody is notified
	Reversal   Kind = "reversal"   // cancels another entry
)

// Entry is one line of the ledger. It holds everything that its response shows,
// so that a repeated request returns the same bytes whatever has happened
// since.
type Entry struct {
	ID         string // UUIDv7
	Board      string
	Player     string
	Seq        int64 // numbers the player's entries on the board from 1
	Kind       Kind
	Points     int64
	Tiebreak   int64
	Reason     string // empty if the request had points
	Note       string
	Actor      string
	OccurredAt time.Time // all times are in whole µs
	RecordedAt time.Time // later than that of the player's previous entry
	Batch      string
	Reverses   string
	Metadata   string   // compact JSON; empty if none
	Standings  []Credit // the resulting standings, in the order of the board's periods
}

// Credit is the standing that an entry led to in one period.
type Credit struct {
	Period string
	Start  time.Time // zero if the run has no start
	Score  *int64    // nil if the player has no score left
}

// Text is a change of a text field: unset leaves it, a nil value clears it.
type Text struct {
	Set   bool
	Value *string
}

// Profile is what an entry may change about its player. Absent fields stay.
type Profile struct {
	DisplayName Text
	Country     Text // ISO 3166-1 alpha-2
	User        Text // id of the user who is proposed as the player; null ends the link
	// Attributes change one by one; nil clears one, ClearAttributes clears all.
	Attributes      map[string]*string
	ClearAttributes bool
}

// Submission is an entry or a reversal as a client sends it. Nil and empty
// fields are absent.
type Submission struct {
	// Reverses is the entry that a reversal cancels. A reversal has only Note,
	// Late and Key besides.
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
	Rename     *bool  // the profile may change or clear the name that the player has
	Key        string // idempotency key
	// KeyInHeader means that a single submission's key is in the header of the
	// request and not in its body.
	KeyInHeader bool
	// Faults were found while the request was decoded and are reported together
	// with any others.
	Faults fault.List
}

const playerForm = "must be 1 to 64 characters of A-Z, a-z, 0-9 and ._~@:-, and must begin with a letter or a digit"

// ValidKey reports whether an idempotency key has 1 to 128 visible ASCII
// characters.
func ValidKey(key string) bool { return keyText.MatchString(key) }

// DerivedKey returns the key of a batch's item that has none of its own. header
// is the batch's Idempotency-Key, which is hashed so that the result has at most
// 128 characters. The spaces keep clients from sending the same key.
func DerivedKey(header string, item int) string {
	sum := sha256.Sum256([]byte(header))
	return fmt.Sprintf("batch %s %d", base64.RawURLEncoding.EncodeToString(sum[:]), item)
}

func (in Submission) kind() Kind {
	if in.Kind == nil {
		return Result
	}
	return *in.Kind
}

var (
	// earliest is the minimum of occurred_at and of a season's bounds.
	earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	// latest is the exclusive maximum of a season's bounds.
	latest = time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// maxAhead is how far occurred_at may be in the future, because clocks differ.
const maxAhead = 5 * time.Minute

// normalise puts the submission's texts into the form that is checked, compared
// and kept.
func (in *Submission) normalise() {
	in.Reason = inForm(in.Reason, text.Normal)
	in.Note = inForm(in.Note, text.NormalNote)
	if in.Profile != nil {
		p := *in.Profile
		in.Faults = slices.Clone(in.Faults)
		p.normalise(&in.Faults, "profile.")
		in.Profile = &p
	}
}

// check returns every fault of the submission that does not depend on its
// board.
func (in Submission) check(now time.Time) error {
	faults := slices.Clone(in.Faults)
	if in.Note != nil {
		checkNote(&faults, "note", *in.Note)
	}
	if in.Reverses != "" {
		if in.Note == nil {
			faults.Add("note", "is required for a reversal: state the reason")
		}
		return faults.Err()
	}
	if !ValidPlayer(in.Player) {
		faults.Add("player", playerForm)
	}
	switch kind := in.kind(); kind {
	case Adjustment:
		if in.Reason != nil {
			faults.Add("reason", "is not allowed for an adjustment: send points instead")
		}
		if in.Points == nil {
			faults.Add("points", "is required")
		}
		if in.Note == nil {
			faults.Add("note", "is required for an adjustment: state the reason")
		}
	default:
		if in.Points != nil && in.Reason != nil {
			faults.Add("reason", "must not be sent together with points")
		}
		if in.Points == nil && in.Reason == nil {
			faults.Add("points", "is required, or reason if the board has a catalogue")
		}
		if kind == Reversal {
			faults.Add("kind", "must be result, adjustment or import. To cancel an entry, send it as reverses or use its reversal route")
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
	if at := in.OccurredAt; at != nil && (at.Before(earliest) || at.After(now.Add(maxAhead))) {
		faults.Add("occurred_at", "must be in 2000 or later, and at most 5 minutes in the future")
	}
	if len(in.Metadata) > MaxMetadata {
		faults.Add("metadata", "must be at most %d bytes of compact JSON, but is %d", MaxMetadata, len(in.Metadata))
	}
	if in.Profile != nil {
		in.Profile.check(&faults, "profile.")
	}
	return faults.Err()
}

// normalise puts the profile's texts into the form that is checked, compared
// and kept, and adds a fault for every attribute that then appears more than
// once.
func (p *Profile) normalise(faults *fault.List, prefix string) {
	p.DisplayName.Value = inForm(p.DisplayName.Value, text.Normal)
	p.Country.Value = inForm(p.Country.Value, upperCountry)
	if len(p.Attributes) > maxAttributes {
		return // check refuses them all
	}
	p.Attributes = normalKeys(faults, prefix+"attributes", p.Attributes)
	for name, value := range p.Attributes {
		p.Attributes[name] = inForm(value, text.Normal)
	}
}

// check adds the profile's faults; prefix is the path of its fields.
func (p *Profile) check(faults *fault.List, prefix string) {
	if v := p.DisplayName.Value; v != nil {
		checkText(faults, prefix+"display_name", *v, MaxDisplayName)
	}
	if v := p.Country.Value; v != nil {
		checkCountry(faults, prefix+"country", *v)
	}
	if v := p.User.Value; v != nil && !userID.MatchString(*v) {
		faults.Add(prefix+"user", "must be a user's id")
	}
	if len(p.Attributes) > maxAttributes {
		faults.Add(prefix+"attributes", "must list at most %d attributes, including those that it clears", maxAttributes)
		return
	}
	for _, name := range sortedKeys(p.Attributes) {
		field := prefix + "attributes." + name
		checkKey(faults, field, name, maxAttributeName)
		if v := p.Attributes[name]; v != nil {
			checkText(faults, field, *v, maxAttributeValue)
		}
	}
}

// Patch returns the profile as a JSON merge patch (RFC 7396) of the player.
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

// fingerprint is what makes two requests the same: their content before
// defaults, the actor and the route. Its fields are sorted by name, because the
// digest compares JSON text; nil is null, which clients cannot send.
type fingerprint struct {
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
	Rename     *bool      `json:"rename,omitempty"` // keys from before the field was known have none
	Reverses   string     `json:"reverses,omitempty"`
	Route      string     `json:"route"`
	Tiebreak   *int64     `json:"tiebreak"`
}

// digest distinguishes requests with the same key.
func (in Submission) digest(actor, route string) ([]byte, error) {
	s := fingerprint{
		Actor: actor, Route: route, Player: in.Player, Reverses: in.Reverses, Points: in.Points, Reason: in.Reason,
		Kind: in.Kind, Tiebreak: in.Tiebreak, Late: in.Late, Rename: in.Rename,
		// A note is kept as it was written, but the same note has one digest.
		Note: inForm(in.Note, norm.NFC.String),
	}
	if in.OccurredAt != nil {
		at := in.OccurredAt.UTC()
		s.OccurredAt = &at
	}
	if in.Metadata != "" {
		metadata := jsontext.Value(in.Metadata)
		// The order of names and the escapes in strings do not matter; the way
		// that a number is written does.
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

// checkAgainst returns the points that the submission has on the board, or the
// board's refusal: faults of the submission come before those of the board's
// state.
func (in Submission) checkAgainst(b Board) (int64, error) {
	var faults fault.List
	b.checkPlayer(&faults, in.Player, in.Profile, "profile.")
	points := in.points(b, &faults)
	if err := faults.Err(); err != nil {
		return 0, err
	}
	return points, b.checkOpen()
}

// checkOpen returns a fault unless the board accepts entries, reversals and
// changes of players.
func (b Board) checkOpen() error {
	if b.State == Open || b.State == Draft {
		return nil
	}
	return fault.New(fault.BoardClosed, "Board %q is %s. It accepts no entries or player changes until an owner opens it.", b.ID, b.State)
}

// checkPlayer adds the faults of a player on a board of registered players,
// whose ids are users' ids.
func (b Board) checkPlayer(faults *fault.List, player string, p *Profile, prefix string) {
	if b.Players != RegisteredPlayers {
		return
	}
	if !id.UUID(player) {
		faults.Add("player", "must be a user's id, because the board is for registered players")
	}
	if p != nil && p.User.Value != nil && *p.User.Value != player {
		faults.Add(prefix+"user", "must be the same as the player's id or null, because the board is for registered players")
	}
}

// points returns the points of the submission by the board's catalogue and
// bounds, and adds a fault if they do not allow it.
func (in Submission) points(b Board, faults *fault.List) (points int64) {
	switch {
	case in.kind() == Adjustment:
		return *in.Points
	case in.Reason != nil && b.Catalogue == nil:
		faults.Add("reason", "is not allowed, because the board has no catalogue: send points instead")
	case in.Reason != nil:
		points, ok := b.Catalogue[*in.Reason]
		if !ok {
			faults.Add("reason", "must be in the board's catalogue")
		}
		return points
	case b.Catalogue != nil:
		faults.Add("points", "must not be sent, because the board has a catalogue: send a reason instead")
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
