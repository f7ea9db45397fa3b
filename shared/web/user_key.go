package web

import (
	"net/http"
	"time"

	"plaudit/shared/user"
)

// keyOut is an API key as its owner sees it. Boards null means every board of
// its owner, ExpiresAt null never.
type keyOut struct {
	ID         string     `json:"id"`
	Key        string     `json:"key,omitempty"` // the secret, when it is made and never again
	Name       string     `json:"name"`
	Scopes     []string   `json:"scopes"`
	Boards     []string   `json:"boards"`
	ExpiresAt  *time.Time `json:"expires_at"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

func newKeyOut(k user.Key, secret string) keyOut {
	return keyOut{k.ID, secret, k.Name, k.Scopes, k.Boards, k.ExpiresAt, k.CreatedAt, k.LastUsedAt}
}

func (h userHandlers) makeKey(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	in, err := decode[struct {
		Name      string              `json:"name"`
		Scopes    []string            `json:"scopes"`
		Boards    Optional[[]string]  `json:"boards"`
		ExpiresAt Optional[time.Time] `json:"expires_at"`
	}](r)
	if err != nil {
		return err
	}
	// Null says what absence says, as the key itself does afterwards.
	asked := user.NewKey{Name: in.Name, Scopes: in.Scopes, ExpiresAt: in.ExpiresAt.orNil()}
	if in.Boards.Set && !in.Boards.Null {
		asked.Boards = in.Boards.Value
	}
	k, secret, err := h.users.MakeKey(r.Context(), caller(r), asked)
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, newKeyOut(k, secret))
}

// keysCursor is where a page of an owner's keys ended.
type keysCursor struct {
	Key string `json:"k"`
}

func (h userHandlers) keysOfCaller(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "limit", "cursor")
	limit := int(q.int("limit", 50, 1, 100))
	var after keysCursor
	if q.has("cursor") && (!readCursor(q.str("cursor"), &after) || !isUUID(after.Key)) {
		q.faults.Add("cursor", "is none that this API gave")
	}
	if err := q.err(); err != nil {
		return err
	}
	keys, more, err := h.users.Keys(r.Context(), caller(r), after.Key, limit)
	if err != nil {
		return err
	}
	out := page{Items: make([]any, len(keys))}
	for i, k := range keys {
		out.Items[i] = newKeyOut(k, "")
	}
	if more {
		next, err := writeCursor(keysCursor{keys[len(keys)-1].ID})
		if err != nil {
			return err
		}
		out.Next = &next
	}
	return reply(w, http.StatusOK, out)
}

func (h userHandlers) deleteKey(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	if err := h.users.DeleteKey(r.Context(), caller(r), param(r, "id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// exchange gives an access token for an API key.
func (h userHandlers) exchange(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	in, err := decode[struct {
		Key string `json:"key"`
	}](r)
	if err != nil {
		return err
	}
	t, err := h.users.Exchange(r.Context(), clientNetwork(r), in.Key)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"` // seconds
	}{t.AccessToken, "Bearer", int(t.Lifetime.Seconds())})
}
