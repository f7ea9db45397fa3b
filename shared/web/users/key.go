package users

import (
	"net/http"
	"time"

	"plaudit/shared/id"
	"plaudit/shared/user"
	"plaudit/shared/web"
)

// keyOut is an API key as its owner sees it.
type keyOut struct {
	ID         string     `json:"id"`
	Key        string     `json:"key,omitempty"` // the secret, only in the response that creates the key
	Name       string     `json:"name"`
	Scopes     []string   `json:"scopes"`
	Boards     []string   `json:"boards"`     // null: every board of its owner
	ExpiresAt  *time.Time `json:"expires_at"` // null: never
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

func newKeyOut(k user.Key, secret string) keyOut {
	return keyOut{k.ID, secret, k.Name, k.Scopes, k.Boards, k.ExpiresAt, k.CreatedAt, k.LastUsedAt}
}

func (h handlers) makeKey(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Decode[struct {
		Name      string                  `json:"name"`
		Scopes    []string                `json:"scopes"`
		Boards    web.Optional[[]string]  `json:"boards"`
		ExpiresAt web.Optional[time.Time] `json:"expires_at"`
	}](r)
	if err != nil {
		return err
	}
	// Null means the same as an absent field, as in the key's own form.
	asked := user.NewKey{Name: in.Name, Scopes: in.Scopes, ExpiresAt: in.ExpiresAt.OrNil()}
	if in.Boards.Set && !in.Boards.Null {
		asked.Boards = in.Boards.Value
	}
	k, secret, err := h.users.MakeKey(r.Context(), web.Caller(r), asked)
	if err != nil {
		return err
	}
	return web.Reply(w, http.StatusCreated, newKeyOut(k, secret))
}

func (h handlers) keys(w http.ResponseWriter, r *http.Request) error {
	q := web.ReadQuery(r, "limit", "cursor")
	l := web.ReadList(q, "keys", nil, id.UUID)
	limit := q.Limit(100)
	if err := l.Err(); err != nil {
		return err
	}
	keys, more, err := h.users.Keys(r.Context(), web.Caller(r), afterOf(l), limit)
	if err != nil {
		return err
	}
	items := make([]keyOut, len(keys))
	for i, key := range keys {
		items[i] = newKeyOut(key, "")
	}
	return replyIDs(w, l, items, func(key keyOut) string { return key.ID }, more)
}

func (h handlers) deleteKey(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	if err := h.users.DeleteKey(r.Context(), web.Caller(r), web.Param(r, "id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// exchangeKey writes an access token for an API key.
func (h handlers) exchangeKey(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Decode[struct {
		Key string `json:"key"`
	}](r)
	if err != nil {
		return err
	}
	t, err := h.users.Exchange(r.Context(), web.ClientNetwork(r), in.Key)
	if err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"` // seconds
	}{t.AccessToken, "Bearer", int(t.Lifetime.Seconds())})
}
