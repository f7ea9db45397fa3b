// Package audit serves the audit log over HTTP. The rules are in shared/audit; this
// package has the routes, the forms in which events come, and those in which they go.
package audit

import (
	"net/http"

	"plaudit/shared/audit"
	"plaudit/shared/web"
)

// Add returns the endpoint that takes events of other systems.
func Add(intake *audit.Intake) map[string]web.Endpoint {
	h := addHandlers{intake}
	return map[string]web.Endpoint{"POST /v1/audit/events": {Handle: h.add}}
}

type addHandlers struct{ intake *audit.Intake }

// Query returns the endpoints that read the log.
func Query(reader *audit.Reader) map[string]web.Endpoint {
	h := readHandlers{reader}
	return map[string]web.Endpoint{
		"GET /v1/audit/events":         {Handle: h.events},
		"GET /v1/audit/events/{logid}": {Handle: h.event},
		"GET /v1/audit/export":         {Handle: h.export},
	}
}

type readHandlers struct{ reader *audit.Reader }

// receiptsOut is the answer to a batch.
type receiptsOut struct {
	Items []receiptOut `json:"items"`
}

type receiptOut struct {
	LogID        string `json:"logid"`
	ID           string `json:"id"`
	Source       string `json:"source"`
	RecordedTime string `json:"recordedtime"`
	Replayed     bool   `json:"replayed"`
}

func (h addHandlers) add(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	in, batch, err := read(r)
	if err != nil {
		return err
	}
	added, err := h.intake.Add(r.Context(), web.Caller(r), in)
	if err != nil {
		return err
	}
	replayed := true
	for _, a := range added {
		replayed = replayed && a.Replayed
	}
	status := http.StatusCreated
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
		status = http.StatusOK
	}
	if !batch {
		w.Header().Set("Location", "/v1/audit/events/"+added[0].Event.LogID)
		return web.ReplyJSON(w, status, added[0].Document)
	}
	out := receiptsOut{Items: make([]receiptOut, len(added))}
	for i, a := range added {
		e := a.Event
		out.Items[i] = receiptOut{e.LogID, e.ID, e.Source, web.TimeCell(e.RecordedTime), a.Replayed}
	}
	return web.Reply(w, status, out)
}
