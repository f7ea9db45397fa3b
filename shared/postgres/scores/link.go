package scores

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"plaudit/shared/postgres"
	"plaudit/shared/score"
)

// linksOfQuery returns the query of a page and its parameters. It sorts all of the
// user's links: they are few, because few proposals a day may reach a user.
func linksOfQuery(user string, after *score.LinkPlace, limit int) (string, []any) {
	var a arguments
	query := `
		SELECT b.id AS board, b.title, p.id AS player, p.link_state AS state, p.proposed_by, p.proposed_at
		FROM players p
		CROSS JOIN LATERAL (SELECT b.id, b.title, b.state FROM boards b WHERE b.no = p.board LIMIT 1) b
		WHERE p.proposed_user = ` + a.add(user) + `::text AND b.state <> 'draft'`
	if after != nil {
		query += ` AND (b.id, p.id) > (` + a.add(after.Board) + `::text, ` + a.add(after.Player) + `::text)`
	}
	return query + ` ORDER BY b.id, p.id LIMIT ` + a.add(limit), a
}

// LinksOf implements score.Lists.
func (s *Store) LinksOf(ctx context.Context, user string, after *score.LinkPlace, limit int) ([]score.Link, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	query, args := linksOfQuery(user, after, limit)
	var rows []struct {
		Board, Title, Player string
		State                score.LinkState
		ProposedBy           *string   `db:"proposed_by"`
		ProposedAt           time.Time `db:"proposed_at"`
	}
	if err := s.db.SelectContext(ctx, &rows, query, args...); err != nil {
		return nil, postgres.Wrap(fmt.Errorf("links of user %s: %w", user, err))
	}
	links := make([]score.Link, len(rows))
	for i, r := range rows {
		links[i] = score.Link{Board: r.Board, Title: r.Title, Player: r.Player, State: r.State, ProposedBy: r.ProposedBy, ProposedAt: r.ProposedAt.UTC()}
	}
	return links, nil
}

// AcceptLink implements score.Registry.
func (s *Store) AcceptLink(ctx context.Context, board, player, user, actor string) (l score.Link, ok bool, err error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var doc []byte
	err = change(ctx, s.db, &doc, `SELECT accept_link_v1($1, $2, $3, $4, $5)`, board, player, user, actor, postgres.TraceParent(ctx))
	if err != nil {
		return l, false, postgres.Wrap(fmt.Errorf("accept the link to player %s of board %s: %w", player, board, err))
	}
	if doc == nil {
		return l, false, nil
	}
	var out struct {
		score.Link
		Wake bool
	}
	if err := json.Unmarshal(doc, &out); err != nil {
		return l, false, fmt.Errorf("read a link: %w", err)
	}
	s.wake(ctx, out.Wake)
	l = out.Link
	l.ProposedAt = l.ProposedAt.UTC()
	return l, true, nil
}

// EndLink implements score.Registry.
func (s *Store) EndLink(ctx context.Context, board, player, user, actor string) (ok bool, err error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var out struct{ Known, Wake bool }
	err = change(ctx, s.db, &out, `SELECT known, wake FROM end_link_v2($1, $2, $3, $4, $5)`, board, player, user, actor, postgres.TraceParent(ctx))
	if err != nil {
		return false, postgres.Wrap(fmt.Errorf("end the link to player %s of board %s: %w", player, board, err))
	}
	s.wake(ctx, out.Wake)
	return out.Known, nil
}
