package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"plaudit/shared/postgres/pgtest"
)

// Nobody was asked to accept the links of earlier releases, so they become proposals. On
// a board of registered players, a link that followed from the player's id becomes none.
func TestEarlierLinksAreProposals(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t).Owner()
	before, all := upgrade(t)
	before.must(t, db)
	db.MustExec(`
		INSERT INTO boards (id, title, combine, "order", ties, periods, categories, time_zone, min, decimals, unit, grace, players, public,
			owners, writers, viewers, state, version, created_at, changed_at)
		SELECT k, '', 'sum', 'desc', 'first', '["all"]', '{}', 'UTC', 0, 0, 'points', '1 day', k, false, '{o}', '{}', '{}', 'open', 1, now(), now()
		FROM unnest('{any,registered}'::text[]) k;
		INSERT INTO players (board, id, seq, recorded_at, user_id)
		SELECT b.no, p.id, 0, now(), p.user_id FROM boards b, (VALUES ('u', 'u'), ('p', 'u'), ('q', NULL)) p (id, user_id)`)
	all.must(t, db)
	var got []string
	if err := db.Select(&got, `
		SELECT concat_ws(' ', b.id, p.id, coalesce(p.user_id, '-'), coalesce(p.proposed_user, '-'), coalesce(p.proposed_by, '-'), coalesce(p.link_state, '-'), p.proposed_at IS NOT NULL)
		FROM players p JOIN boards b ON b.no = p.board ORDER BY 1`); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"any p - u - proposed t", "any q - - - - f", "any u - u - proposed t",
		"registered p - u - proposed t", "registered q - - - - f", "registered u - - - - f",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the links are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
