package users

import (
	"net/http"

	"plaudit/shared/user"
	"plaudit/shared/web"
)

// mailLinkIn is the body of a request for a link.
type mailLinkIn struct {
	Kind string               `json:"kind"`
	Type web.Optional[string] `json:"type"`
}

// mailLinkOut has the link, which is a secret, and the address to send it to.
type mailLinkOut struct {
	URL   string `json:"url"`
	Email string `json:"email"`
}

func (h handlers) makeMailLink(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Decode[mailLinkIn](r)
	if err != nil {
		return err
	}
	link, err := h.users.MailLink(r.Context(), web.Param(r, "id"), user.MailLinkKind(in.Kind), in.Type.Value)
	if err != nil {
		return err
	}
	return web.Reply(w, http.StatusCreated, mailLinkOut(link))
}

// mailStateIn is the body of a report about mail.
type mailStateIn struct {
	State   string `json:"state"`
	Address string `json:"address"` // tag of the mail; absent: whatever address it went to
}

type mailStateOut struct {
	MailState *string `json:"mail_state"`
}

func (h handlers) setMailState(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Decode[mailStateIn](r)
	if err != nil {
		return err
	}
	now, err := h.users.SetMailState(r.Context(), web.Caller(r), web.Param(r, "id"), in.Address, user.MailState(in.State))
	if err != nil {
		return err
	}
	out := mailStateOut{}
	if now != "" {
		out.MailState = (*string)(&now)
	}
	return web.Reply(w, http.StatusOK, out)
}
