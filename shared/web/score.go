package web

import (
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"plaudit/shared/fault"
	"plaudit/shared/score"
)

// ScoreAdd adds entries.
func ScoreAdd(adder *score.Adder) map[string]Handler {
	h := addHandlers{adder}
	return map[string]Handler{addRoute: h.add}
}

const addRoute = "POST /v1/boards/{board}/entries"

type addHandlers struct{ adder *score.Adder }

// entryIn is an entry as a client sends it.
type entryIn struct {
	Player     string               `json:"player"`
	Points     Optional[int64]      `json:"points"`
	Reason     Optional[string]     `json:"reason"`
	Kind       Optional[score.Kind] `json:"kind"`
	Note       Optional[string]     `json:"note"`
	Tiebreak   Optional[int64]      `json:"tiebreak"`
	OccurredAt Optional[time.Time]  `json:"occurred_at"`
	Late       Optional[bool]       `json:"late"`
	Metadata   jsontext.Value       `json:"metadata"`
	Key        Optional[string]     `json:"key"`
	Profile    Optional[profileIn]  `json:"profile"`
}

type profileIn struct {
	DisplayName Optional[string]                      `json:"display_name"`
	Country     Optional[string]                      `json:"country"`
	Attributes  Optional[map[string]Optional[string]] `json:"attributes"`
	User        Optional[string]                      `json:"user"`
}

func (in profileIn) profile() *score.Profile {
	text := func(o Optional[string]) score.Text { return score.Text{Set: o.Set, Value: o.orNil()} }
	p := &score.Profile{
		DisplayName: text(in.DisplayName), Country: text(in.Country), User: text(in.User),
		ClearAttributes: in.Attributes.Set && in.Attributes.Null,
	}
	for name, value := range in.Attributes.Value {
		if p.Attributes == nil {
			p.Attributes = map[string]*string{}
		}
		p.Attributes[name] = value.orNil()
	}
	return p
}

// value gives what the field holds, nil where it is absent. Null is a fault.
func value[T any](faults *fault.List, field string, in Optional[T]) *T {
	if in.Set && in.Null {
		faults.Add(field, "must not be null")
	}
	return in.orNil()
}

func (in entryIn) submission(r *http.Request) score.Submission {
	var faults fault.List
	out := score.Submission{
		Player:     in.Player,
		Points:     value(&faults, "points", in.Points),
		Reason:     value(&faults, "reason", in.Reason),
		Kind:       value(&faults, "kind", in.Kind),
		Note:       value(&faults, "note", in.Note),
		Tiebreak:   value(&faults, "tiebreak", in.Tiebreak),
		OccurredAt: value(&faults, "occurred_at", in.OccurredAt),
		Late:       value(&faults, "late", in.Late),
		Key:        key(&faults, r, value(&faults, "key", in.Key)),
	}
	if p := value(&faults, "profile", in.Profile); p != nil {
		out.Profile = p.profile()
	}
	if in.Metadata != nil {
		if in.Metadata.Kind() != '{' {
			faults.Add("metadata", "must be an object")
		} else if err := in.Metadata.Compact(); err != nil {
			faults.Add("metadata", "is not valid JSON")
		}
		out.Metadata = string(in.Metadata)
	}
	out.Faults = faults
	return out
}

// idempotencyKey is the header that protects a repeated request
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).
const idempotencyKey = "Idempotency-Key"

// key gives the request's idempotency key, from the header or the body.
func key(faults *fault.List, r *http.Request, body *string) string {
	const valid = "must have 1 to 128 visible ASCII characters"
	headers := r.Header.Values(idempotencyKey)
	switch {
	case len(headers) > 1:
		faults.Add(idempotencyKey, "stands there twice")
	case len(headers) == 1 && !score.ValidKey(headers[0]):
		faults.Add(idempotencyKey, valid)
	}
	switch {
	case body != nil && !score.ValidKey(*body):
		faults.Add("key", valid)
	case body != nil && len(headers) > 0 && headers[0] != *body:
		faults.Add("key", "must be the same as the header Idempotency-Key, or left out")
	case body != nil:
		return *body
	}
	return r.Header.Get(idempotencyKey)
}

// entryOut is an entry as the API shows it. It depends on the entry's row
// alone, so that a repeated request gets the same bytes.
type entryOut struct {
	ID         string      `json:"id"`
	Board      string      `json:"board"`
	Player     string      `json:"player"`
	Points     int64       `json:"points"`
	Reason     *string     `json:"reason"`
	Note       *string     `json:"note"`
	Kind       score.Kind  `json:"kind"`
	Actor      string      `json:"actor"`
	Seq        int64       `json:"seq"`
	Tiebreak   int64       `json:"tiebreak"`
	OccurredAt time.Time   `json:"occurred_at"`
	RecordedAt time.Time   `json:"recorded_at"`
	Batch      string      `json:"batch,omitempty"`
	Reverses   string      `json:"reverses,omitempty"`
	Metadata   rawJSON     `json:"metadata,omitempty"`
	Standings  []creditOut `json:"standings"`
}

type creditOut struct {
	Period string     `json:"period"`
	Start  *time.Time `json:"start"`
	Score  *int64     `json:"score"`
}

func newEntryOut(e score.Entry) entryOut {
	out := entryOut{
		ID: e.ID, Board: e.Board, Player: e.Player, Points: e.Points, Reason: orNull(e.Reason), Note: orNull(e.Note),
		Kind: e.Kind, Actor: e.Actor, Seq: e.Seq, Tiebreak: e.Tiebreak, OccurredAt: e.OccurredAt, RecordedAt: e.RecordedAt,
		Batch: e.Batch, Reverses: e.Reverses, Metadata: rawJSON(e.Metadata), Standings: make([]creditOut, len(e.Standings)),
	}
	for i, c := range e.Standings {
		out.Standings[i] = creditOut{c.Period, orNoTime(c.Start), c.Score}
	}
	return out
}

// rawJSON is text that is JSON already.
type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// orNoTime gives null for the zero time.
func orNoTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (h addHandlers) add(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	in, err := decode[entryIn](r)
	if err != nil {
		return err
	}
	added, err := h.adder.Add(r.Context(), caller(r), addRoute, param(r, "board"), in.submission(r))
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/boards/"+added.Board+"/entries/"+url.PathEscape(added.ID))
	if added.Replayed {
		w.Header().Set("Idempotency-Replayed", "true")
		return reply(w, http.StatusOK, newEntryOut(added.Entry))
	}
	return reply(w, http.StatusCreated, newEntryOut(added.Entry))
}
