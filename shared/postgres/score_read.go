package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"plaudit/shared/score"
)

// standingRow is a standing with its player.
type standingRow struct {
	Player      sql.NullString
	DisplayName *string `db:"display_name"`
	Country     *string
	Attributes  []byte
	Score       sql.NullInt64
	Tiebreak    sql.NullInt64
	ReachedAt   sql.NullTime `db:"reached_at"`
	Status      sql.NullString
	Rank        *int64
	Of          int64
}

func (r standingRow) standing() (score.Standing, error) {
	s := score.Standing{
		Player: r.Player.String, DisplayName: r.DisplayName, Country: r.Country, Score: r.Score.Int64, Tiebreak: r.Tiebreak.Int64,
		ReachedAt: r.ReachedAt.Time.UTC(), Status: score.Status(r.Status.String), Rank: r.Rank,
	}
	if err := json.Unmarshal(r.Attributes, &s.Attributes); err != nil {
		return score.Standing{}, fmt.Errorf("read the attributes of %s: %w", s.Player, err)
	}
	return s, nil
}

// tableStart is the place before every standing.
var tableStart = score.Place{Score: math.MinInt64, Tiebreak: math.MinInt64}

// tableQuery reads a page of a table and its ranks. $1 to $3 name the run of a
// period, $4 to $7 the keys after which the page begins, $8 is how many rows,
// $9 whether there are rows before them.
const tableQuery = `
	WITH period AS MATERIALIZED (
		SELECT p.no, p.board FROM periods p JOIN boards b ON b.no = p.board
		WHERE b.id = $1 AND p.name = $2 AND p.start_at = coalesce($3::timestamptz, '-infinity')
	), page AS MATERIALIZED (
		SELECT s.player, s.score, s.tiebreak, s.reached_at, s.status, s.key_score, s.key_tiebreak, s.key_reached
		FROM standings s
		WHERE s.period = (SELECT no FROM period) AND s.status = 'ranked'
		  AND (s.key_score, s.key_tiebreak, s.key_reached, s.player)
		    > ($4::bigint, $5::bigint, coalesce($6::timestamptz, '-infinity'), $7::text)
		ORDER BY s.key_score, s.key_tiebreak, s.key_reached, s.player
		LIMIT $8
	), first AS MATERIALIZED (
		SELECT f.key_score, f.key_tiebreak, f.key_reached,
			CASE WHEN $9::boolean THEN rank_above_v1((SELECT no FROM period), f.key_score, f.key_tiebreak, f.key_reached, '') ELSE 0 END AS better,
			CASE WHEN $9::boolean THEN rank_above_v1((SELECT no FROM period), f.key_score, f.key_tiebreak, f.key_reached, f.player) ELSE 0 END AS before
		FROM (SELECT key_score, key_tiebreak, key_reached, player FROM page
		      ORDER BY key_score, key_tiebreak, key_reached, player LIMIT 1) f
	), ranked AS (
		SELECT page.*,
			CASE WHEN (page.key_score, page.key_tiebreak, page.key_reached) = (first.key_score, first.key_tiebreak, first.key_reached)
				THEN 1 + first.better
				ELSE first.before + rank() OVER (ORDER BY page.key_score, page.key_tiebreak, page.key_reached) END AS rank
		FROM page CROSS JOIN first
	)
	SELECT r.player, p.display_name, p.country, p.attributes, r.score, r.tiebreak, r.reached_at, r.status, r.rank,
		coalesce((SELECT rank_of_v1(no) FROM period), 0) AS of
	FROM (SELECT) one
	LEFT JOIN ranked r ON true
	LEFT JOIN players p ON p.board = (SELECT board FROM period) AND p.id = r.player
	ORDER BY r.key_score, r.key_tiebreak, r.key_reached, r.player`

// Table implements score.Tables. It is one statement, so the ranks, the list
// and the number of all come from one snapshot: the page is a range of the
// index, ranks within it follow from the rank of its first row.
func (s *Scores) Table(ctx context.Context, b score.Board, span score.Span, after *score.Place, limit int) (score.Table, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	from := tableStart
	if after != nil {
		from = keys(b, *after)
	}
	var rows []standingRow
	err := s.db.SelectContext(ctx, &rows, tableQuery,
		b.ID, span.Name, instant(span.Start), from.Score, from.Tiebreak, instant(from.ReachedAt), from.Player, limit+1, after != nil)
	if err != nil {
		return score.Table{}, wrap(fmt.Errorf("table of board %s: %w", b.ID, err))
	}
	t := score.Table{Board: b.ID, Span: span, Of: rows[0].Of, Items: []score.Standing{}}
	for _, row := range rows {
		if !row.Player.Valid { // the table is empty, or the page
			break
		}
		if len(t.Items) == limit {
			t.More = true
			break
		}
		item, err := row.standing()
		if err != nil {
			return score.Table{}, err
		}
		t.Items = append(t.Items, item)
	}
	return t, nil
}

// keys gives a place by the keys that standings are sorted by; a zero
// ReachedAt stands for -infinity.
func keys(b score.Board, p score.Place) score.Place {
	if b.Order == score.Desc {
		p.Score, p.Tiebreak = -p.Score, -p.Tiebreak
	}
	if b.Ties == score.Shared {
		p.ReachedAt = time.Time{}
	}
	return p
}

// Standing implements score.Tables.
func (s *Scores) Standing(ctx context.Context, b score.Board, span score.Span, player string) (score.Standing, int64, bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var row standingRow
	err := s.db.GetContext(ctx, &row, `
		SELECT s.player, p.display_name, p.country, p.attributes, s.score, s.tiebreak, s.reached_at, s.status,
			CASE WHEN s.status = 'ranked'
				THEN 1 + rank_above_v1(s.period, s.key_score, s.key_tiebreak, s.key_reached, '') END AS rank,
			rank_of_v1(s.period) AS of
		FROM boards b
		JOIN periods q ON q.board = b.no
		JOIN standings s ON s.period = q.no
		JOIN players p ON p.board = b.no AND p.id = s.player
		WHERE b.id = $1 AND q.name = $2 AND q.start_at = coalesce($3::timestamptz, '-infinity') AND s.player = $4`,
		b.ID, span.Name, instant(span.Start), player)
	if errors.Is(err, sql.ErrNoRows) {
		return score.Standing{}, 0, false, nil
	}
	if err != nil {
		return score.Standing{}, 0, false, wrap(fmt.Errorf("standing of %s on board %s: %w", player, b.ID, err))
	}
	standing, err := row.standing()
	return standing, row.Of, true, err
}

// Entry implements score.Tables.
func (s *Scores) Entry(ctx context.Context, board, id string) (e score.Entry, user string, hidden, ok bool, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var row struct {
		Doc    []byte
		User   string
		Hidden bool
	}
	err = s.db.GetContext(ctx, &row, `
		SELECT to_jsonb(l) AS doc, coalesce(p.user_id, '') AS user, p.status = 'hidden' AS hidden
		FROM ledger l
		JOIN boards b ON b.id = l.board
		JOIN players p ON p.board = b.no AND p.id = l.player
		WHERE l.id = $1::uuid AND l.board = $2`, id, board)
	if errors.Is(err, sql.ErrNoRows) {
		return score.Entry{}, "", false, false, nil
	}
	if err != nil {
		return score.Entry{}, "", false, false, wrap(fmt.Errorf("entry %s: %w", id, err))
	}
	e, err = parseEntry(row.Doc)
	return e, row.User, row.Hidden, true, err
}
