package scores

import (
	"net/http"

	"plaudit/shared/score"
	"plaudit/shared/web"
)

// replyList writes a page of a list, as CSV if the client prefers it, else as JSON.
// show converts each item for JSON.
func replyList[T, P, Out any](w http.ResponseWriter, r *http.Request, l *web.List[P], page score.Page[T, P], s web.Sheet[T], show func(T) Out) error {
	if web.PrefersCSV(w, r) {
		return web.ReplyCSV(w, r, l, page.Items, page.Places, page.Next, s)
	}
	return replyPage(w, r, l, page, show)
}

var entrySheet = web.Sheet[score.NamedEntry]{
	Header: []string{
		"id", "board", "player", "display_name", "points", "reason", "note", "kind", "actor", "seq", "tiebreak", "occurred_at", "recorded_at",
		"batch", "reverses", "metadata",
	},
	Cells: func(e score.NamedEntry) []string {
		return []string{
			e.ID, e.Board, e.Player, web.TextCell(e.DisplayName), web.IntCell(e.Points), web.NoFormula(e.Reason), web.NoFormula(e.Note), string(e.Kind), e.Actor,
			web.IntCell(e.Seq), web.IntCell(e.Tiebreak), web.TimeCell(e.OccurredAt), web.TimeCell(e.RecordedAt), e.Batch, e.Reverses, web.NoFormulaJSON(e.Metadata),
		}
	},
}

// standingSheet returns the form of standings of a board with these categories.
func standingSheet(categories []string) web.Sheet[score.Standing] {
	return web.Sheet[score.Standing]{
		Header: withCategories([]string{"rank", "player", "display_name", "country", "score", "tiebreak", "reached_at"}, categories),
		Cells: func(s score.Standing) []string {
			rank := ""
			if s.Rank != nil {
				rank = web.IntCell(*s.Rank)
			}
			return withValues([]string{
				rank, s.Player, web.TextCell(s.DisplayName), web.TextCell(s.Country), web.IntCell(s.Score), web.IntCell(s.Tiebreak), web.TimeCell(s.ReachedAt),
			}, categories, s.Attributes)
		},
	}
}

// playerSheet returns the form of players of a board with these categories.
func playerSheet(categories []string) web.Sheet[score.Player] {
	return web.Sheet[score.Player]{
		Header: withCategories([]string{"board", "player", "display_name", "country", "user", "status", "note", "proposed_user", "link_state"}, categories),
		Cells: func(p score.Player) []string {
			return withValues([]string{
				p.Board, p.ID, web.TextCell(p.DisplayName), web.TextCell(p.Country), web.TextCell(p.User), string(p.Status), web.TextCell(p.Note),
				web.TextCell(p.ProposedUser), web.TextCell(p.LinkState),
			}, categories, p.Attributes)
		},
	}
}

var categorySheet = web.Sheet[score.CategoryCount]{
	Header: []string{"category", "name", "value", "players"},
	Cells: func(c score.CategoryCount) []string {
		return []string{web.NoFormula(c.String()), web.NoFormula(c.Name), web.NoFormula(c.Value), web.IntCell(c.Players)}
	},
}

// withCategories adds a column for each of a board's categories.
func withCategories(header, categories []string) []string {
	for _, name := range categories {
		header = append(header, web.NoFormula(name))
	}
	return header
}

// withValues adds a player's value of each category, empty if the player has none.
func withValues(cells, categories []string, attributes map[string]string) []string {
	for _, name := range categories {
		cells = append(cells, web.NoFormula(attributes[name]))
	}
	return cells
}
