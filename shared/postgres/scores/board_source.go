package scores

import (
	"fmt"
	"strconv"

	"plaudit/shared/score"
)

// boardSource is a part of a list of boards: rows b with the columns id and
// in_common.
type boardSource struct {
	from   string
	cond   string
	title  string // the board's title in lower case
	ranges bool   // an index has the rows by in_common and title, and few are left out
}

const lowerTitle = `(lower(b.title) COLLATE "C")`

// boardsThat returns the boards that meet a condition, without archived ones.
func boardsThat(cond string) boardSource {
	return boardSource{`boards b`, `b.state <> 'archived' AND ` + cond, lowerTitle, true}
}

// listing returns the boards that list the user as owner, writer or viewer, either
// those that anybody may read or the others, without archived ones. Anybody may list a
// user on any number of boards, so the table board_people has them in the order of the
// list.
func listing(user string, public bool, cond string) boardSource {
	return boardSource{`board_people b`, `b.user_id = ` + user + ` AND NOT b.archived AND b.public = ` + strconv.FormatBool(public) + ` AND ` + cond, `b.title`, true}
}

// linkedBoards returns the boards that do not list the user but have a player of
// theirs. It reads all of them, which are as many as the user has accepted, and no
// others: OFFSET 0 keeps the planner from walking through the boards instead.
func linkedBoards(user, cond string) boardSource {
	return boardSource{`(` + boardsOf(user) + `) l
		CROSS JOIN LATERAL (SELECT id, title, in_common, public, state, owners, writers, viewers FROM boards WHERE no = l.board OFFSET 0) b`,
		`b.state NOT IN ('archived', 'draft') AND ` + cond + ` AND NOT ` + user + ` = ANY (b.owners || b.writers || b.viewers)`, lowerTitle, false}
}

// within returns the source for a condition that within adds: the boards of a key are
// found by their ids.
func (s boardSource) within(v score.View) boardSource {
	s.ranges = s.ranges && len(v.Within) == 0
	return s
}

// byID returns the query of the source's first limit boards after the place, in the
// order of their ids. pattern selects ids, if it is not empty.
func (s boardSource) byID(a *arguments, pattern string, after *score.BoardPlace, limit string) string {
	cond := s.cond
	if pattern != "" {
		cond += ` AND b.id LIKE ` + pattern
	}
	if after != nil {
		cond += ` AND b.id > ` + a.add(after.ID) + `::text`
	}
	return `(SELECT b.id, false AS by_title, b.id AS key FROM ` + s.from + ` WHERE ` + cond + ` ORDER BY b.id LIMIT ` + limit + `)`
}

// maxID is the length of the longest id.
const maxID = 63

// byTitle returns the query of the source's first limit boards after the place, in the
// order of their titles, whose title has the pattern, a text and %, and whose id has
// not: a title that has it has more in common with the text than with the id. So the
// boards are ranges of an index, one for each number of characters that title and id
// may have in common, and not the rest of a range that the ids leave.
func (s boardSource) byTitle(a *arguments, pattern, text string, after *score.BoardPlace, limit string) string {
	cond := s.cond + ` AND ` + s.title + ` LIKE ` + pattern
	if after != nil {
		cond += ` AND (` + s.title + `, b.id) > (` + a.add(after.Key) + `::text, ` + a.add(after.ID) + `::text)`
	}
	if !s.ranges {
		return `(SELECT b.id, true AS by_title, ` + s.title + ` AS key FROM ` + s.from + `
			WHERE ` + cond + ` AND b.in_common < length(` + text + `) ORDER BY key, b.id LIMIT ` + limit + `)`
	}
	return fmt.Sprintf(`(SELECT f.id, true AS by_title, f.key
		FROM generate_series(0, least(length(%s), %d + 1) - 1) n
		CROSS JOIN LATERAL (SELECT b.id, %s AS key FROM %s WHERE %s AND b.in_common = n ORDER BY %[3]s, b.id LIMIT %[6]s) f
		ORDER BY f.key, f.id LIMIT %[6]s)`, text, maxID, s.title, s.from, cond, limit)
}
