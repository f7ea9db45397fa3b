package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"plaudit/shared/postgres/pgtest"
)

// upgrade returns the scores database's files before its later migrations, and all
// of them. Without functions, the baseline takes any rows.
func upgrade(t *testing.T) (before, all folder) {
	all = folder{}
	for path, text := range texts(t, "scores") {
		all[path] = text
	}
	return folder{baseline: all[baseline]}, all
}

// The migration that adds the copies of categories fills them for players who were
// there before.
func TestCategoriesOfEarlierPlayersAreFilled(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t).Owner()
	before, all := upgrade(t)
	before.must(t, db)
	db.MustExec(`
		INSERT INTO boards (id, title, combine, "order", ties, periods, categories, time_zone, min, decimals, unit, grace, players, public,
			owners, writers, viewers, state, version, created_at, changed_at)
		SELECT b.id, b.id, 'sum', 'desc', 'first', '["all"]', b.categories::text[], 'UTC', 0, 0, 'points', '1 day', 'any', true, '{o}', '{}', '{}', 'open', 1, now(), now()
		FROM (VALUES ('four', '{d,c,b,a}'), ('one', '{a}'), ('none', '{}')) b (id, categories);
		INSERT INTO players (board, id, seq, recorded_at, attributes)
		SELECT b.no, p.id, 0, now(), p.attributes::jsonb
		FROM boards b, (VALUES ('p', '{"a": "1", "b": "2", "c": "3", "x": "9"}'), ('q', '{}')) p (id, attributes)`)
	all.must(t, db)
	var got []string
	if err := db.Select(&got, `
		SELECT concat_ws(' ', b.id, p.id, coalesce(cat1, '-'), coalesce(cat2, '-'), coalesce(cat3, '-'), coalesce(cat4, '-'))
		FROM players p JOIN boards b ON b.no = p.board ORDER BY 1`); err != nil {
		t.Fatal(err)
	}
	if want := []string{"four p - 3 2 1", "four q - - - -", "none p - - - -", "none q - - - -", "one p 1 - - -", "one q - - - -"}; !slices.Equal(got, want) {
		t.Errorf("the copies are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
