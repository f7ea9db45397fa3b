package scores

import (
	"net/http"

	"plaudit/shared/fault"
	"plaudit/shared/score"
	"plaudit/shared/web"
)

// batchIn is a batch as a client sends it.
type batchIn struct {
	Entries []batchItemIn `json:"entries"`
}

// batchItemIn is an entry, or a reversal if Reverses is set.
type batchItemIn struct {
	Board    web.Optional[string] `json:"board"`
	Reverses web.Optional[string] `json:"reverses"`
	entryIn
}

// batchOut is the response to a batch.
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
	in, faults, err := web.DecodeAll[batchIn](r)
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
	batch, added, err := h.adder.AddAll(r.Context(), web.Caller(r), batchRoute, items, faults)
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
	return web.Reply(w, status, out)
}

func (in batchItemIn) item() score.BatchItem {
	var faults fault.List
	board := valueOf(&faults, "board", in.Board)
	if !in.Board.Set {
		faults.Add("board", "is required")
	}
	out := score.BatchItem{}
	if board != nil {
		out.Board = *board
	}
	if reverses := valueOf(&faults, "reverses", in.Reverses); reverses == nil {
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
			{"tiebreak", in.Tiebreak.Set}, {"occurred_at", in.OccurredAt.Set}, {"metadata", in.Metadata != nil}, {"profile", in.Profile.Set}, {"rename", in.Rename.Set},
		} {
			if f.set {
				faults.Add(f.name, "is not a field of a reversal, which takes reverses, note, late and key")
			}
		}
	}
	out.Faults = append(faults, out.Faults...)
	return out
}
