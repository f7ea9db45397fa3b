package web

import (
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"plaudit/shared/fault"
	"plaudit/shared/user"
)

func (h userHandlers) patchMe(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	in, err := decode[struct {
		DisplayName Optional[string] `json:"display_name"`
		Locale      Optional[string] `json:"locale"`
		TimeZone    Optional[string] `json:"time_zone"`
		Country     Optional[string] `json:"country"`
		Mail        map[string]bool  `json:"mail"`
	}](r)
	if err != nil {
		return err
	}
	// Null clears a country. For the others it is as wrong as the empty string
	// that Value then holds; an empty country would pass for null.
	if in.Country.Set && !in.Country.Null && in.Country.Value == "" {
		return fault.Field(fault.BadRequest, "country", "must be a country's two capital letters (ISO 3166-1 alpha-2), or null for none")
	}
	changes := user.Changes{Mail: in.Mail}
	for _, f := range []struct {
		from Optional[string]
		to   **string
	}{{in.DisplayName, &changes.DisplayName}, {in.Locale, &changes.Locale}, {in.TimeZone, &changes.TimeZone}, {in.Country, &changes.Country}} {
		if f.from.Set {
			*f.to = &f.from.Value
		}
	}
	u, err := h.users.Update(r.Context(), caller(r), changes)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, newUserOut(u))
}

func (h userHandlers) putPassword(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	in, err := decode[struct {
		Current  string `json:"current_password"`
		Password string `json:"password"`
	}](r)
	if err != nil {
		return err
	}
	u, err := h.users.ChangePassword(r.Context(), clientNetwork(r), caller(r), in.Current, in.Password)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, newUserOut(u))
}

func (h userHandlers) erase(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	if err := h.users.Erase(r.Context(), caller(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// usersCursor is where a page of accounts ended, and of what list.
type usersCursor struct {
	Search string `json:"q"`
	User   string `json:"u"`
}

// page is a list's answer. Next is the cursor of the next page, null at the end.
type page struct {
	Items []any   `json:"items"`
	Next  *string `json:"next"`
}

// maxSearch is how long the beginning of an address or a name can be.
const maxSearch = 254 // characters

func (h userHandlers) list(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "q", "email", "limit", "cursor")
	if q.has("email") {
		return h.find(w, r, q)
	}
	limit, search := int(q.int("limit", 50, 1, 100)), q.str("q")
	if utf8.RuneCountInString(search) > maxSearch {
		q.faults.Add("q", "may have %d characters", maxSearch)
	}
	var after usersCursor
	if q.has("cursor") {
		switch {
		case !readCursor(q.str("cursor"), &after) || !isUUID(after.User):
			q.faults.Add("cursor", "is none that this API gave")
		case q.has("q") && search != after.Search:
			q.faults.Add("cursor", "belongs to another list: send it with the parameters of the first page, or alone")
		}
		search = after.Search
	}
	if err := q.err(); err != nil {
		return err
	}
	users, more, err := h.users.List(r.Context(), caller(r), search, after.User, limit)
	if err != nil {
		return err
	}
	out := page{Items: make([]any, len(users))}
	for i, u := range users {
		out.Items[i] = newUserOut(u)
	}
	if more {
		next, err := writeCursor(usersCursor{search, users[len(users)-1].ID})
		if err != nil {
			return err
		}
		out.Next = &next
	}
	return reply(w, http.StatusOK, out)
}

// find answers as a list does, with no item or one.
func (h userHandlers) find(w http.ResponseWriter, r *http.Request, q *query) error {
	if q.str("email") == "" {
		q.faults.Add("email", "must not be empty")
	}
	for _, other := range []string{"q", "limit", "cursor"} {
		if q.has(other) {
			q.faults.Add(other, "cannot stand beside email, which finds one account or none")
		}
	}
	if err := q.err(); err != nil {
		return err
	}
	out := page{Items: []any{}}
	u, whole, err := h.users.Find(r.Context(), caller(r), q.str("email"))
	switch {
	case fault.Is(err, fault.NotFound):
	case err != nil:
		return err
	case whole:
		out.Items = append(out.Items, newUserOut(u))
	default:
		out.Items = append(out.Items, newProfileOut(u))
	}
	return reply(w, http.StatusOK, out)
}

// isUUID says whether a text is a UUID in its usual form, of which there are
// others.
func isUUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }

type openSessionOut struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	UsedAt    time.Time `json:"used_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Current   bool      `json:"current"` // the one that the request's token belongs to
}

// sessionsCursor is where a page of one's own sessions ended.
type sessionsCursor struct {
	Session string `json:"s"`
}

func (h userHandlers) sessions(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "limit", "cursor")
	limit := int(q.int("limit", 50, 1, 100))
	var after sessionsCursor
	if q.has("cursor") && (!readCursor(q.str("cursor"), &after) || !isUUID(after.Session)) {
		q.faults.Add("cursor", "is none that this API gave")
	}
	if err := q.err(); err != nil {
		return err
	}
	sessions, more, err := h.users.Sessions(r.Context(), caller(r), after.Session, limit)
	if err != nil {
		return err
	}
	out := page{Items: make([]any, len(sessions))}
	for i, s := range sessions {
		out.Items[i] = openSessionOut{s.ID, s.CreatedAt, s.UsedAt, s.ExpiresAt, s.ID == caller(r).Session}
	}
	if more {
		next, err := writeCursor(sessionsCursor{sessions[len(sessions)-1].ID})
		if err != nil {
			return err
		}
		out.Next = &next
	}
	return reply(w, http.StatusOK, out)
}

func (h userHandlers) endSession(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	if err := h.users.EndSession(r.Context(), caller(r), param(r, "id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
