package users

import (
	"net/http"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/id"
	"plaudit/shared/text"
	"plaudit/shared/user"
	"plaudit/shared/web"
)

// userOut is the API's `user`, for the account's owner, for staff and for notify.
type userOut struct {
	ID            string          `json:"id"`
	Email         string          `json:"email"`
	EmailVerified bool            `json:"email_verified"`
	NewEmail      *string         `json:"new_email"` // asked for and not confirmed
	DisplayName   string          `json:"display_name"`
	Role          access.Role     `json:"role"`
	Locale        string          `json:"locale"`
	TimeZone      string          `json:"time_zone"`
	Country       *string         `json:"country"`
	Mail          map[string]bool `json:"mail"`
	MailState     *string         `json:"mail_state"` // null: the address gets mail
	CreatedAt     time.Time       `json:"created_at"`
	FormerEmail   string          `json:"former_email,omitempty"` // for notify alone
}

type emailChangeIn struct {
	Email   string `json:"email"`
	Current string `json:"current_password"`
}

// profileOut is the public part of an account.
type profileOut struct {
	ID          string  `json:"id"`
	DisplayName string  `json:"display_name"`
	Country     *string `json:"country"`
}

func newUserOut(u user.User) userOut {
	return userOut{u.ID, u.Email, u.EmailVerified, web.OrNull(u.NewEmail), u.DisplayName, u.Role, u.Locale, u.TimeZone, web.OrNull(u.Country), u.Mail, web.OrNull(string(u.MailState)), u.CreatedAt, ""}
}

func newProfileOut(u user.User) profileOut {
	return profileOut{u.ID, u.DisplayName, web.OrNull(u.Country)}
}

type signUpIn struct {
	Email       string               `json:"email"`
	Password    string               `json:"password"`
	DisplayName string               `json:"display_name"`
	Locale      web.Optional[string] `json:"locale"`
	TimeZone    web.Optional[string] `json:"time_zone"`
	Country     web.Optional[string] `json:"country"`
}

func (h handlers) signUp(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Decode[signUpIn](r)
	if err != nil {
		return err
	}
	account := user.SignUp{Email: in.Email, Password: in.Password, DisplayName: in.DisplayName}
	// Null means none, which is valid for a country only. For the other fields it is
	// as wrong as the empty string, which is Value's content then.
	if in.Locale.Set {
		account.Locale = &in.Locale.Value
	}
	if in.TimeZone.Set {
		account.TimeZone = &in.TimeZone.Value
	}
	if in.Country.Set && !in.Country.Null {
		account.Country = &in.Country.Value
	}
	u, err := h.users.SignUp(r.Context(), web.ClientNetwork(r), account)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/users/"+u.ID)
	return web.Reply(w, http.StatusCreated, newUserOut(u))
}

func (h handlers) me(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	u, err := h.users.Me(r.Context(), web.Caller(r))
	if err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, newUserOut(u))
}

func (h handlers) get(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	u, whole, err := h.users.Get(r.Context(), web.Caller(r), web.Param(r, "id"))
	if err != nil {
		return err
	}
	if !whole {
		return web.Reply(w, http.StatusOK, newProfileOut(u))
	}
	out := newUserOut(u)
	if web.Caller(r).Notifies() {
		out.FormerEmail = u.FormerEmail
	}
	return web.Reply(w, http.StatusOK, out)
}

func (h handlers) setRole(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Decode[struct {
		Role string `json:"role"`
	}](r)
	if err != nil {
		return err
	}
	u, err := h.users.SetRole(r.Context(), web.Caller(r), web.Param(r, "id"), access.Role(in.Role))
	if err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, newUserOut(u))
}

func (h handlers) patchMe(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Decode[struct {
		DisplayName web.Optional[string] `json:"display_name"`
		Locale      web.Optional[string] `json:"locale"`
		TimeZone    web.Optional[string] `json:"time_zone"`
		Country     web.Optional[string] `json:"country"`
		Mail        map[string]bool      `json:"mail"`
	}](r)
	if err != nil {
		return err
	}
	// Null clears a country. For the other fields it is as wrong as the empty string,
	// which is Value's content then. An empty country must not count as null.
	if in.Country.Set && !in.Country.Null && in.Country.Value == "" {
		return fault.Field(fault.BadRequest, "country", text.CountryForm+", or null for none")
	}
	changes := user.Changes{Mail: in.Mail}
	for _, f := range []struct {
		from web.Optional[string]
		to   **string
	}{{in.DisplayName, &changes.DisplayName}, {in.Locale, &changes.Locale}, {in.TimeZone, &changes.TimeZone}, {in.Country, &changes.Country}} {
		if f.from.Set {
			*f.to = &f.from.Value
		}
	}
	u, err := h.users.Update(r.Context(), web.Caller(r), changes)
	if err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, newUserOut(u))
}

func (h handlers) changePassword(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Decode[struct {
		Current  string `json:"current_password"`
		Password string `json:"password"`
	}](r)
	if err != nil {
		return err
	}
	u, err := h.users.ChangePassword(r.Context(), web.ClientNetwork(r), web.Caller(r), in.Current, in.Password)
	if err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, newUserOut(u))
}

// changeEmail answers with the account, which stays at its present address until the new
// one is confirmed.
func (h handlers) changeEmail(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Decode[emailChangeIn](r)
	if err != nil {
		return err
	}
	u, err := h.users.ChangeAddress(r.Context(), web.ClientNetwork(r), web.Caller(r), in.Current, in.Email)
	if err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, newUserOut(u))
}

func (h handlers) erase(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	if err := h.users.Erase(r.Context(), web.Caller(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxSearch is the maximum length of a search text, in characters.
const maxSearch = 254

func (h handlers) list(w http.ResponseWriter, r *http.Request) error {
	q := web.ReadQuery(r, "q", "email", "limit", "cursor")
	if q.Has("email") {
		return h.find(w, r, q)
	}
	l := web.ReadList(q, "users", []string{"q"}, id.UUID)
	limit, search := q.Limit(100), ""
	if q.Value("q") != "" {
		search = q.Short("q", maxSearch)
	}
	if err := l.Err(); err != nil {
		return err
	}
	users, more, err := h.users.List(r.Context(), web.Caller(r), search, afterOf(l), limit)
	if err != nil {
		return err
	}
	items := make([]userOut, len(users))
	for i, u := range users {
		items[i] = newUserOut(u)
	}
	return replyIDs(w, l, items, func(u userOut) string { return u.ID }, more)
}

// find writes a list with one item or none.
func (h handlers) find(w http.ResponseWriter, r *http.Request, q *web.Query) error {
	email := q.Text("email")
	for _, other := range []string{"q", "limit", "cursor"} {
		if q.Has(other) {
			q.Faults.Add(other, "must not be combined with email, which finds at most one account")
		}
	}
	if err := q.Err(); err != nil {
		return err
	}
	var items []any
	u, whole, err := h.users.Find(r.Context(), web.Caller(r), email)
	switch {
	case fault.Is(err, fault.NotFound):
	case err != nil:
		return err
	case whole:
		items = append(items, newUserOut(u))
	default:
		items = append(items, newProfileOut(u))
	}
	page, err := web.NewPage(&web.List[string]{}, items, nil, nil)
	if err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, page)
}
