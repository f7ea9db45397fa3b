package migrate_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"plaudit/shared/postgres/pgtest"
)

// The migration that makes adjustments relative recomputes the standings that were
// there before, for every way to combine.
func TestEarlierStandingsFollowTheRules(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t).Owner()
	before, all := upgrade(t)
	before.must(t, db)
	db.MustExec(`
		INSERT INTO boards (id, title, combine, "order", ties, periods, categories, time_zone, min, decimals, unit, grace, players, public,
			owners, writers, viewers, state, version, created_at, changed_at)
		SELECT c || '-' || o || '-' || t, '', c, o, t, '["all"]', '{}', 'UTC', 0, 0, 'points', '1 day', 'any', true, '{o}', '{}', '{}', 'open', 1, now(), now()
		FROM unnest('{sum,best,last}'::text[]) c, unnest('{asc,desc}'::text[]) o, unnest('{first,shared}'::text[]) t;
		INSERT INTO runs (board, period, start_at, end_at) SELECT no, 'all', '-infinity', 'infinity' FROM boards;
		INSERT INTO players (board, id, seq, recorded_at) SELECT no, 'p' || n, 0, now() FROM boards, generate_series(1, 20) n`)
	random := rand.New(rand.NewPCG(1, 2))
	var rows []string
	for board := 1; board <= 12; board++ {
		for player := 1; player <= 20; player++ {
			for seq := 1; seq <= random.IntN(8); seq++ {
				kind := []string{"result", "import", "adjustment"}[random.IntN(3)]
				rows = append(rows, fmt.Sprintf(`(gen_random_uuid(), %d, 'p%d', %d, '%s', %d, %d, 'user/o', '2026-04-05 0%d:00Z', now(), '{%d}', '{0}')`,
					board, player, seq, kind, random.IntN(5)-2, random.IntN(2), random.IntN(6), board))
			}
		}
	}
	db.MustExec(`INSERT INTO entries (id, board, player, seq, kind, points, tiebreak, actor, occurred_at, recorded_at, runs, scores) VALUES ` + strings.Join(rows, ", "))
	db.MustExec(`
		INSERT INTO entries (id, board, player, seq, kind, points, tiebreak, actor, occurred_at, recorded_at, reverses, runs, scores)
		SELECT gen_random_uuid(), e.board, e.player, 100 + e.seq, 'reversal', - e.points, - e.tiebreak, 'user/o', now(), now(), e.id, e.runs, '{0}'
		FROM entries e WHERE e.seq % 4 = 0;
		UPDATE entries e SET seq = n.seq FROM (SELECT id, row_number() OVER (PARTITION BY board, player ORDER BY seq) AS seq FROM entries) n WHERE n.id = e.id;
		UPDATE players p SET seq = (SELECT count(*) FROM entries e WHERE e.board = p.board AND e.player = p.id);
		-- As adjustments were: each credit left some standing.
		INSERT INTO standings (run, player, score, tiebreak, reached_at, nonzero, status, key_score, key_tiebreak, key_reached)
		SELECT DISTINCT e.board, e.player, 77, 0, now(), true, 'ranked', 77, 0, CASE b.ties WHEN 'first' THEN now() ELSE '-infinity' END
		FROM entries e JOIN boards b ON b.no = e.board
		WHERE e.kind <> 'reversal' AND NOT EXISTS (SELECT FROM entries x WHERE x.reverses = e.id)`)
	all.must(t, db)

	var wrong []string
	if err := db.Select(&wrong, `SELECT concat_ws(' ', b.id, c.period, c.player, 'stored', c.stored, 'ledger', c.ledger) FROM boards b, check_board_v1(b.id) c`); err != nil || wrong != nil {
		t.Errorf("%d differences (%v):\n%s", len(wrong), err, strings.Join(wrong, "\n"))
	}
	var adjusted, gone int
	err := db.QueryRow(`SELECT count(*) FILTER (WHERE s.adj_score <> 0), (SELECT count(DISTINCT (board, player)) FROM entries) - count(*) FROM standings s`).Scan(&adjusted, &gone)
	if err != nil || adjusted < 20 || gone < 5 {
		t.Errorf("%d standings with adjustments, %d players without one (%v)", adjusted, gone, err)
	}
	var opened int
	if err := db.Get(&opened, `SELECT count(*) FROM boards WHERE opened_at = created_at`); err != nil || opened != 12 {
		t.Errorf("%d boards count as opened (%v)", opened, err)
	}
}
