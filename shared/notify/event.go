package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"plaudit/shared/event"
	"plaudit/shared/id"
	"plaudit/shared/letter"
)

// The rules that send messages to the queue. Those of template.yaml write them into
// each message.
const (
	ruleTold     = "told"     // events that name whom to notify
	ruleSecurity = "security" // of an account, whose user is told always
	ruleLinks    = "links"    // that need a link with a secret in it
	ruleFeedback = "feedback" // bounces and complaints
)

// mailReplay begins the names of replays whose events are mailed. Any other replay is
// for other targets of the bus.
const mailReplay = "mail-"

// kind is what the mail about a type of event is like.
type kind struct {
	kind       letter.Kind
	preference string // key of a user's preferences; "" if it cannot be switched off
	limited    bool   // others decide how many there are, and there is a limit for each hour
	again      bool   // if it is unknown whether it was sent, it is sent again
}

// otherEvents is the preference for events of other systems.
const otherEvents = "other"

var foreign = kind{kind: letter.Foreign, preference: otherEvents, limited: true}

// kinds are the types of our own events that each rule mails.
var kinds = map[string]map[event.Type]kind{
	ruleTold: {
		event.EntryAdjusted:     switchable(letter.Adjusted, event.EntryAdjusted),
		event.EntryReversed:     switchable(letter.Reversed, event.EntryReversed),
		event.PlayerChanged:     switchable(letter.PlayerChanged, event.PlayerChanged),
		event.LinkProposed:      switchable(letter.LinkProposed, event.LinkProposed),
		event.BoardPeriodClosed: {kind: letter.PeriodClosed, preference: string(event.BoardPeriodClosed), limited: true},
		event.PlayerErased:      {kind: letter.PlayerErased},
		event.LinkEnded:         {kind: letter.LinkEnded},
	},
	ruleSecurity: {
		event.UserRoleChanged:     {kind: letter.RoleChanged, again: true},
		event.UserPasswordChanged: {kind: letter.PasswordChanged, again: true},
		event.UserEmailChanged:    {kind: letter.EmailChanged, again: true},
		event.UserLoginFailed:     {kind: letter.LoginFailed, again: true},
		event.SessionReused:       {kind: letter.SessionReused, again: true},
		event.KeyCreated:          {kind: letter.KeyCreated, again: true},
	},
	ruleLinks: {
		event.UserVerificationRequested: {kind: letter.Verify, again: true},
		event.UserResetRequested:        {kind: letter.Reset, again: true},
	},
}

func switchable(k letter.Kind, t event.Type) kind { return kind{kind: k, preference: string(t)} }

// message is the body of a message.
type message struct {
	Rule  string `json:"rule"`
	Event struct {
		Time   time.Time       `json:"time"`
		Replay string          `json:"replay-name"`
		Detail json.RawMessage `json:"detail"`
	} `json:"event"`

	// Of the rule feedback.
	Type    string `json:"type"`   // Bounce or Complaint
	Bounce  string `json:"bounce"` // Permanent, Transient or Undetermined
	User    string `json:"user"`
	Address string `json:"address"` // id.Address of the one that the mail went to
	Message string `json:"message"`

	event Event
}

// Event is an event of the log, as the bus delivers it. Its JSON is another one than
// the log's, because the bus writes it again.
type Event struct {
	ID           string          `json:"id"`
	Source       string          `json:"source"`
	Type         event.Type      `json:"type"`
	Subject      string          `json:"subject"`
	Time         time.Time       `json:"time"`
	RecordedTime time.Time       `json:"recordedtime"`
	LogID        string          `json:"logid"`
	Actor        string          `json:"actor"`
	Notify       string          `json:"notify"`
	TraceParent  string          `json:"traceparent"`
	Data         json.RawMessage `json:"data"`

	entry *entryData // of entries' events
}

// entryData is the data of an entry's event.
type entryData struct {
	Entry
	BatchSize int `json:"batch_size"`
}

