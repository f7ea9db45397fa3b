// Package claim holds what a claim on a mail is: the right to send it, and the record of
// what became of it. A claim is never removed, so that its function needs no right to
// remove anything.
package claim

import (
	"context"
	"time"
)

// Key names a mail: there is one for each rule, event or batch, and recipient.
type Key struct{ Rule, Of, User string }

// State is the state of a claim.
type State string

// The states.
const (
	Free    State = "free"    // given up, because the mail surely was not sent
	Sending State = "sending" // until its lease ends; then it is unknown whether the mail was sent
	Sent    State = "sent"
	Held    State = "held"    // it is unknown, and a person decides: the message is in the dead-letter queue
	Dropped State = "dropped" // over the hourly limit
)

// Claim is the right to send a mail, and what became of it.
type Claim struct {
	State   State
	Until   time.Time // the end of the lease, of Sending only
	Token   string    // of the write that made it
	Message string    // the id of the message that it was made for
}

// Undecided reports whether it is unknown if the claim's mail was sent.
func (c Claim) Undecided(now time.Time) bool {
	return c.State == Held || c.State == Sending && !now.Before(c.Until)
}

// Store keeps claims.
type Store interface {
	// Get returns the claim as it is now, nil if it does not exist.
	Get(ctx context.Context, key Key) (*Claim, error)
	// Put writes the claim if before is in the store, by its token, or if no claim is
	// there and before is nil. Otherwise ok is false, and there is the claim in the
	// store, nil if it does not exist. A write whose answer was lost counts as done.
	Put(ctx context.Context, key Key, before *Claim, next Claim) (there *Claim, ok bool, err error)
	// Allow reports whether the user may get the mail within the limit of the hour of
	// now. The same mail counts once.
	Allow(ctx context.Context, user string, now time.Time, mail Key, limit int) (bool, error)
}
