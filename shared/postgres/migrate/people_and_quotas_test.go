package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"plaudit/shared/postgres/pgtest"
)

// The migration that counts boards for their creators lists the people of the boards
// that were there before, and knows the creator of a board with one owner.
func TestPeopleOfEarlierBoardsAreListed(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t).Owner()
	before, all := upgrade(t)
	before.must(t, db)
	db.MustExec(`
		INSERT INTO boards (id, title, combine, "order", ties, periods, categories, time_zone, min, decimals, unit, grace, players, public,
			owners, writers, viewers, state, version, created_at, changed_at)
		SELECT b.id, b.title, 'sum', 'desc', 'first', '["all"]', '{}', 'UTC', 0, 0, 'points', '1 day', 'any', b.public,
			b.owners::text[], b.writers::text[], b.viewers::text[], b.state, 1, now(), now()
		FROM (VALUES ('one-x', 'ONE Y', true, '{o}', '{w,o}', '{}', 'open'), ('two', 'Two', false, '{o,p}', '{}', '{v}', 'closed'),
			('gone', 'gone', true, '{o}', '{w}', '{v}', 'archived')) b (id, title, public, owners, writers, viewers, state)`)
	all.must(t, db)
	for query, want := range map[string][]string{
		`SELECT concat_ws(' ', id, coalesce(created_by, '-'), in_common) FROM boards ORDER BY 1`:                                                            {"gone o 4", "one-x o 3", "two - 3"},
		`SELECT concat_ws(' ', p.id, p.user_id, p.archived, p.public, p.title, p.in_common) FROM board_people p JOIN boards b ON b.no = p.board ORDER BY 1`: {"gone o t t gone 4", "gone v t t gone 4", "gone w t t gone 4", "one-x o f t one y 3", "one-x w f t one y 3", "two o f f two 3", "two p f f two 3", "two v f f two 3"},
	} {
		var got []string
		if err := db.Select(&got, query); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\n%s\nwant\n%s", query, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
