package users

import (
	"net/http"

	"plaudit/shared/web"
)

// resetRequestIn is the body of a request for a link that resets a password.
type resetRequestIn struct {
	Email string `json:"email"`
}

type resetIn struct {
	Password string `json:"password"`
}

// requestReset answers the same for every address, so that it tells nobody which
// addresses have accounts.
func (h handlers) requestReset(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Decode[resetRequestIn](r)
	if err != nil {
		return err
	}
	if err := h.users.RequestReset(r.Context(), web.ClientNetwork(r), in.Email); err != nil {
		return err
	}
	return web.Reply(w, http.StatusAccepted, struct{}{})
}

// resetPassword answers with an empty object. The person who opened the link logs in with
// the new password, if they know the address.
func (h handlers) resetPassword(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Decode[resetIn](r)
	if err != nil {
		return err
	}
	if err := h.users.ResetPassword(r.Context(), web.ClientNetwork(r), web.Param(r, "token"), in.Password); err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, struct{}{})
}
