package scores

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/lib/pq"

	"plaudit/shared/postgres"
	"plaudit/shared/score"
)

// arguments collects a statement's parameters.
type arguments []any

// add adds a parameter and returns its name in the statement. Times are sent in UTC,
// because PostgreSQL accepts offsets to ±15:59 only.
func (a *arguments) add(v any) string {
	if t, ok := v.(time.Time); ok {
		v = t.UTC()
	}
	*a = append(*a, v)
	return "$" + strconv.Itoa(len(*a))
}

// Ready implements score.Tables. It names the tables and the functions that this version
// of score_query uses, and the columns that came last, and reads no row.
func (s *Store) Ready(ctx context.Context) error {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	_, err := s.db.ExecContext(ctx, `
		SELECT board_v2(b.id, NULL, false, false), board_summary_v1(b.id), run_state_v1(b.id, r.end_at), settle_v1('{}', '{}', '{}'),
			rank_of_v1(r.no), rank_above_v1(r.no, 0, NULL, NULL), rank_between_v1(r.no, 0, NULL, NULL, NULL),
			b.players, b.in_common, n.archived, p.link_state
		FROM boards b
		CROSS JOIN board_people n
		CROSS JOIN players p
		CROSS JOIN runs r
		CROSS JOIN standings
		CROSS JOIN ledger
		LIMIT 0`)
	return postgres.Wrap(err)
}

// standingRow is a standing with its player and its table.
type standingRow struct {
	Player      sql.NullString
	DisplayName *string `db:"display_name"`
	Country     *string
	Attributes  []byte
	Score       sql.NullInt64
	Tiebreak    sql.NullInt64
	ReachedAt   sql.NullTime `db:"reached_at"`
	Status      sql.NullString
	Cat1, Cat2  *string
	Cat3, Cat4  *string
	Rank        *int64
	Of          int64
	State       string // of the run, see run_state_v1
	// Of a list only.
	Below  bool // the row comes before the player in Around
	Centre bool // the player in Around is in the table
	// Of a single standing only.
	N          int
	Categories []byte
}

// standing converts the row. The player's values of the board's categories are
// those of the table: a closed table keeps the values that it had when it closed.
func (r standingRow) standing(b score.Board) (score.Standing, error) {
	s := score.Standing{
		Player: r.Player.String, DisplayName: r.DisplayName, Country: r.Country, Score: r.Score.Int64, Tiebreak: r.Tiebreak.Int64,
		ReachedAt: r.ReachedAt.Time.UTC(), Status: score.Status(r.Status.String), Rank: r.Rank,
	}
	if err := json.Unmarshal(r.Attributes, &s.Attributes); err != nil {
		return score.Standing{}, fmt.Errorf("read the attributes of %s: %w", s.Player, err)
	}
	for i, name := range b.Categories {
		if value := []*string{r.Cat1, r.Cat2, r.Cat3, r.Cat4}[i]; value != nil {
			s.Attributes[name] = *value
		} else {
			delete(s.Attributes, name)
		}
	}
	return s, nil
}

const (
	runOpen    = "open"
	runClosing = "closing"
)

func (r standingRow) closed() bool { return r.State != runOpen }

// selectSettled reads parts of tables. If one of them closed a moment ago, it waits
// for the entries that were added before that, and reads again, so that a table that
// was returned as closed never changes.
func (s *Store) selectSettled(ctx context.Context, rows *[]standingRow, of []score.StandingQuery, query string, args ...any) error {
	if err := s.db.SelectContext(ctx, rows, query, args...); err != nil {
		return err
	}
	if !slices.ContainsFunc(*rows, func(r standingRow) bool { return r.State == runClosing }) {
		return nil
	}
	boards, names, starts := make([]string, len(of)), make([]string, len(of)), make([]string, len(of))
	for i, w := range of {
		boards[i], names[i], starts[i] = w.Board.ID, w.Run.Name, orInfinity(w.Run.Start, "-infinity")
	}
	if _, err := s.db.ExecContext(ctx, `SELECT settle_v1($1, $2, $3)`, pq.Array(boards), pq.Array(names), pq.Array(starts)); err != nil {
		return err
	}
	*rows = nil
	return s.db.SelectContext(ctx, rows, query, args...)
}

