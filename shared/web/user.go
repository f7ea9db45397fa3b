package web

import (
	"net/http"
	"net/netip"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/user"
)

// Users serves accounts and sessions, and what is about the API as a whole.
// keys is the JSON Web Key Set that it gives to everybody: public keys only.
func Users(users *user.Service, keys string) map[string]Handler {
	h := userHandlers{users, keys, OpenAPI()}
	return map[string]Handler{
		"POST /v1/users":             h.signUp,
		"GET /v1/users":              h.list,
		"GET /v1/users/me":           h.me,
		"PATCH /v1/users/me":         h.patchMe,
		"DELETE /v1/users/me":        h.erase,
		"PUT /v1/users/me/password":  h.putPassword,
		"GET /v1/users/{id}":         h.get,
		"PATCH /v1/users/{id}":       h.patch,
		"POST /v1/sessions":          h.login,
		"GET /v1/sessions":           h.sessions,
		"DELETE /v1/sessions":        h.logout,
		"DELETE /v1/sessions/{id}":   h.endSession,
		"POST /v1/sessions/refresh":  h.refresh,
		"POST /v1/keys":              h.makeKey,
		"GET /v1/keys":               h.keysOfCaller,
		"DELETE /v1/keys/{id}":       h.deleteKey,
		"POST /v1/tokens":            h.exchange,
		"GET /v1/openapi.json":       h.document,
		"GET /.well-known/jwks.json": h.jwks,
		"GET /healthz":               h.healthz,
		"GET /readyz":                h.readyz,
	}
}

type userHandlers struct {
	users   *user.Service
	keys    string
	openAPI []byte
}

// userOut is the API's `user`, for the account's owner and for staff.
type userOut struct {
	ID            string          `json:"id"`
	Email         string          `json:"email"`
	EmailVerified bool            `json:"email_verified"`
	DisplayName   string          `json:"display_name"`
	Role          access.Role     `json:"role"`
	Locale        string          `json:"locale"`
	TimeZone      string          `json:"time_zone"`
	Country       *string         `json:"country"`
	Mail          map[string]bool `json:"mail"`
	CreatedAt     time.Time       `json:"created_at"`
}

// profileOut is what everybody may see of an account.
type profileOut struct {
	ID          string  `json:"id"`
	DisplayName string  `json:"display_name"`
	Country     *string `json:"country"`
}

func newUserOut(u user.User) userOut {
	return userOut{u.ID, u.Email, u.EmailVerified, u.DisplayName, u.Role, u.Locale, u.TimeZone, orNull(u.Country), u.Mail, u.CreatedAt}
}

func newProfileOut(u user.User) profileOut {
	return profileOut{u.ID, u.DisplayName, orNull(u.Country)}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

type sessionOut struct {
	AccessToken  string  `json:"access_token"`
	TokenType    string  `json:"token_type"`
	ExpiresIn    int     `json:"expires_in"` // seconds
	RefreshToken string  `json:"refresh_token"`
	User         userOut `json:"user"`
}

func newSessionOut(s user.Session) sessionOut {
	return sessionOut{s.AccessToken, "Bearer", int(user.AccessLifetime.Seconds()), s.RefreshToken, newUserOut(s.User)}
}

type signUpIn struct {
	Email       string           `json:"email"`
	Password    string           `json:"password"`
	DisplayName string           `json:"display_name"`
	Locale      Optional[string] `json:"locale"`
	TimeZone    Optional[string] `json:"time_zone"`
	Country     Optional[string] `json:"country"`
}

func (h userHandlers) signUp(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	in, err := decode[signUpIn](r)
	if err != nil {
		return err
	}
	account := user.SignUp{Email: in.Email, Password: in.Password, DisplayName: in.DisplayName}
	// Null says "none", which only a country may be; for the others it is as
	// wrong as the empty string that Value then holds.
	if in.Locale.Set {
		account.Locale = &in.Locale.Value
	}
	if in.TimeZone.Set {
		account.TimeZone = &in.TimeZone.Value
	}
	if in.Country.Set && !in.Country.Null {
		account.Country = &in.Country.Value
	}
	u, err := h.users.SignUp(r.Context(), clientNetwork(r), account)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/users/"+u.ID)
	return reply(w, http.StatusCreated, newUserOut(u))
}

func (h userHandlers) login(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	in, err := decode[struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}](r)
	if err != nil {
		return err
	}
	s, err := h.users.Login(r.Context(), clientNetwork(r), in.Email, in.Password)
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, newSessionOut(s))
}

func (h userHandlers) refresh(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	in, err := decode[struct {
		RefreshToken string `json:"refresh_token"`
	}](r)
	if err != nil {
		return err
	}
	s, err := h.users.Refresh(r.Context(), in.RefreshToken)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, newSessionOut(s))
}

func (h userHandlers) logout(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	if err := h.users.Logout(r.Context(), caller(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h userHandlers) me(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	u, err := h.users.Me(r.Context(), caller(r))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, newUserOut(u))
}

func (h userHandlers) get(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	u, whole, err := h.users.Get(r.Context(), caller(r), param(r, "id"))
	if err != nil {
		return err
	}
	if whole {
		return reply(w, http.StatusOK, newUserOut(u))
	}
	return reply(w, http.StatusOK, newProfileOut(u))
}

func (h userHandlers) patch(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	in, err := decode[struct {
		Role string `json:"role"`
	}](r)
	if err != nil {
		return err
	}
	u, err := h.users.SetRole(r.Context(), caller(r), param(r, "id"), access.Role(in.Role))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, newUserOut(u))
}

// jwks may be kept for as long as it takes from giving everybody a new key to
// signing with it.
func (h userHandlers) jwks(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/jwk-set+json") // RFC 7517, 8.5.2
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, err := w.Write([]byte(h.keys))
	return err
}

// healthz says that the process serves; it asks nobody, so that a database
// that is away does not get every task killed.
func (h userHandlers) healthz(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (h userHandlers) readyz(w http.ResponseWriter, r *http.Request) error {
	if err := h.users.Ready(r.Context()); err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

// clientNetwork is whose attempts the limits count: the client's IPv4 address,
// or the /64 that an IPv6 client can pick its addresses from. RemoteAddr is the
// address that the load balancer saw, see boot.Serve.
func clientNetwork(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "unknown" // they share one limit
	}
	ip := from.Addr().Unmap()
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip.WithZone(""), 64).Masked().String()
}
