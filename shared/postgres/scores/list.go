package scores

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lib/pq"

	"plaudit/shared/postgres"
	"plaudit/shared/score"
)

// entryRow is an entry with what is known of its player.
type entryRow struct {
	Doc         []byte
	User        string
	DisplayName *string `db:"display_name"`
	Hidden      bool    // of a single entry only
	SeesPeople  bool    `db:"sees_people"` // this and the next of a list only
	SeesAll     bool    `db:"sees_all"`
}

func (r entryRow) entry() (score.OwnedEntry, error) {
	e, err := parseEntry(r.Doc)
	return score.OwnedEntry{
		NamedEntry: score.NamedEntry{Entry: e, DisplayName: r.DisplayName}, User: r.User, Hidden: r.Hidden, SeesPeople: r.SeesPeople, SeesAll: r.SeesAll,
	}, err
}

// withEntries returns the query of whole entries for a query of a page's ids.
// LIMIT 1 keeps the planner from reading a table for the sake of a page.
func withEntries(query string) string {
	return `
		WITH page AS MATERIALIZED (` + query + `)
		SELECT l.doc, p.user, p.display_name, page.sees_people, page.sees_all
		FROM page
		CROSS JOIN LATERAL (SELECT row_to_json(l) AS doc FROM ledger l WHERE l.id = page.id LIMIT 1) l
		CROSS JOIN LATERAL (SELECT coalesce(p.user_id, '') AS user, p.display_name FROM players p WHERE p.board = page.board AND p.id = page.player LIMIT 1) p
		ORDER BY page.occurred_at DESC, page.id DESC`
}