// parse reads a message's body. Its error describes what is wrong with it, and will be
// the same whenever it comes again.
func parse(body string) (message, error) {
	var in message
	if err := json.Unmarshal([]byte(body), &in); err != nil {
		return in, fmt.Errorf("the message is not what a rule sends: %w", err)
	}
	if in.Rule == ruleFeedback {
		if in.Type != "Bounce" && in.Type != "Complaint" {
			return in, fmt.Errorf("the feedback's type is %q, but must be Bounce or Complaint", in.Type)
		}
		if in.User != "" && !id.UUID(in.User) {
			return in, errors.New("the feedback's user is not the id of a user")
		}
		if in.Address != "" && !id.IsAddress(in.Address) {
			return in, errors.New("the feedback's address is not the tag of a mail")
		}
		return in, nil
	}
	if _, ok := kinds[in.Rule]; !ok {
		return in, fmt.Errorf("the rule is %q, but must be told, security, links or feedback", in.Rule)
	}
	e := &in.event
	if err := json.Unmarshal(in.Event.Detail, e); err != nil {
		return in, fmt.Errorf("the event's detail is not an event of the log: %w", err)
	}
	if e.ID == "" || e.Source == "" || e.Type == "" || e.Subject == "" {
		return in, errors.New("the event has no id, source, type or subject")
	}
	// Not the event's own word: what two events claim must differ.
	e.LogID = event.LogID(e.Source, e.ID)
	if e.RecordedTime.IsZero() {
		e.RecordedTime = in.Event.Time
	}
	if e.RecordedTime.IsZero() {
		return in, errors.New("the event has no recordedtime")
	}
	if event.Ours(e.Source) && (e.Type == event.EntryAdjusted || e.Type == event.EntryReversed) {
		e.entry = &entryData{}
		if err := e.decode(e.entry); err != nil {
			return in, err
		}
		if e.entry.ID == "" || e.entry.Board == "" || e.entry.Player == "" {
			return in, errors.New("the event's data has no id, board or player")
		}
	}
	return in, nil
}

// decode reads the event's data.
func (e Event) decode(to any) error {
	if err := json.Unmarshal(e.Data, to); err != nil {
		return fmt.Errorf("the data of a %s cannot be read: %w", e.Type, err)
	}
	return nil
}

// batch returns the batch of an entry that was not its only one, else "".
func (e Event) batch() string {
	if e.entry == nil || e.entry.BatchSize < 2 {
		return ""
	}
	return e.entry.Batch
}

// recipients returns the ids of the users whom a message's event concerns, each once.
func (m message) recipients() ([]string, error) {
	var users []string
	switch m.Rule {
	case ruleTold:
		for user := range strings.SplitSeq(m.event.Notify, ",") {
			if user = strings.TrimSpace(user); user != "" && !slices.Contains(users, user) {
				users = append(users, user)
			}
		}
	default:
		user, ok := strings.CutPrefix(m.event.Subject, "user/")
		if !ok {
			return nil, fmt.Errorf("the subject must be user/<id> under the rule %s", m.Rule)
		}
		users = []string{user}
	}
	for _, user := range users {
		if !id.UUID(user) {
			return nil, fmt.Errorf("%q is not the id of a user", user)
		}
	}
	return users, nil
}

// player returns the board and the player of a subject, "" for what it has not.
func (e Event) player() (board, player string) {
	board, ok := strings.CutPrefix(event.Root(e.Subject), "board/")
	if !ok {
		return "", ""
	}
	player, _ = strings.CutPrefix(e.Subject, event.Player(board, ""))
	if player == e.Subject {
		player = ""
	}
	return board, player
}

// TraceParent returns the trace of the event in a message's body, "" if it has none.
func TraceParent(body string) string {
	var in struct {
		Event struct {
			Detail struct {
				TraceParent string `json:"traceparent"`
			} `json:"detail"`
		} `json:"event"`
	}
	json.Unmarshal([]byte(body), &in) // Handle reports what is wrong with it
	return in.Event.Detail.TraceParent
}
