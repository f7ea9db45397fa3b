package eventbridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Entry is an event that PutEvents takes.
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html
type Entry struct {
	Time       *Instant `json:"Time"`
	Source     string   `json:"Source"`
	DetailType string   `json:"DetailType"`
	Detail     string   `json:"Detail"` // a JSON object
	Resources  []string `json:"Resources"`
	Bus        string   `json:"EventBusName"` // name or ARN; "": the default bus
}

// Instant is a time as the API has it: seconds since 1970, or RFC 3339.
type Instant struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (i *Instant) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		return json.Unmarshal(text, &i.Time)
	}
	var seconds float64
	if err := json.Unmarshal(text, &seconds); err != nil {
		return err
	}
	if seconds < -62135596800 || seconds > 253402300799 { // the years 1 to 9999
		return fmt.Errorf("%s must be seconds since 1970", text)
	}
	i.Time = time.UnixMicro(int64(seconds * 1e6))
	return nil
}

// MarshalJSON implements json.Marshaler.
func (i Instant) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", float64(i.UnixMilli())/1000), nil
}

// Limits of PutEvents.
const (
	maxEntries    = 10
	maxSize       = 1 << 20
	maxDetailType = 128
	maxSource     = 256
)

// size is what the service counts of an entry.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size
func (e Entry) size() int {
	n := len(e.Source) + len(e.DetailType) + len(e.Detail)
	if e.Time != nil {
		n += 14
	}
	for _, r := range e.Resources {
		n += len(r)
	}
	return n
}

// refused is why the service does not take an entry.
type refused struct{ code, message string }

func (r refused) Error() string { return r.code + ": " + r.message }

// check returns why the service does not take the entry, or nil.
func (e Entry) check(trusted bool) error {
	detail := strings.Trim(e.Detail, " \t\r\n") // JSON's white space, not Unicode's
	invalid := func(name, reason string) error {
		return refused{"InvalidArgument", "Parameter " + name + " is not valid. Reason: " + reason}
	}
	switch {
	case e.Source == "":
		return invalid("Source", "Source is a required argument.")
	case e.DetailType == "":
		return invalid("DetailType", "DetailType is a required argument.")
	case e.Detail == "":
		return invalid("Detail", "Detail is a required argument.")
	case utf8.RuneCountInString(e.DetailType) > maxDetailType:
		return invalid("DetailType", fmt.Sprintf("DetailType must be at most %d characters.", maxDetailType))
	case utf8.RuneCountInString(e.Source) > maxSource:
		return invalid("Source", fmt.Sprintf("Source must be at most %d characters.", maxSource))
	case !trusted && strings.HasPrefix(e.Source, "aws."):
		return refused{"NotAuthorizedForSourceException", "Not authorized for the source."}
	case !strings.HasPrefix(detail, "{") || !json.Valid([]byte(detail)):
		return refused{"MalformedDetail", "Detail is malformed."}
	}
	return nil
}

// event returns the entry as rules and targets see it, and its id.
func (s *Service) event(e Entry, now time.Time) (id string, text []byte) {
	id = uuid.NewString()
	at := now
	if e.Time != nil {
		at = e.Time.Time
	}
	if e.Resources == nil {
		e.Resources = []string{}
	}
	return id, encode(struct {
		Version    string          `json:"version"`
		ID         string          `json:"id"`
		DetailType string          `json:"detail-type"`
		Source     string          `json:"source"`
		Account    string          `json:"account"`
		Time       string          `json:"time"`
		Region     string          `json:"region"`
		Resources  []string        `json:"resources"`
		Detail     json.RawMessage `json:"detail"`
	}{"0", id, e.DetailType, e.Source, s.laptop.AccountID, at.UTC().Format(time.RFC3339), s.laptop.Region, e.Resources, json.RawMessage(e.Detail)})
}

// result is what became of an entry: an id, or why it was refused.
type result struct {
	ID      string `json:"EventId,omitempty"`
	Code    string `json:"ErrorCode,omitempty"`
	Message string `json:"ErrorMessage,omitempty"`
}

// put takes the entries that are in order.
func (s *Service) put(entries []Entry, trusted bool) ([]result, error) {
	now := time.Now()
	results := make([]result, len(entries))
	byBus := map[string][]incoming{}
	var buses []string
	for i, e := range entries {
		if err := e.check(trusted); err != nil {
			results[i].Code, results[i].Message = err.(refused).code, err.(refused).message
			continue
		}
		bus := busName(e.Bus)
		if byBus[bus] == nil {
			buses = append(buses, bus)
		}
		var text []byte
		results[i].ID, text = s.event(e, now)
		byBus[bus] = append(byBus[bus], incoming{text: text, received: now})
	}
	for _, bus := range buses {
		if err := s.take(bus, byBus[bus], "", nil); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// hasBus reports whether a bus exists.
func (s *Service) hasBus(name string) bool {
	_, ok := s.buses[name]
	return ok
}

// Put puts events on a bus for another part, as a service of AWS does: their source may
// begin with aws. Limits of PutEvents do not apply.
func (s *Service) Put(_ context.Context, entries []Entry) error {
	for _, e := range entries {
		if err := e.check(true); err != nil {
			return err
		}
		if !s.hasBus(busName(e.Bus)) {
			return fmt.Errorf("the event bus %s does not exist", e.Bus)
		}
	}
	_, err := s.put(entries, true)
	return err
}