// tableQuery returns the statement that reads a part of a table with its ranks,
// and its parameters.
//
// A page is a range of the table's index. It begins after the cursor or, without
// one, at the least key that the filter allows. A page around a player also reads a
// second range, backwards; window then cuts the page out of both. If the filter
// leaves out no rows between those of the page, the ranks follow from the rank of
// the first row. Otherwise the statement counts the rows in between.
func tableQuery(b score.Board, run score.Run, c *score.Category, p score.PageRequest) (string, []any) {
	var a arguments
	board, name, start, end := a.add(b.ID), a.add(run.Name), a.add(instant(run.Start)), a.add(instant(run.End))
	category, value := "0", "NULL"
	where := `s.run = (SELECT no FROM run) AND s.status = 'ranked'`
	if c != nil {
		category, value = strconv.Itoa(c.No), a.add(c.Value)+"::text"
		where += ` AND s.cat` + category + ` = ` + value
	}
	table := `(SELECT no FROM run), ` + category + `, ` + value

	least, most := bounds(b, p.Filter)
	rows, scattered := `standings s`, false
	if p.Players != nil {
		rows, scattered = rows+` JOIN unnest(`+a.add(pq.Array(p.Players))+`::text[]) w (player) ON w.player = s.player`, true
	}
	if p.Country != "" {
		rows, scattered = rows+` JOIN players f ON f.board = (SELECT board FROM run) AND f.id = s.player AND f.country = `+a.add(p.Country), true
	}
	filtered := where
	if most != math.MaxInt64 {
		filtered += ` AND s.key_score <= ` + a.add(most) + `::bigint`
	}

	from := score.Place{Score: least, Tiebreak: math.MinInt64}
	centre, before := `SELECT false WHERE false`, ``
	place := func(p score.Place) string {
		return `(` + a.add(p.Score) + `::bigint, ` + a.add(p.Tiebreak) + `::bigint, coalesce(` + a.add(instant(p.ReachedAt)) + `::timestamptz, '-infinity'), ` + a.add(p.Player) + `::text)`
	}
	const keys = `s.key_score, s.key_tiebreak, s.key_reached, s.player`
	const columns = `s.player, s.score, s.tiebreak, s.reached_at, s.status, s.cat1, s.cat2, s.cat3, s.cat4, s.key_score, s.key_tiebreak, s.key_reached`
	limit := a.add(p.Limit+1) + `::bigint`
	var after string
	if p.Around != "" {
		const middle = `((SELECT key_score FROM centre), (SELECT key_tiebreak FROM centre), (SELECT key_reached FROM centre), (SELECT player FROM centre))`
		after = `(` + keys + `) >= ` + middle
		if least != math.MinInt64 {
			filtered += ` AND s.key_score >= ` + a.add(least) + `::bigint`
		}
		centre = `SELECT ` + keys + ` FROM ` + rows + ` WHERE ` + filtered + ` AND s.player = ` + a.add(p.Around)
		before = ` UNION ALL (SELECT ` + columns + `, true AS below FROM ` + rows + ` WHERE ` + filtered + ` AND (` + keys + `) < ` + middle + `
			ORDER BY s.key_score DESC, s.key_tiebreak DESC, s.key_reached DESC, s.player DESC LIMIT ` + limit + `)`
	} else {
		if p.After != nil {
			if after := orderKeys(b, *p.After); after.Score >= least {
				from = after
			}
		}
		after = `(` + keys + `) > ` + place(from)
	}

	const order = `key_score, key_tiebreak, key_reached, player`
	ranks := `
		SELECT page.*,
			CASE WHEN (page.key_score, page.key_tiebreak, page.key_reached) = (first.key_score, first.key_tiebreak, first.key_reached)
				THEN 1 + first.better
				ELSE first.before + rank() OVER (ORDER BY page.key_score, page.key_tiebreak, page.key_reached) END AS rank
		FROM page CROSS JOIN (
			SELECT f.key_score, f.key_tiebreak, f.key_reached,
				f.better, f.better + rank_between_v1(` + table + `,
					(f.key_score, f.key_tiebreak, f.key_reached, '')::place_v1,
					(f.key_score, f.key_tiebreak, f.key_reached, f.player)::place_v1) AS before
			FROM (
				SELECT *, rank_above_v1(` + table + `, (key_score, key_tiebreak, key_reached, '')::place_v1) AS better
				FROM page ORDER BY ` + order + ` LIMIT 1
			) f
		) first`
	if scattered {
		ranks = `
		SELECT gaps.*, 1 + sum(between_them) OVER (ORDER BY ` + order + `) AS rank
		FROM (
			SELECT page.*, CASE WHEN lag(player) OVER w IS NULL
				THEN rank_above_v1(` + table + `, (key_score, key_tiebreak, key_reached, '')::place_v1)
				ELSE rank_between_v1(` + table + `,
					(lag(key_score) OVER w, lag(key_tiebreak) OVER w, lag(key_reached) OVER w, '')::place_v1,
					(key_score, key_tiebreak, key_reached, '')::place_v1) END AS between_them
			FROM page
			WINDOW w AS (ORDER BY ` + order + `)
		) gaps`
	}
	return `
	WITH run AS MATERIALIZED (
		SELECT r.no, r.board FROM runs r JOIN boards b ON b.no = r.board
		WHERE b.id = ` + board + ` AND r.period = ` + name + ` AND r.start_at = coalesce(` + start + `::timestamptz, '-infinity')
	), centre AS MATERIALIZED (
		` + centre + `
	), page AS MATERIALIZED (
		(SELECT ` + columns + `, false AS below FROM ` + rows + ` WHERE ` + filtered + ` AND ` + after + `
			ORDER BY ` + keys + ` LIMIT ` + limit + `)` + before + `
	), ranked AS (` + ranks + `
	)
	SELECT r.player, p.display_name, p.country, p.attributes, r.score, r.tiebreak, r.reached_at, r.status, r.cat1, r.cat2, r.cat3, r.cat4, r.rank,
		coalesce(r.below, false) AS below, EXISTS (SELECT FROM centre) AS centre,
		coalesce((SELECT rank_of_v1(no, ` + category + `, ` + value + `) FROM run), 0) AS of,
		(SELECT run_state_v1(` + board + `, coalesce(` + end + `::timestamptz, 'infinity'))) AS state -- once, not once a row
	FROM (SELECT) one
	LEFT JOIN ranked r ON true
	LEFT JOIN LATERAL (
		SELECT q.display_name, q.country, q.attributes FROM players q
		WHERE q.board = (SELECT board FROM run) AND q.id = r.player LIMIT 1
	) p ON true
	ORDER BY r.key_score, r.key_tiebreak, r.key_reached, r.player`, a
}

