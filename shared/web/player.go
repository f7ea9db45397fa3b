package web

import (
	"net/http"

	"plaudit/shared/score"
)

// playerIn is what a client may say of a player. What is absent stays, null
// clears.
type playerIn struct {
	DisplayName Optional[string]                      `json:"display_name"`
	Country     Optional[string]                      `json:"country"`
	Attributes  Optional[map[string]Optional[string]] `json:"attributes"`
	User        Optional[string]                      `json:"user"`
	Status      Optional[score.Status]                `json:"status"`
	Note        Optional[string]                      `json:"note"`
}

func (h boardHandlers) changePlayer(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	in, faults, err := decodeAll[playerIn](r)
	if err != nil {
		return err
	}
	change := score.PlayerChange{
		Profile: *profileIn{in.DisplayName, in.Country, in.Attributes, in.User}.profile(),
		Status:  value(&faults, "status", in.Status),
		Note:    score.Text{Set: in.Note.Set, Value: in.Note.orNil()},
	}
	board, id := param(r, "board"), param(r, "player")
	p, made, err := h.boards.ChangePlayer(r.Context(), caller(r), board, id, faults, change)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
	}
	return reply(w, status, p)
}

func (h readHandlers) player(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r).err(); err != nil {
		return err
	}
	p, err := h.reader.Player(r.Context(), caller(r), param(r, "board"), param(r, "player"))
	if err != nil {
		return err
	}
	return answer(w, r, p)
}
