package scores

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lib/pq"

	"plaudit/shared/postgres"
	"plaudit/shared/score"
)

// playersQuery returns the query of a page and its parameters, and no query if the
// filter selects only hidden players, who must not be shown. Each part of it is a
// range of an index: of ids, of the beginnings of names, of a category's value, or of
// one status other than ranked. The indexes hold what the page is sorted by and the
// hidden status, so the rows are read for the page only.
func playersQuery(board string, f score.PlayerFilter, c *score.Category, hidden bool, after *score.PlayerPlace, limit int) (string, []any) {
	var a arguments
	key, cond := `''::text`, `p.board = (SELECT no FROM boards WHERE id = `+a.add(board)+`)`
	if f.Search != "" {
		key = `(lower(p.display_name) COLLATE "C")`
		cond += ` AND p.display_name IS NOT NULL AND ` + key + ` LIKE lower(` + a.add(postgres.LikePrefix(f.Search)) + `::text)`
	}
	if c != nil {
		cond += fmt.Sprintf(` AND p.cat%d = %s::text`, c.No, a.add(c.Value))
	}
	if !hidden {
		cond += ` AND p.status <> 'hidden'`
	}
	switch {
	case after == nil:
	case f.Search != "":
		cond += ` AND (` + key + `, p.id) > (` + a.add(after.Name) + `::text, ` + a.add(after.ID) + `::text)`
	default:
		cond += ` AND p.id > ` + a.add(after.ID) + `::text`
	}
	statuses := []string{``}
	switch {
	case slices.Contains(f.Statuses, score.Ranked):
		statuses = []string{` AND p.status = ANY (` + a.add(pq.Array(f.Statuses)) + `::text[])`}
	case len(f.Statuses) > 0:
		statuses = nil
		for _, s := range f.Statuses {
			if hidden || s != score.Hidden {
				statuses = append(statuses, ` AND p.status = `+a.add(string(s))+`::text AND p.status <> 'ranked'`)
			}
		}
		if statuses == nil {
			return ``, nil
		}
	}
	n := a.add(limit) + `::bigint`
	order := `p.id`
	if f.Search != "" {
		order = key + `, p.id`
	}
	var parts []string
	for _, status := range statuses {
		parts = append(parts, `(SELECT p.board, p.id, `+key+` AS key FROM players p WHERE `+cond+status+` ORDER BY `+order+` LIMIT `+n+`)`)
	}
	return `
		WITH page AS MATERIALIZED (
			SELECT * FROM (` + strings.Join(parts, ` UNION ALL `) + `) f ORDER BY key, id LIMIT ` + n + `
		)
		SELECT p.*, page.key
		FROM page
		CROSS JOIN LATERAL (SELECT ` + playerColumns + ` FROM players p WHERE p.board = page.board AND p.id = page.id LIMIT 1) p
		ORDER BY page.key, page.id`, a
}

// Players implements score.Lists.
func (s *Store) Players(ctx context.Context, board string, f score.PlayerFilter, c *score.Category, hidden bool, after *score.PlayerPlace, limit int) ([]score.PlacedPlayer, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	query, args := playersQuery(board, f, c, hidden, after, limit)
	if query == "" {
		return nil, nil
	}
	var rows []playerRow
	if err := s.db.SelectContext(ctx, &rows, query, args...); err != nil {
		return nil, postgres.Wrap(fmt.Errorf("players of board %s: %w", board, err))
	}
	players := make([]score.PlacedPlayer, len(rows))
	for i, r := range rows {
		p, err := r.player(board)
		if err != nil {
			return nil, err
		}
		players[i] = score.PlacedPlayer{Player: p, Place: score.PlayerPlace{Name: r.Key, ID: r.ID}}
	}
	return players, nil
}

// categoriesQuery returns the query of a page and its parameters, and no query if no
// category is left. Of each category it reads one index entry a value, to find the
// values of the page, and then the index entries of these values, to count them.
func categoriesQuery(b score.Board, name string, hidden bool, after *score.CategoryPlace, limit int) (string, []any) {
	var a arguments
	of := `p.board = (SELECT no FROM boards WHERE id = ` + a.add(b.ID) + `)`
	if !hidden {
		of += ` AND p.status <> 'hidden'`
	}
	n := a.add(limit) + `::bigint`
	var lists, parts, counts []string
	for i, category := range b.Categories {
		no := i + 1
		if name != "" && name != category || after != nil && no < after.No {
			continue
		}
		column, list := fmt.Sprintf(`p.cat%d`, no), fmt.Sprintf(`list%d`, no)
		next := func(cond string) string {
			return `SELECT ` + column + ` FROM players p WHERE ` + of + ` AND ` + column + cond + ` ORDER BY ` + column + ` LIMIT 1`
		}
		first := ` IS NOT NULL`
		if after != nil && no == after.No {
			first = ` > ` + a.add(after.Value) + `::text`
		}
		lists = append(lists, list+` (value, n) AS (
			SELECT (`+next(first)+`), 1::bigint
			UNION ALL
			SELECT (`+next(` > l.value`)+`), l.n + 1 FROM `+list+` l WHERE l.value IS NOT NULL AND l.n < `+n+`
		)`)
		parts = append(parts, fmt.Sprintf(`SELECT %d AS no, value FROM %s WHERE value IS NOT NULL`, no, list))
		counts = append(counts, fmt.Sprintf(`WHEN %d THEN (SELECT count(*) FROM players p WHERE %s AND %s = f.value)`, no, of, column))
	}
	if lists == nil {
		return ``, nil
	}
	return `
		WITH RECURSIVE ` + strings.Join(lists, `, `) + `
		SELECT f.no, f.value, CASE f.no ` + strings.Join(counts, ` `) + ` END AS players
		FROM (SELECT * FROM (` + strings.Join(parts, ` UNION ALL `) + `) p ORDER BY no, value LIMIT ` + n + `) f
		ORDER BY f.no, f.value`, a
}

// Categories implements score.Lists.
func (s *Store) Categories(ctx context.Context, b score.Board, name string, hidden bool, after *score.CategoryPlace, limit int) ([]score.CategoryCount, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	query, args := categoriesQuery(b, name, hidden, after, limit)
	if query == "" {
		return nil, nil
	}
	var rows []struct {
		No      int
		Value   string
		Players int64
	}
	if err := s.db.SelectContext(ctx, &rows, query, args...); err != nil {
		return nil, postgres.Wrap(fmt.Errorf("categories of board %s: %w", b.ID, err))
	}
	counts := make([]score.CategoryCount, len(rows))
	for i, r := range rows {
		counts[i] = score.CategoryCount{Category: score.Category{Name: b.Categories[r.No-1], Value: r.Value, No: r.No}, Players: r.Players}
	}
	return counts, nil
}