// bounds returns the least and the greatest score key that the filter allows.
func bounds(b score.Board, f score.Filter) (least, most int64) {
	least, most = math.MinInt64, math.MaxInt64
	if b.Order == score.Desc {
		if f.Max != nil {
			least = -*f.Max
		}
		if f.Min != nil {
			most = -*f.Min
		}
		return least, most
	}
	if f.Min != nil {
		least = *f.Min
	}
	if f.Max != nil {
		most = *f.Max
	}
	return least, most
}

// orderKeys converts a place to the keys that standings are sorted by. A zero
// ReachedAt means -infinity.
func orderKeys(b score.Board, p score.Place) score.Place {
	if b.Order == score.Desc {
		p.Score, p.Tiebreak = -p.Score, -p.Tiebreak
	}
	if b.Ties == score.Shared {
		p.ReachedAt = time.Time{}
	}
	return p
}

// Table implements score.Tables. It is one statement, so the ranks, the list
// and the number of all come from one snapshot.
func (s *Store) Table(ctx context.Context, b score.Board, run score.Run, c *score.Category, p score.PageRequest) (score.Table, bool, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	query, args := tableQuery(b, run, c, p)
	var rows []standingRow
	err := s.selectSettled(ctx, &rows, []score.StandingQuery{{Board: b, Run: run}}, query, args...)
	if err != nil {
		return score.Table{}, false, postgres.Wrap(fmt.Errorf("table of board %s: %w", b.ID, err))
	}
	t := score.Table{Board: b.ID, Run: score.RunStatus{Run: run, Closed: rows[0].closed()}, Category: c, Of: rows[0].Of, Items: []score.Standing{}}
	found := p.Around == "" || rows[0].Centre
	if !rows[0].Player.Valid { // the table or the page is empty
		return t, found, nil
	}
	if p.Around != "" {
		rows = window(rows, p.Limit)
	}
	for _, row := range rows {
		if len(t.Items) == p.Limit {
			t.More = true
			break
		}
		item, err := row.standing(b)
		if err != nil {
			return score.Table{}, false, err
		}
		t.Items = append(t.Items, item)
	}
	return t, found, nil
}

// window drops the first rows of a page around a player, so that half of the limit
// is left before the player, or more if too few rows follow.
func window(rows []standingRow, limit int) []standingRow {
	before := 0
	for before < len(rows) && rows[before].Below {
		before++
	}
	keep := max((limit-1)/2, limit-(len(rows)-before))
	return rows[max(0, before-keep):]
}

