package users

import (
	"net/http"
	"time"

	"plaudit/shared/id"
	"plaudit/shared/user"
	"plaudit/shared/web"
)

type sessionOut struct {
	AccessToken  string  `json:"access_token"`
	TokenType    string  `json:"token_type"`
	ExpiresIn    int     `json:"expires_in"` // seconds
	RefreshToken string  `json:"refresh_token"`
	User         userOut `json:"user"`
}

// loginOut is the response of a login, which alone has the device's token.
type loginOut struct {
	AccessToken  string  `json:"access_token"`
	TokenType    string  `json:"token_type"`
	ExpiresIn    int     `json:"expires_in"` // seconds
	RefreshToken string  `json:"refresh_token"`
	DeviceToken  string  `json:"device_token"`
	User         userOut `json:"user"`
}

func newLoginOut(s user.Session) loginOut {
	out := newSessionOut(s)
	return loginOut{out.AccessToken, out.TokenType, out.ExpiresIn, out.RefreshToken, s.DeviceToken, out.User}
}

func newSessionOut(s user.Session) sessionOut {
	return sessionOut{s.AccessToken, "Bearer", int(user.AccessLifetime.Seconds()), s.RefreshToken, newUserOut(s.User)}
}

func (h handlers) login(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Decode[struct {
		Email       string `json:"email"`
		Password    string `json:"password"`
		DeviceToken string `json:"device_token"`
	}](r)
	if err != nil {
		return err
	}
	s, err := h.users.Login(r.Context(), web.ClientNetwork(r), user.LogIn{Email: in.Email, Password: in.Password, DeviceToken: in.DeviceToken})
	if err != nil {
		return err
	}
	return web.Reply(w, http.StatusCreated, newLoginOut(s))
}

func (h handlers) refresh(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Decode[struct {
		RefreshToken string `json:"refresh_token"`
	}](r)
	if err != nil {
		return err
	}
	s, err := h.users.Refresh(r.Context(), web.ClientNetwork(r), in.RefreshToken)
	if err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, newSessionOut(s))
}

func (h handlers) logout(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	if err := h.users.Logout(r.Context(), web.Caller(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type openSessionOut struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	UsedAt    time.Time `json:"used_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Current   bool      `json:"current"` // the one that the request's token belongs to
}

func (h handlers) sessions(w http.ResponseWriter, r *http.Request) error {
	q := web.ReadQuery(r, "limit", "cursor")
	l := web.ReadList(q, "sessions", nil, id.UUID)
	limit := q.Limit(100)
	if err := l.Err(); err != nil {
		return err
	}
	sessions, more, err := h.users.Sessions(r.Context(), web.Caller(r), afterOf(l), limit)
	if err != nil {
		return err
	}
	items := make([]openSessionOut, len(sessions))
	for i, s := range sessions {
		items[i] = openSessionOut{s.ID, s.CreatedAt, s.UsedAt, s.ExpiresAt, s.ID == web.Caller(r).Session}
	}
	return replyIDs(w, l, items, func(s openSessionOut) string { return s.ID }, more)
}

func (h handlers) endSession(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	if err := h.users.EndSession(r.Context(), web.Caller(r), web.Param(r, "id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
