package scores

import (
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"plaudit/shared/fault"
	"plaudit/shared/score"
	"plaudit/shared/web"
)

// entryIn is an entry as a client sends it.
type entryIn struct {
	Player     string                   `json:"player"`
	Points     web.Optional[int64]      `json:"points"`
	Reason     web.Optional[string]     `json:"reason"`
	Kind       web.Optional[score.Kind] `json:"kind"`
	Note       web.Optional[string]     `json:"note"`
	Tiebreak   web.Optional[int64]      `json:"tiebreak"`
	OccurredAt web.Optional[time.Time]  `json:"occurred_at"`
	Late       web.Optional[bool]       `json:"late"`
	Metadata   jsontext.Value           `json:"metadata"`
	Key        web.Optional[string]     `json:"key"`
	Profile    web.Optional[profileIn]  `json:"profile"`
	Rename     web.Optional[bool]       `json:"rename"`
}

// reversalIn is a reversal as a client sends it.
type reversalIn struct {
	Note web.Optional[string] `json:"note"`
	Late web.Optional[bool]   `json:"late"`
	Key  web.Optional[string] `json:"key"`
}

// submission returns the entry, with the key in its body.
func (in entryIn) submission() score.Submission {
	var faults fault.List
	out := score.Submission{
		Player:     in.Player,
		Points:     valueOf(&faults, "points", in.Points),
		Reason:     valueOf(&faults, "reason", in.Reason),
		Kind:       valueOf(&faults, "kind", in.Kind),
		Note:       valueOf(&faults, "note", in.Note),
		Tiebreak:   valueOf(&faults, "tiebreak", in.Tiebreak),
		OccurredAt: valueOf(&faults, "occurred_at", in.OccurredAt),
		Late:       valueOf(&faults, "late", in.Late),
		Rename:     valueOf(&faults, "rename", in.Rename),
		Key:        bodyKey(&faults, in.Key),
	}
	if p := valueOf(&faults, "profile", in.Profile); p != nil {
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

const keyForm = "must be 1 to 128 visible ASCII characters"

// bodyKey returns the idempotency key in the body, empty if there is none.
func bodyKey(faults *fault.List, in web.Optional[string]) string {
	key := valueOf(faults, "key", in)
	if key == nil {
		return ""
	}
	if !score.ValidKey(*key) {
		faults.Add("key", keyForm)
	}
	return *key
}

// headerKey returns the idempotency key in the header, empty if there is none.
func headerKey(faults *fault.List, r *http.Request) string {
	headers := r.Header.Values(idempotencyKey)
	switch {
	case len(headers) > 1:
		faults.Add(idempotencyKey, "appears more than once")
	case len(headers) == 1 && !score.ValidKey(headers[0]):
		faults.Add(idempotencyKey, keyForm)
	}
	return r.Header.Get(idempotencyKey)
}

// setKey sets the idempotency key of a submission, from header or body.
func setKey(in *score.Submission, r *http.Request) {
	header := headerKey(&in.Faults, r)
	switch {
	case in.Key == "":
		in.Key, in.KeyInHeader = header, header != ""
	case len(r.Header.Values(idempotencyKey)) > 0 && header != in.Key:
		in.Faults.Add("key", "must be the same as the header Idempotency-Key; send only one of them")
	}
}

// entryOut is an entry as the API shows it. It depends only on the entry's
// row, so that a repeated request gets the same bytes.
type entryOut struct {
	ID         string      `json:"id"`
	Board      string      `json:"board"`
	Player     string      `json:"player"`
	Points     int64       `json:"points"`
	Reason     *string     `json:"reason"`
	Note       *string     `json:"note"`
	Kind       score.Kind  `json:"kind"`
	Actor      *string     `json:"actor"` // null for callers who do not see it
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
		ID: e.ID, Board: e.Board, Player: e.Player, Points: e.Points, Reason: web.OrNull(e.Reason), Note: web.OrNull(e.Note),
		Kind: e.Kind, Actor: web.OrNull(e.Actor), Seq: e.Seq, Tiebreak: e.Tiebreak, OccurredAt: e.OccurredAt, RecordedAt: e.RecordedAt,
		Batch: e.Batch, Reverses: e.Reverses, Metadata: rawJSON(e.Metadata), Standings: make([]creditOut, len(e.Standings)),
	}
	for i, c := range e.Standings {
		out.Standings[i] = creditOut{c.Period, timeOrNil(c.Start), c.Score}
	}
	return out
}

// rawJSON is a text that is already JSON.
type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func (h addHandlers) add(w http.ResponseWriter, r *http.Request) error {
	in, faults, err := web.DecodeAll[entryIn](r)
	if err != nil {
		return err
	}
	return h.addOne(w, r, addRoute, faults, in.submission())
}

// addOne adds an entry or a reversal and writes it as the response. faults are the
// faults of the body.
func (h addHandlers) addOne(w http.ResponseWriter, r *http.Request, route string, faults fault.List, in score.Submission) error {
	in.Faults = append(faults, in.Faults...)
	setKey(&in, r)
	added, err := h.adder.Add(r.Context(), web.Caller(r), route, web.Param(r, "board"), in)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/boards/"+added.Board+"/entries/"+url.PathEscape(added.ID))
	if added.Replayed {
		w.Header().Set("Idempotency-Replayed", "true")
		return web.Reply(w, http.StatusOK, newEntryOut(added.Entry))
	}
	return web.Reply(w, http.StatusCreated, newEntryOut(added.Entry))
}

func (h addHandlers) reverse(w http.ResponseWriter, r *http.Request) error {
	in, faults, err := web.DecodeAll[reversalIn](r)
	if err != nil {
		return err
	}
	return h.addOne(w, r, reversalRoute, faults, in.submission(web.Param(r, "entry")))
}

func (in reversalIn) submission(entry string) score.Submission {
	var faults fault.List
	out := score.Submission{
		Reverses: entry,
		Note:     valueOf(&faults, "note", in.Note),
		Late:     valueOf(&faults, "late", in.Late),
		Key:      bodyKey(&faults, in.Key),
	}
	out.Faults = faults
	return out
}
