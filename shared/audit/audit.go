// Package audit is the audit log's domain: what the log keeps, how the outboxes are
// relayed to it, and who may read it. It knows nothing of HTTP, SQL or AWS.
package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"plaudit/shared/event"
)

// Message is a row of an outbox on its way out: either an event or a profile.
type Message struct {
	ID       int64
	Event    *event.Event
	Profile  *Profile
	Fault    string // why it is neither, and can never be sent
	Err      error  // why it is neither for now; it stays
	Restored bool   // it is sent again by a restore, so that nobody is told twice
}

// Profile is a user's public profile, as the users service hands it to the scores.
type Profile struct {
	User        string
	Version     int64   // increases with each change
	DisplayName *string // nil after an erasure
	Country     *string
	Erased      bool
	TraceParent string
}

// Outbox is the outbox of one database.
type Outbox interface {
	// Take locks the oldest messages that have yet to be sent and that nobody else has
	// locked, at most limit of them and not more than a few megabytes, and passes them to
	// send. What send returns is parallel to its messages: those with nil are marked as
	// sent (a profile's row is deleted), those with an Unwritable are set aside with its
	// reason, those with a Fault with that, and the others stay. All of it is one
	// transaction. It returns how many messages it took; 0 if none waits. After a batch that
	// stays as a whole it goes on with those behind it, and comes back to the oldest in time.
	Take(ctx context.Context, limit int, send func(context.Context, []Message) []error) (int, error)
	// Depth returns how many messages wait, up to limit, and how old the oldest is.
	Depth(ctx context.Context, limit int) (waiting int, oldest time.Duration, err error)
	// Purge deletes at most limit messages that were sent more than keep ago, and
	// returns how many.
	Purge(ctx context.Context, keep time.Duration, limit int) (int, error)
}

// Unwritable is the error of a message that can never be sent.
type Unwritable struct {
	Reason string
	Taken  bool // because the log has something else under its logid
}

func (u Unwritable) Error() string { return "can never be written: " + u.Reason }

// Profiles is where the users' profiles are handed to the scores.
type Profiles interface {
	// Put writes a profile unless a version is there that is not older, which is no
	// error. An erasure replaces any version, because versions begin again where a
	// database was set back to, and nothing replaces an erasure.
	Put(ctx context.Context, p Profile) error
}

// Players are the players of the scores, whose names and countries follow the profiles.
type Players interface {
	// ApplyProfile brings a user's players up to date with a profile, unless a version
	// that is not older has been applied. An erasure is applied whatever its version is,
	// and nothing after it. It can be repeated, and come late.
	ApplyProfile(ctx context.Context, p Profile) error
}

// Lease is the relay's promise to poll the outbox. A writer that commits a message
// after its end wakes the relay.
type Lease interface {
	// Extend moves the promise's end to at least for after the database's clock, and
	// returns how much later the relay may stop polling: the end, and the longest
	// time that a writer which read the old promise can need until it has committed.
	Extend(ctx context.Context, by time.Duration) (pollFor time.Duration, err error)
}

// Stored is an event as the log keeps it.
type Stored struct {
	Event    event.Event
	Document []byte // its encoding; see event.Event.Encode
	Restored bool
	// Fault is why the log's item cannot be read. Then nothing else is here but the LogID
	// and, in lists, the RecordedTime under which it is listed.
	Fault string
}

// Unreadable is the error of an item of the log that is not an event as this version
// reads it.
type Unreadable struct{ LogID, Reason string }

func (u Unreadable) Error() string {
	return fmt.Sprintf("the log's item with the logid %s cannot be read: %s", u.LogID, u.Reason)
}

// MaxDocument is the size of the largest document that the log takes, in bytes. An item
// of DynamoDB is limited to 400 KB.
const MaxDocument = 350_000

// encode returns the event's document, or a tooLong if the log does not take it.
func encode(e event.Event) ([]byte, error) {
	document, err := e.Encode()
	if err == nil && len(document) > MaxDocument {
		err = tooLong(len(document))
	}
	return document, err
}

// tooLong is the error of a document with so many bytes.
type tooLong int

func (n tooLong) Error() string {
	return fmt.Sprintf("its document has %d bytes, but must have at most %d", int(n), MaxDocument)
}

// Log is the log itself.
type Log interface {
	// Put writes an event unless the log has one with its LogID, and returns nil if the
	// event is there now with this very document, else what is there instead. An event
	// that the log can never take is an Unwritable.
	Put(ctx context.Context, e Stored) (other *Stored, err error)
	// Index writes the index items of events. It can be repeated.
	Index(ctx context.Context, events []event.Event) error
	// Get returns an event by its LogID; nil if there is none. The error of an item that is
	// not an event with this LogID is an Unreadable.
	Get(ctx context.Context, logID string) (*Stored, error)
	// MissingIndex returns those of the events that lack an index item.
	MissingIndex(ctx context.Context, events []event.Event) ([]event.Event, error)
	// List returns the events of one dimension, in order, at most limit, and the place
	// after the last that it looked at; the zero Place at the end. An item that is not an
	// event is listed with its Fault if the query wants it, else the error is an Unreadable.
	List(ctx context.Context, q Query) (events []Stored, next Place, err error)
}

// Dimension is what an index is by.
type Dimension string

// The dimensions.
const (
	All       Dimension = "all" // its value is empty
	BySubject Dimension = "subject"
	ByRoot    Dimension = "root" // see event.Root
	ByActor   Dimension = "actor"
	ByType    Dimension = "type"
)

// Query selects events of one value of a dimension, in the order of (RecordedTime,
// LogID).
type Query struct {
	Dimension Dimension
	Value     string
	From, To  time.Time // of RecordedTime; To is exclusive; zero: unlimited
	Ascending bool
	After     Place // goes on after this place; the zero Place: from the beginning
	Limit     int
	MaxBytes  int  // a page ends early rather than exceed this with its documents
	NoGaps    bool // an indexed event that the log lacks is an ErrGap; otherwise it is left out
	Faulty    bool // also items that are no events
}

// ErrGap reports that the index has an event that the log lacks. It is written after its
// event, so somebody has removed the event.
var ErrGap = errors.New("the log lacks an event that its index has")

// Place is a place in a list of events.
type Place struct {
	RecordedTime time.Time
	LogID        string
}

// Waker wakes the relay of the scores' outbox.
type Waker interface {
	Wake(ctx context.Context) error
}