// Standings implements score.Tables, in one statement.
func (s *Store) Standings(ctx context.Context, of []score.StandingQuery) ([]score.Report, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	n := len(of)
	boards, names, starts, ends, players := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	categories, values := make([]int64, n), make([]sql.NullString, n)
	for i, w := range of {
		boards[i], names[i], players[i] = w.Board.ID, w.Run.Name, w.Player
		starts[i], ends[i] = orInfinity(w.Run.Start, "-infinity"), orInfinity(w.Run.End, "infinity")
		if w.Category != nil {
			categories[i], values[i] = int64(w.Category.No), sql.NullString{String: w.Category.Value, Valid: true}
		}
	}
	var rows []standingRow
	// Each query has a row, so that the state of its run is read even if it has no
	// standing yet.
	err := s.selectSettled(ctx, &rows, of, `
		SELECT w.n - 1 AS n, s.player, s.display_name, s.country, s.attributes, s.score, s.tiebreak, s.reached_at, s.status, s.cat1, s.cat2, s.cat3, s.cat4,
			s.rank, coalesce(s.of, 0) AS of, s.categories,
			run_state_v1(w.board, w.end_at) AS state
		FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::integer[], $6::text[], $7::text[])
			WITH ORDINALITY AS w (board, period, start_at, end_at, category, value, player, n)
		LEFT JOIN LATERAL (
			SELECT s.*, p.display_name, p.country, p.attributes,
				CASE WHEN s.status = 'ranked' THEN 1 + rank_above_v1(s.run, w.category, w.value, here.place) END AS rank,
				rank_of_v1(s.run, w.category, w.value) AS of,
				(SELECT json_agg(json_build_object('no', c.no, 'value', c.value, 'of', rank_of_v1(s.run, c.no, c.value),
					'rank', CASE WHEN s.status = 'ranked' THEN 1 + rank_above_v1(s.run, c.no, c.value, here.place) END) ORDER BY c.no)
				 FROM (VALUES (1, s.cat1), (2, s.cat2), (3, s.cat3), (4, s.cat4)) c (no, value)
				 WHERE c.value IS NOT NULL) AS categories
			FROM boards b
			JOIN runs r ON r.board = b.no AND r.period = w.period AND r.start_at = w.start_at
			CROSS JOIN LATERAL (
				SELECT run, player, score, tiebreak, reached_at, status, cat1, cat2, cat3, cat4, key_score, key_tiebreak, key_reached
				FROM standings WHERE run = r.no AND player = w.player LIMIT 1) s
			JOIN players p ON p.board = b.no AND p.id = s.player
			CROSS JOIN LATERAL (SELECT (s.key_score, s.key_tiebreak, s.key_reached, '')::place_v1 AS place) here
			WHERE b.id = w.board
			AND CASE w.category WHEN 0 THEN true WHEN 1 THEN s.cat1 = w.value WHEN 2 THEN s.cat2 = w.value
				WHEN 3 THEN s.cat3 = w.value ELSE s.cat4 = w.value END
		) s ON true
		ORDER BY w.n`,
		pq.Array(boards), pq.Array(names), pq.Array(starts), pq.Array(ends), pq.Array(categories), pq.Array(values), pq.Array(players))
	if err != nil {
		return nil, postgres.Wrap(fmt.Errorf("%d standings: %w", n, err))
	}
	reports := make([]score.Report, 0, len(rows))
	for _, row := range rows {
		if !row.Player.Valid {
			continue
		}
		w := of[row.N]
		standing, err := row.standing(w.Board)
		if err != nil {
			return nil, err
		}
		report := score.Report{Standing: standing, Board: w.Board.ID, Run: score.RunStatus{Run: w.Run, Closed: row.closed()}, Category: w.Category, Of: row.Of}
		var ranks []struct {
			No    int
			Value string
			Rank  *int64
			Of    int64
		}
		if row.Categories != nil {
			if err := json.Unmarshal(row.Categories, &ranks); err != nil {
				return nil, fmt.Errorf("read the categories of %s: %w", standing.Player, err)
			}
		}
		for _, r := range ranks {
			c := score.Category{Name: w.Board.Categories[r.No-1], Value: r.Value, No: r.No}
			report.Categories = append(report.Categories, score.CategoryRank{Category: c, Rank: r.Rank, Of: r.Of})
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// orInfinity formats a time for an array. The zero time means no border.
func orInfinity(t time.Time, infinity string) string {
	if t.IsZero() {
		return infinity
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Entry implements score.Tables.
func (s *Store) Entry(ctx context.Context, board, id string) (e score.OwnedEntry, ok bool, err error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var row entryRow
	err = s.db.GetContext(ctx, &row, `
		SELECT row_to_json(l) AS doc, coalesce(p.user_id, '') AS user, p.display_name, p.status = 'hidden' AS hidden
		FROM ledger l
		JOIN boards b ON b.id = l.board
		JOIN players p ON p.board = b.no AND p.id = l.player
		WHERE l.id = $1::uuid AND l.board = $2`, id, board)
	if errors.Is(err, sql.ErrNoRows) {
		return score.OwnedEntry{}, false, nil
	}
	if err != nil {
		return score.OwnedEntry{}, false, postgres.Wrap(fmt.Errorf("entry %s: %w", id, err))
	}
	e, err = row.entry()
	return e, true, err
}

// instant returns the time as a parameter, nil for the zero time.
func instant(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}
