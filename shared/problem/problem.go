// Package problem turns a fault into a response with problem+json
// (https://www.rfc-editor.org/rfc/rfc9457).
package problem

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"plaudit/shared/fault"
	"plaudit/shared/trace"
)

// kinds has the status and title of every kind of fault. The title is the same
// in every problem of a kind.
var kinds = map[fault.Kind]struct {
	status int
	title  string
}{
	fault.BadRequest:           {http.StatusBadRequest, "Invalid request"},
	fault.Unauthenticated:      {http.StatusUnauthorized, "Authentication required"},
	fault.BadCredentials:       {http.StatusUnauthorized, "Wrong email address or password"},
	fault.SessionEnded:         {http.StatusUnauthorized, "Session ended"},
	fault.BadAPIKey:            {http.StatusUnauthorized, "Invalid API key"},
	fault.Forbidden:            {http.StatusForbidden, "Permission denied"},
	fault.NotFound:             {http.StatusNotFound, "Not found"},
	fault.MethodNotAllowed:     {http.StatusMethodNotAllowed, "Method not allowed"},
	fault.AddressTaken:         {http.StatusConflict, "Email address already in use"},
	fault.IDUnavailable:        {http.StatusConflict, "Id not available"},
	fault.TooManyBoards:        {http.StatusConflict, "Too many boards"},
	fault.CatalogueTooLarge:    {http.StatusConflict, "Catalogue too large"},
	fault.BoardClosed:          {http.StatusConflict, "Board closed"},
	fault.BoardInUse:           {http.StatusConflict, "Board already has entries"},
	fault.BoardState:           {http.StatusConflict, "Board state cannot change like this"},
	fault.PeriodClosed:         {http.StatusConflict, "Period closed"},
	fault.AlreadyReversed:      {http.StatusConflict, "Entry already reversed"},
	fault.DailyCap:             {http.StatusConflict, "Daily cap exceeded"},
	fault.ScoreRange:           {http.StatusConflict, "Score out of range"},
	fault.ScoreFloor:           {http.StatusConflict, "Score below the floor"},
	fault.NameDiffers:          {http.StatusConflict, "Player has another name"},
	fault.LinkDeclined:         {http.StatusConflict, "Link declined"},
	fault.LastAdmin:            {http.StatusConflict, "Last admin"},
	fault.TooManyAPIKeys:       {http.StatusConflict, "Too many API keys"},
	fault.NoLinkDue:            {http.StatusConflict, "No link due"},
	fault.BodyTimeout:          {http.StatusRequestTimeout, "Request body too slow"},
	fault.TooLarge:             {http.StatusRequestEntityTooLarge, "Request body too large"},
	fault.UnsupportedMediaType: {http.StatusUnsupportedMediaType, "Unsupported media type"},
	fault.KeyReused:            {http.StatusUnprocessableEntity, "Idempotency key reused"},
	fault.TooManyRequests:      {http.StatusTooManyRequests, "Too many requests"},
	fault.Busy:                 {http.StatusServiceUnavailable, "Service busy"},
	fault.Timeout:              {http.StatusServiceUnavailable, "Timed out"},
	fault.Unfinished:           {http.StatusServiceUnavailable, "Not finished"},
	fault.DatabaseUnavailable:  {http.StatusServiceUnavailable, "Database unavailable"},
	fault.Internal:             {http.StatusInternalServerError, "Internal error"},
}

// Kinds returns every kind of fault, sorted.
func Kinds() []fault.Kind { return slices.Sorted(maps.Keys(kinds)) }

// Status returns the HTTP status of the kind.
func Status(k fault.Kind) int { return kinds[k].status }

// Problem is what a client may see of a fault, as problem+json. A page for
// people shows the same.
type Problem struct {
	Type      string             `json:"type"`
	Title     string             `json:"title"`
	Status    int                `json:"status"`
	Detail    string             `json:"detail,omitempty"`
	Field     string             `json:"field,omitempty"`
	Errors    []fault.FieldFault `json:"errors,omitempty"`
	RequestID string             `json:"request_id,omitempty"`
}

// maxQuoted is the maximum length of a detail or of the name of a field, in bytes. A
// fault quotes the request, which may have a name of nearly 1 MB, but the response must
// fit through the load balancer. Quotes of valid values are shorter.
const maxQuoted = 500

// New returns the problem of a fault, with the request id of the context. It
// cuts what the fault quotes.
func New(ctx context.Context, f *fault.Error) Problem {
	p := Problem{
		Type: "urn:plaudit:error:" + string(f.Kind), Title: kinds[f.Kind].title, Status: Status(f.Kind),
		Detail: short(f.Detail), Field: short(f.Field), RequestID: trace.From(ctx).RequestID,
	}
	for _, e := range f.Errors {
		p.Errors = append(p.Errors, fault.FieldFault{Field: short(e.Field), Detail: short(e.Detail)})
	}
	if f.More {
		p.Detail += fmt.Sprintf(" These are the first %d errors; there may be more.", len(f.Errors))
	}
	return p
}

// short cuts a long text.
func short(text string) string {
	if len(text) <= maxQuoted {
		return text
	}
	return strings.ToValidUTF8(text[:maxQuoted], "") + "…"
}

// SetHeaders sets the headers that the response to a fault has in every format, and
// removes those that describe a body that is not sent or share it with pages of every
// origin.
func SetHeaders(h http.Header, f *fault.Error) {
	for _, name := range []string{"Content-Encoding", "Content-Length", "ETag", "Last-Modified"} {
		h.Del(name)
	}
	if h.Get("Access-Control-Allow-Origin") == "*" { // what it replaces was for everybody
		h.Del("Access-Control-Allow-Origin")
		h.Del("Access-Control-Expose-Headers")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
	}
	h.Set("Cache-Control", "no-store")
	if Status(f.Kind) == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	}
}

// Write writes the problem as JSON. SetHeaders sets the other headers.
func (p Problem) Write(w http.ResponseWriter) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // browsers do not render problem+json as HTML
	if err := enc.Encode(p); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len())) // a HEAD has the headers of a GET
	w.WriteHeader(p.Status)
	_, err := w.Write(body.Bytes())
	return err
}
