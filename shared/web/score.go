package web

import (
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"plaudit/shared/fault"
	"plaudit/shared/score"
)

// ScoreAdd adds entries and reversals.
func ScoreAdd(adder *score.Adder) map[string]Handler {
	h := addHandlers{adder}
	return map[string]Handler{addRoute: h.add, reversalRoute: h.reverse, batchRoute: h.batch}
}

const (
	addRoute      = "POST /v1/boards/{board}/entries"
	reversalRoute = "POST /v1/boards/{board}/entries/{entry}/reversal"
	batchRoute    = "POST /v1/entries/batch"
)

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

// reversalIn is a reversal as a client sends it.
type reversalIn struct {
	Note Optional[string] `json:"note"`
	Late Optional[bool]   `json:"late"`
	Key  Optional[string] `json:"key"`
}

// batchIn is a batch as a client sends it.
type batchIn struct {
	Entries []batchItemIn `json:"entries"`
}

// batchItemIn is an entry, or a reversal where Reverses is set.
type batchItemIn struct {
	Board    Optional[string] `json:"board"`
	Reverses Optional[string] `json:"reverses"`
	entryIn
}

// submission gives the entry, with the key that stands beside it.
func (in entryIn) submission() score.Submission {
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
		Key:        bodyKey(&faults, in.Key),
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

const keyForm = "must have 1 to 128 visible ASCII characters"

// bodyKey gives the key that stands in the body, empty where none does.
func bodyKey(faults *fault.List, in Optional[string]) string {
	key := value(faults, "key", in)
	if key == nil {
		return ""
	}
	if !score.ValidKey(*key) {
		faults.Add("key", keyForm)
	}
	return *key
}

// headerKey gives the request's key from its header, empty where there is none.
func headerKey(faults *fault.List, r *http.Request) string {
	headers := r.Header.Values(idempotencyKey)
	switch {
	case len(headers) > 1:
		faults.Add(idempotencyKey, "stands there twice")
	case len(headers) == 1 && !score.ValidKey(headers[0]):
		faults.Add(idempotencyKey, keyForm)
	}
	return r.Header.Get(idempotencyKey)
}

// protect gives the submission of a request its key, from header or body.
func protect(in *score.Submission, r *http.Request) {
	header := headerKey(&in.Faults, r)
	switch {
	case in.Key == "":
		in.Key = header
	case len(r.Header.Values(idempotencyKey)) > 0 && header != in.Key:
		in.Faults.Add("key", "must be the same as the header Idempotency-Key, or left out")
	}
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
	in, faults, err := decodeAll[entryIn](r)
	if err != nil {
		return err
	}
	return h.one(w, r, addRoute, faults, in.submission())
}

// one adds an entry or a reversal and answers with it. Faults are those of the
// body.
func (h addHandlers) one(w http.ResponseWriter, r *http.Request, route string, faults fault.List, in score.Submission) error {
	in.Faults = append(faults, in.Faults...)
	protect(&in, r)
	added, err := h.adder.Add(r.Context(), caller(r), route, param(r, "board"), in)
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

func (h addHandlers) reverse(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	in, faults, err := decodeAll[reversalIn](r)
	if err != nil {
		return err
	}
	return h.one(w, r, reversalRoute, faults, in.submission(param(r, "entry")))
}

func (in reversalIn) submission(entry string) score.Submission {
	var faults fault.List
	out := score.Submission{
		Reverses: entry,
		Note:     value(&faults, "note", in.Note),
		Late:     value(&faults, "late", in.Late),
		Key:      bodyKey(&faults, in.Key),
	}
	out.Faults = faults
	return out
}

// batchOut is the answer to a batch.
type batchOut struct {
	Batch   string          `json:"batch"`
	Entries []batchEntryOut `json:"entries"`
}

type batchEntryOut struct {
	ID       string `json:"id"`
	Board    string `json:"board"`
	Player   string `json:"player"`
	Points   int64  `json:"points"`
	Replayed bool   `json:"replayed"`
}

func (h addHandlers) batch(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	in, faults, err := decodeAll[batchIn](r)
	if err != nil {
		return err
	}
	header := headerKey(&faults, r)
	items := make([]score.BatchItem, len(in.Entries))
	for i, item := range in.Entries {
		items[i] = item.item()
		if items[i].Key == "" && header != "" {
			items[i].Key = score.DerivedKey(header, i)
		}
	}
	batch, added, err := h.adder.AddAll(r.Context(), caller(r), batchRoute, items, faults)
	if err != nil {
		return err
	}
	out := batchOut{batch, make([]batchEntryOut, len(added))}
	status := http.StatusOK
	for i, a := range added {
		out.Entries[i] = batchEntryOut{a.ID, a.Board, a.Player, a.Points, a.Replayed}
		if !a.Replayed {
			status = http.StatusCreated
		}
	}
	if status == http.StatusOK {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	return reply(w, status, out)
}

func (in batchItemIn) item() score.BatchItem {
	var faults fault.List
	board := value(&faults, "board", in.Board)
	if !in.Board.Set {
		faults.Add("board", "is required")
	}
	out := score.BatchItem{}
	if board != nil {
		out.Board = *board
	}
	if reverses := value(&faults, "reverses", in.Reverses); reverses == nil {
		out.Submission = in.submission()
	} else {
		out.Submission = reversalIn{in.Note, in.Late, in.Key}.submission(*reverses)
		if *reverses == "" {
			faults.Add("reverses", "must be the id of an entry")
		}
		for _, f := range []struct {
			name string
			set  bool
		}{
			{"player", in.Player != ""}, {"points", in.Points.Set}, {"reason", in.Reason.Set}, {"kind", in.Kind.Set},
			{"tiebreak", in.Tiebreak.Set}, {"occurred_at", in.OccurredAt.Set}, {"metadata", in.Metadata != nil}, {"profile", in.Profile.Set},
		} {
			if f.set {
				faults.Add(f.name, "is not for a reversal: it takes reverses, note, late and key")
			}
		}
	}
	out.Faults = append(faults, out.Faults...)
	return out
}