// entries reads a page of entries.
func (s *Store) entries(ctx context.Context, query string, args []any) ([]score.OwnedEntry, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var rows []entryRow
	err := s.db.SelectContext(ctx, &rows, query, args...)
	if err != nil {
		return nil, postgres.Wrap(fmt.Errorf("list entries: %w", err))
	}
	entries := make([]score.OwnedEntry, len(rows))
	for i, r := range rows {
		if entries[i], err = r.entry(); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

const pageColumns = `e.id, e.board, e.player, e.occurred_at`

// older returns the condition that an entry comes after the place in the list,
// which has the newest entries first.
func older(a *arguments, after *score.EntryPlace) string {
	if after == nil {
		return ``
	}
	return ` AND (e.occurred_at, e.id) < (` + a.add(after.OccurredAt) + `::timestamptz, ` + a.add(after.ID) + `::uuid)`
}

// entriesQuery returns the query of a page and its parameters. Each filter has an
// index that ends in the columns that the list is sorted by, except batch: a batch
// is small, so it is read as a whole and then sorted.
func entriesQuery(board string, f score.EntryFilter, hidden bool, after *score.EntryPlace, limit int) (string, []any) {
	var a arguments
	from := `entries`
	if f.Batch != "" {
		from = `(SELECT id, board, player, kind, reason, actor, occurred_at FROM entries WHERE batch = ` + a.add(f.Batch) + `::uuid OFFSET 0)`
	}
	query := `SELECT ` + pageColumns + `, false AS sees_people, false AS sees_all FROM ` + from + ` e WHERE e.board = (SELECT no FROM boards WHERE id = ` + a.add(board) + `)` + older(&a, after)
	for _, c := range []struct{ column, value, as string }{
		{"e.player", f.Player, "text"}, {"e.actor", f.Actor, "text"}, {"e.reason", f.Reason, "text"}, {"e.kind", string(f.Kind), "text"},
	} {
		if c.value != "" {
			query += ` AND ` + c.column + ` = ` + a.add(c.value) + `::` + c.as
		}
	}
	if f.From != nil {
		query += ` AND e.occurred_at >= ` + a.add(wholeMicros(*f.From)) + `::timestamptz`
	}
	if f.To != nil {
		query += ` AND e.occurred_at < ` + a.add(wholeMicros(*f.To)) + `::timestamptz`
	}
	if !hidden {
		query += ` AND (SELECT p.status FROM players p WHERE p.board = e.board AND p.id = e.player) <> 'hidden'`
	}
	return withEntries(query + ` ORDER BY e.occurred_at DESC, e.id DESC LIMIT ` + a.add(limit)), a
}

// wholeMicros rounds a time up to whole µs. Stored times are in whole µs, so the
// rounded time separates the same entries; PostgreSQL would round to the nearest.
func wholeMicros(t time.Time) time.Time {
	whole := t.Truncate(time.Microsecond)
	if whole.Before(t) {
		whole = whole.Add(time.Microsecond)
	}
	return whole
}

// Entries implements score.Lists.
func (s *Store) Entries(ctx context.Context, board string, f score.EntryFilter, hidden bool, after *score.EntryPlace, limit int) ([]score.OwnedEntry, error) {
	query, args := entriesQuery(board, f, hidden, after, limit)
	return s.entries(ctx, query, args)
}

// boardsOf returns the query of the boards that have a player of the user.
func boardsOf(user string) string {
	return `SELECT DISTINCT board FROM players WHERE user_id = ` + user
}

// readable returns the query of the boards b that have a player of the user and
// are in the view. It reads each board once, however many of its players are the
// user's.
//
// In the view of the user themselves, these are also the boards of registered players
// that have a player with the user's id: own is then true, and that is the board's
// only player of the user.
func readable(a *arguments, of string, v score.View) string {
	user := a.add(of) + `::text`
	const opened, public = `b.state <> 'draft'`, `b.public AND b.state <> 'draft'`
	boards, read, people, all, own := boardsOf(user), public, `false`, `false`, `false`
	in := within(a, v)
	if v.User == of {
		own = `(b.players = 'registered' AND ` + in + `)`
		boards += ` UNION SELECT board FROM players WHERE length(id) = 36 AND id = ` + user
	}
	switch {
	case v.ReadsAll:
		read, people, all = `(`+public+` OR `+in+`)`, in, in
	case v.User != "":
		me := a.add(v.User) + `::text`
		read = `(` + public + ` OR ` + in + ` AND (` + me + ` = ANY (b.owners || b.writers || b.viewers)
			OR ` + opened + ` AND (` + own + ` OR EXISTS (SELECT FROM players r WHERE r.user_id = ` + me + ` AND r.board = b.no))))`
		people = in + ` AND ` + me + ` = ANY (b.owners || b.writers || b.viewers)`
		all = in + ` AND ` + me + ` = ANY (b.owners || b.writers)`
	}
	return `SELECT b.no, b.id, ` + people + ` AS sees_people, ` + all + ` AS sees_all, ` + own + ` AS own FROM (` + boards + `) l JOIN boards b ON b.no = l.board WHERE ` + read
}

// playersOf returns the query of the user's players on a board r of readable, as far as
// the view includes them. part ends each half of it: further conditions, an order and
// a limit.
func playersOf(columns, of, user string, v score.View, part string) string {
	query := func(whose string) string {
		return `SELECT ` + columns + ` FROM players p WHERE ` + whose + ` AND p.board = r.no AND (p.status <> 'hidden' OR r.sees_all)` + part
	}
	if v.User != of {
		return query(`p.user_id = ` + user)
	}
	return `(` + query(`NOT r.own AND p.user_id = `+user) + `) UNION ALL (` + query(`r.own AND p.id = `+user) + `)`
}

// within returns the condition that b is one of the boards of which the view's
// user may read more than the public.
func within(a *arguments, v score.View) string {
	switch {
	case v.User == "":
		return `false`
	case len(v.Within) == 0:
		return `true`
	}
	return `b.id = ANY (` + a.add(pq.Array(v.Within)) + `::text[])`
}

// entriesOfQuery returns the query of a page and its parameters. The entries of a
// page of n belong to at most n players, those with the newest entries. So it reads
// one index entry of each player, and then n entries of each of those n.
//
// Those of a batch are found among the entries of the batch, of which there are few.
func entriesOfQuery(user, batch string, v score.View, after *score.EntryPlace, limit int) (string, []any) {
	var a arguments
	if batch != "" {
		return withEntries(`
		WITH batch AS MATERIALIZED (
			SELECT id, board, player, occurred_at FROM entries WHERE batch = ` + a.add(batch) + `::uuid
		), readable AS MATERIALIZED (` + readable(&a, user, v) + ` AND b.no IN (SELECT board FROM batch)
		)
		SELECT ` + pageColumns + `, r.sees_people, r.sees_all
		FROM batch e
		JOIN readable r ON r.no = e.board
		CROSS JOIN LATERAL (` + playersOf(`p.id`, user, a.add(user)+`::text`, v, ` AND p.id = e.player`) + `) p
		WHERE true` + older(&a, after) + `
		ORDER BY e.occurred_at DESC, e.id DESC LIMIT ` + a.add(limit) + `::bigint`), a
	}
	u, n := a.add(user)+`::text`, a.add(limit)+`::bigint`
	newest := `FROM entries e WHERE e.board = p.board AND e.player = p.player` + older(&a, after) + ` ORDER BY e.occurred_at DESC, e.id DESC LIMIT `
	return withEntries(`
		WITH readable AS MATERIALIZED (` + readable(&a, user, v) + `
		), player AS MATERIALIZED (
			SELECT p.board, p.player, r.sees_people, r.sees_all
			FROM readable r
			CROSS JOIN LATERAL (` + playersOf(`p.board, p.id AS player`, user, u, v, ` OFFSET 0`) + `) p
			CROSS JOIN LATERAL (SELECT e.occurred_at, e.id ` + newest + `1) e
			ORDER BY e.occurred_at DESC, e.id DESC LIMIT ` + n + `
		)
		SELECT ` + pageColumns + `, p.sees_people, p.sees_all
		FROM player p
		CROSS JOIN LATERAL (SELECT ` + pageColumns + ` ` + newest + n + `) e
		ORDER BY e.occurred_at DESC, e.id DESC LIMIT ` + n), a
}

// EntriesOf implements score.Lists.
func (s *Store) EntriesOf(ctx context.Context, user, batch string, v score.View, after *score.EntryPlace, limit int) ([]score.OwnedEntry, error) {
	query, args := entriesOfQuery(user, batch, v, after, limit)
	return s.entries(ctx, query, args)
}

// boardsQuery returns the query of a page and its parameters. Each source is a
// range of an index: the public boards, all boards, those that list the user, or the
// few that have a player of theirs.
func boardsQuery(v score.View, named, search string, after *score.BoardPlace, limit int) (string, []any) {
	var a arguments
	const public = `(b.public AND b.state IN ('open', 'closed'))` // as boards_public has them: no drafts
	var sources []boardSource
	switch in := within(&a, v); {
	case named != "":
		user := a.add(named) + `::text`
		sources = []boardSource{listing(user, true, `true`), listing(user, false, in).within(v)}
	case v.User == "":
		sources = []boardSource{boardsThat(public)}
	case v.ReadsAll && len(v.Within) == 0:
		sources = []boardSource{boardsThat(`true`)}
	case v.ReadsAll:
		sources = []boardSource{boardsThat(public), boardsThat(`NOT ` + public + ` AND ` + in).within(v)}
	default:
		me := a.add(v.User) + `::text`
		sources = []boardSource{boardsThat(public), listing(me, false, in).within(v), linkedBoards(me, `NOT `+public+` AND `+in)}
	}
	n := a.add(limit) + `::bigint`
	text, pattern := ``, ``
	if search != "" {
		text = `lower(` + a.add(search) + `::text)`
		pattern = `lower(` + a.add(postgres.LikePrefix(search)) + `::text)`
	}
	var parts []string
	for _, source := range sources {
		if after == nil || !after.ByTitle {
			parts = append(parts, source.byID(&a, pattern, after, n))
		}
		if search != "" {
			titled := after
			if after != nil && !after.ByTitle {
				titled = nil // the ids have not ended
			}
			parts = append(parts, source.byTitle(&a, pattern, text, titled, n))
		}
	}
	return `
		SELECT board_summary_v1(f.id) AS doc, f.id, f.by_title, f.key
		FROM (SELECT * FROM (` + strings.Join(parts, ` UNION ALL `) + `) p ORDER BY by_title, key, id LIMIT ` + n + `) f
		ORDER BY f.by_title, f.key, f.id`, a
}

// Boards implements score.Lists.
func (s *Store) Boards(ctx context.Context, v score.View, named, search string, after *score.BoardPlace, limit int) ([]score.PlacedBoard, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	query, args := boardsQuery(v, named, search, after, limit)
	var rows []struct {
		Doc     []byte
		ID      string
		ByTitle bool `db:"by_title"`
		Key     string
	}
	if err := s.db.SelectContext(ctx, &rows, query, args...); err != nil {
		return nil, postgres.Wrap(fmt.Errorf("list boards: %w", err))
	}
	listed := make([]score.PlacedBoard, len(rows))
	for i, r := range rows {
		b, err := parseBoard(r.Doc)
		if err != nil {
			return nil, err
		}
		listed[i] = score.PlacedBoard{Board: b, Place: score.BoardPlace{ByTitle: r.ByTitle, Key: r.Key, ID: r.ID}}
	}
	return listed, nil
}

// playersOfQuery returns the query of a page and its parameters. Only the first row of
// each board contains the board.
func playersOfQuery(user string, v score.View, after *score.LinkPlace, limit int) (string, []any) {
	var a arguments
	u, n := a.add(user)+`::text`, a.add(limit)+`::bigint`
	boards, players := readable(&a, user, v), ``
	if after != nil {
		board, player := a.add(after.Board)+`::text`, a.add(after.Player)+`::text`
		boards += ` AND b.id >= ` + board
		players = ` AND p.id > CASE WHEN r.id = ` + board + ` THEN ` + player + ` ELSE '' END`
	}
	return `
		SELECT CASE WHEN lag(board) OVER (ORDER BY board, player) IS DISTINCT FROM board THEN board_summary_v1(board) END AS doc, player
		FROM (
			SELECT r.id AS board, p.id AS player
			FROM (` + boards + ` ORDER BY b.id) r
			CROSS JOIN LATERAL (` + playersOf(`p.id`, user, u, v, players+` ORDER BY p.id LIMIT `+n) + `) p
			ORDER BY r.id, p.id LIMIT ` + n + `
		) page
		ORDER BY board, player`, a
}

// PlayersOf implements score.Lists.
func (s *Store) PlayersOf(ctx context.Context, user string, v score.View, after *score.LinkPlace, limit int) ([]score.OwnedPlayer, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	query, args := playersOfQuery(user, v, after, limit)
	var rows []struct {
		Doc    []byte
		Player string
	}
	if err := s.db.SelectContext(ctx, &rows, query, args...); err != nil {
		return nil, postgres.Wrap(fmt.Errorf("players of user %s: %w", user, err))
	}
	players := make([]score.OwnedPlayer, len(rows))
	var board score.Board
	for i, r := range rows {
		if r.Doc != nil {
			var err error
			if board, err = parseBoard(r.Doc); err != nil {
				return nil, err
			}
		}
		players[i] = score.OwnedPlayer{Board: board, Player: r.Player}
	}
	return players, nil
}

// Periods implements score.Lists.
func (s *Store) Periods(ctx context.Context, b score.Board, name string, after *score.RunPlace, limit int) ([]score.RunStatus, error) {
	ctx, cancel := postgres.Bounded(ctx)
	defer cancel()
	var a arguments
	query := `
		SELECT r.period, CASE WHEN isfinite(r.start_at) THEN r.start_at END AS start, CASE WHEN isfinite(r.end_at) THEN r.end_at END AS until,
			run_state_v1(b.id, r.end_at) <> '` + runOpen + `' AS closed
		FROM boards b
		JOIN runs r ON r.board = b.no
		WHERE b.id = ` + a.add(b.ID)
	if name != "" {
		query += ` AND r.period = ` + a.add(name)
	}
	if after != nil {
		query += ` AND (r.start_at, r.period) < (coalesce(` + a.add(instant(after.Start)) + `::timestamptz, '-infinity'), ` + a.add(after.Name) + `::text)`
	}
	query += ` ORDER BY r.start_at DESC, r.period DESC LIMIT ` + a.add(limit)
	var rows []struct {
		Period       string
		Start, Until *time.Time
		Closed       bool
	}
	if err := s.db.SelectContext(ctx, &rows, query, a...); err != nil {
		return nil, postgres.Wrap(fmt.Errorf("runs of board %s: %w", b.ID, err))
	}
	runs := make([]score.RunStatus, len(rows))
	for i, r := range rows {
		runs[i] = score.RunStatus{Run: score.Run{Name: r.Period}, Closed: r.Closed}
		if r.Start != nil {
			runs[i].Start = r.Start.UTC()
		}
		if r.Until != nil {
			runs[i].End = r.Until.UTC()
		}
	}
	return runs, nil
}
