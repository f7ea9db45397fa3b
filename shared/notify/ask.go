package notify

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// Accounts asks the users service.
type Accounts interface {
	// User returns all of an account. ok is false if there is none, or no longer.
	User(ctx context.Context, id string) (u User, ok bool, err error)
	// Link makes a link of a kind for an account. of is the preference that a link of
	// the kind Unsubscribe switches off. ok is false if none is due.
	Link(ctx context.Context, user string, kind LinkKind, of string) (l Link, ok bool, err error)
	// SetMailState reports what SES reported of the account's address, bounced or
	// complained. ok is false if there is no such account.
	// address is the tag of the mail; if the account has another address now, nothing
	// changes.
	SetMailState(ctx context.Context, user, address, state string) (ok bool, err error)
}

// LinkKind is what a link is for.
type LinkKind string

// The kinds of links.
const (
	VerifyLink      LinkKind = "verify"
	ResetLink       LinkKind = "reset"
	UnsubscribeLink LinkKind = "unsubscribe"
)

// User is an account as the API shows it to notify. Texts that may be null are "".
type User struct {
	ID            string          `json:"id"`
	Email         string          `json:"email"`
	FormerEmail   string          `json:"former_email"` // for a while after a change
	EmailVerified bool            `json:"email_verified"`
	DisplayName   string          `json:"display_name"`
	Locale        string          `json:"locale"`
	TimeZone      string          `json:"time_zone"`
	Mail          map[string]bool `json:"mail"`
	MailState     string          `json:"mail_state"`
}

// wants reports whether the user has not switched a preference off.
func (u User) wants(preference string) bool {
	on, set := u.Mail[preference]
	return preference == "" || on || !set
}

// Link is a link with a secret in it, and the address to which it may be sent.
type Link struct {
	URL   string `json:"url"`
	Email string `json:"email"`
}

// Scores asks the scores.
type Scores interface {
	Board(ctx context.Context, board string) (b Board, ok bool, err error)
	Player(ctx context.Context, board, player string) (p Player, ok bool, err error)
	Entry(ctx context.Context, board, entry string) (e Entry, ok bool, err error)
	// Batch iterates over the entries of a batch that are the user's, on every board.
	Batch(ctx context.Context, user, batch string) iter.Seq2[Entry, error]
	// Entries iterates over the entries of a player, the latest first.
	Entries(ctx context.Context, board, player string) iter.Seq2[Entry, error]
}

// Board is a board as the API shows it, as far as mails need it.
type Board struct {
	ID       string            `json:"id"`
	Title    string            `json:"title"`
	Combine  string            `json:"combine"`
	Order    string            `json:"order"`
	Periods  []json.RawMessage `json:"periods"` // a name, or an object that has one
	TimeZone string            `json:"time_zone"`
	Unit     string            `json:"unit"`
	Decimals int               `json:"decimals"`
	State    string            `json:"state"`
}

// Player is a player as the API shows it.
type Player struct {
	DisplayName string `json:"display_name"`
	User        string `json:"user"`
}

// Entry is an entry as the API and events show it.
type Entry struct {
	ID         string    `json:"id"`
	Board      string    `json:"board"`
	Player     string    `json:"player"`
	Points     int64     `json:"points"`
	Reason     string    `json:"reason"`
	Note       string    `json:"note"`
	Kind       string    `json:"kind"`
	Seq        int64     `json:"seq"`
	OccurredAt time.Time `json:"occurred_at"`
	Batch      string    `json:"batch"`
	Reverses   string    `json:"reverses"`
	Standings  []Credit  `json:"standings"`
}

// Credit is a score to which an entry led.
type Credit struct {
	Period string    `json:"period"`
	Start  time.Time `json:"start"` // zero if it is null
	Score  *int64    `json:"score"`
}

// mainPeriod returns the period that a board is about: `all`, else its first.
func (b Board) mainPeriod() string {
	first := ""
	for i, raw := range b.Periods {
		var named struct {
			Name string `json:"name"`
		}
		name := ""
		if json.Unmarshal(raw, &name) != nil {
			json.Unmarshal(raw, &named) // "" stays, which no run has
			name = named.Name
		}
		if name == "all" {
			return name
		}
		if i == 0 {
			first = name
		}
	}
	return first
}
