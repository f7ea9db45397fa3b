// Package letter writes the mails that tell people about changes that concern
// them, in Korean and English, as text and as HTML. It does no I/O: callers
// fetch what a letter tells before they render it.
//
// Texts that other people wrote (names, titles, notes, the data of other systems)
// may be passed unchanged: a letter shows them without letting them inject a
// header, markup or a link, or turn the text around them.
package letter

import "time"

// Kind is the reason for a mail.
type Kind string

// The kinds. Of an entry's kinds, either may have many entries: a batch of
// adjustments and reversals is one letter, and its entries decide its words.
const (
	Adjusted        Kind = "adjusted"         // plaudit.entry.adjusted
	Reversed        Kind = "reversed"         // plaudit.entry.reversed
	PlayerChanged   Kind = "player-changed"   // plaudit.player.changed: Changes has the status
	PlayerErased    Kind = "player-erased"    // plaudit.player.erased
	LinkProposed    Kind = "link-proposed"    // plaudit.player.link-proposed
	LinkEnded       Kind = "link-ended"       // plaudit.player.link-ended
	PeriodClosed    Kind = "period-closed"    // plaudit.board.period-closed
	RoleChanged     Kind = "role-changed"     // plaudit.user.role-changed: Changes has the role
	PasswordChanged Kind = "password-changed" // plaudit.user.password-changed
	EmailChanged    Kind = "email-changed"    // plaudit.user.email-changed
	LoginFailed     Kind = "login-failed"     // plaudit.user.login-failed
	SessionReused   Kind = "session-reused"   // plaudit.session.reused
	KeyCreated      Kind = "key-created"      // plaudit.key.created
	Verify          Kind = "verify"           // plaudit.user.verification-requested
	Reset           Kind = "reset"            // plaudit.user.reset-requested
	Foreign         Kind = "other"            // an event of another system
)

// Kinds returns every kind above.
func Kinds() []Kind {
	return []Kind{
		Adjusted, Reversed, PlayerChanged, PlayerErased, LinkProposed, LinkEnded, PeriodClosed,
		RoleChanged, PasswordChanged, EmailChanged, LoginFailed, SessionReused, KeyCreated,
		Verify, Reset, Foreign,
	}
}

// Letter is everything that one mail tells its reader.
type Letter struct {
	Kind   Kind
	Locale string         // ko or en
	Zone   *time.Location // the reader's
	Reader string         // the reader's display name; "" if it is unknown
	Actor  string         // display name of the person who did it; "" if nobody in particular did it
	ByKey  bool           // a program with an API key did it; no Actor is then shown
	At     time.Time      // when it happened; Verify and Reset need none
	Note   string         // why; of entries, their own notes

	Board  Board  // zero if it concerns none
	Player string // display name, else the id; "" if it concerns none

	Entries []Entry  // of Adjusted and Reversed: all of a batch that concern the reader
	Scores  []Score  // of Adjusted and Reversed: what they changed
	Changes []Change // of PlayerChanged, PlayerErased (the names of the fields only) and RoleChanged
	Closed  *Closed  // of PeriodClosed
	Other   *Other   // of Foreign
	Failed  int      // of LoginFailed: how many logins; 0 if it is unknown
	Key     *Key     // of KeyCreated; nil if it is unknown

	Link        string        // of Verify and Reset
	LinkFor     time.Duration // how long the link is valid
	Unsubscribe string        // URL; "" for mail that cannot be switched off
}

// Board is the board that a letter, an entry or a score is about.
type Board struct {
	ID, Title string
	Unit      string         // points or duration_ms; "" means points
	Decimals  int            // of points: 2 shows 1234 as 12.34
	Order     string         // asc (less is better) or desc; "" if it is unknown: a letter then names no penalty or bonus
	Zone      *time.Location // in which its days and weeks begin; nil means the reader's
}

// Entry is an entry that was added to a board.
type Entry struct {
	Kind         string // result, adjustment, import or reversal
	Player       string // display name, else the id
	Board        Board
	Points       int64
	Reason, Note string
	OccurredAt   time.Time
	Original     *Entry // of a reversal: the entry that it cancels; nil if it is unknown
}

// Score is how a player's score in one run changed.
type Score struct {
	Board     Board
	Player    string
	Period    string    // all, day, week, month, or a name that the board chose
	Start     time.Time // of the run; zero of the period all
	From, To  *int64    // nil means no score
	FromKnown bool      // false if the score before is unknown
}

// Change is a field's change. Of a player's erased data it has the field only.
type Change struct {
	Field, From, To string // the API's names and values, such as status, ranked and dnf; "" for none
}

// Closed is a run that was closed.
type Closed struct {
	Period     string    // as in Score
	Start, End time.Time // of the run; zero of the period all, which has none
	Of         int       // how many took part
	Top        []Place   // at most ten
}

// Place is a line of the final table.
type Place struct {
	Rank  int
	Name  string // display name, else the id
	Score int64
	You   bool // the reader's
}

// Key is an API key that was made.
type Key struct {
	Name    string // "" if it is unknown
	Scopes  []string
	Boards  []string  // empty means every board of its owner
	Expires time.Time // zero means never
}

// Other is an event of another system.
type Other struct {
	Source, Type, Subject string
	Lines                 []Line // what its data tells
}

// Line is a name and a value in the data of another system's event. Lines makes
// them of the data.
type Line struct {
	Name  string  // "" if the data is one value
	From  *string // the previous value, if the event has it
	Value string
}

// Mail is a rendered letter. Its subject is one line without control characters.
type Mail struct{ Subject, Text, HTML string }
