package users

import (
	"bufio"
	"io"
	"net/http"

	"plaudit/shared/web"
)

// verificationIn is the body of a request for a link.
type verificationIn struct {
	Email string `json:"email"`
}

// verificationOut names no account: the link may have been opened by anybody who
// reads the mailbox.
type verificationOut struct {
	EmailVerified bool `json:"email_verified"`
}

// requestVerification answers the same for every address, so that it tells nobody
// which addresses have accounts.
func (h handlers) requestVerification(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Decode[verificationIn](r)
	if err != nil {
		return err
	}
	if err := h.users.RequestVerification(r.Context(), web.ClientNetwork(r), in.Email); err != nil {
		return err
	}
	return web.Reply(w, http.StatusAccepted, struct{}{})
}

func (h handlers) verifyAddress(w http.ResponseWriter, r *http.Request) error {
	if err := noFields(r); err != nil {
		return err
	}
	if err := h.users.VerifyAddress(r.Context(), web.ClientNetwork(r), web.Param(r, "token")); err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, verificationOut{true})
}

// noFields returns a fault unless the request has no query parameters, and either no
// body or an empty JSON object.
func noFields(r *http.Request) error {
	body := bufio.NewReader(r.Body)
	if _, err := body.Peek(1); err == io.EOF {
		return web.NoQuery(r)
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{body, r.Body}
	_, err := web.Decode[struct{}](r)
	return err
}
