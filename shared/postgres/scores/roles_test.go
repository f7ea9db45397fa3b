package scores_test

import (
	"slices"
	"testing"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"plaudit/shared/score"
)

func TestRolesMayDoTheirWorkAndNothingElse(t *testing.T) {
	s := newScores(t, 1)
	s.board(t, "b", nil)
	s.add(t, "b", score.Submission{Player: "p", Points: ptr[int64](1)})
	tables := []string{"boards", "board_people", "board_refusals", "players", "runs", "standings", "entries", "entry_keys", "outbox", "outbox_failed", "relay_lease", "profiles", "ledger", "link_refusals", "link_proposals", "opened_boards"}
	for role, reads := range map[string][]string{
		"score_add":   {},
		"score_query": {"board_people", "players", "runs", "standings", "ledger"},
		"board_admin": {},
		// The outbox that it sends comes from functions, without the entries' metadata.
		"outbox_relay": {},
		"player_sync":  {},
		"period_close": {},
		"db_check":     {},
	} {
		db := s.db.Open(role)
		refused := func(query string) bool {
			_, err := db.Exec(query)
			return pq.As(err, pqerror.InsufficientPrivilege) != nil
		}
		for _, table := range tables {
			if refused(`SELECT * FROM `+table) == slices.Contains(reads, table) {
				t.Errorf("%s reads %s: %t", role, table, !slices.Contains(reads, table))
			}
			for _, write := range []string{`DELETE FROM ` + table, `TRUNCATE ` + table} {
				if table != "ledger" && !refused(write) {
					t.Errorf("%s may %s", role, write)
				}
			}
		}
		for query, who := range map[string]string{
			`SELECT add_entries_v3('{}', '{}', '{}', 'a', 'u', 't', NULL, '{}')`:                    "score_add",
			`SELECT add_entries_v2('{}', '{}', '{}', 'a', 't', NULL, '{}')`:                         "score_add",
			`SELECT change_player_v2('b', 1, 'p', '{}', 'a', 'u', 't')`:                             "board_admin",
			`SELECT accept_link_v1('b', 'p', 'u', 'a', 't')`:                                        "board_admin",
			`SELECT end_link_v1('b', 'p', 'u', 'a', 't')`:                                           "board_admin",
			`SELECT internal.change_links('{}', '{}', '{}', '{}', 'a', 'u', 't')`:                   "",
			`SELECT create_board_v1('{}', 'a', 't')`:                                                "board_admin",
			`SELECT create_board_v2('{}', 'u', 1, 1, 'a', 't')`:                                     "board_admin",
			`SELECT internal.create_board('{}', 'u', 'a', 't')`:                                     "",
			`SELECT created_by FROM boards`:                                                         "",
			`SELECT * FROM board_refusals`:                                                          "",
			`SELECT change_board_v1('{}', '{}', false, 'a', 't')`:                                   "board_admin",
			`SELECT run_state_v1('b', 'infinity')`:                                                  "score_query",
			`SELECT settle_v1('{}', '{}', '{}')`:                                                    "score_query",
			`SELECT internal.share_closing('{}')`:                                                   "",
			`SELECT no, title, owners FROM boards`:                                                  "score_query",
			`SELECT catalogue FROM boards`:                                                          "",
			`SELECT board_summary_v1('b')`:                                                          "score_query",
			`SELECT metadata FROM entries`:                                                          "",
			`SELECT rank_of_v1(1)`:                                                                  "score_query",
			`SELECT plaudit_now()`:                                                                  "",
			`CREATE TABLE mine ()`:                                                                  "",
			`UPDATE entries SET points = 0`:                                                         "",
			`UPDATE entries SET metadata = NULL`:                                                    "",
			`UPDATE entries SET note = NULL WHERE false`:                                            "",
			`SELECT erase_player_v1('b', 0, 'p', NULL, 1, 'a', 'u', 't')`:                           "board_admin",
			`SELECT internal.erase_player(NULL, 'p', NULL, NULL, 1, 'a', 'u', 't')`:                 "",
			`SELECT internal.erase_user_players('u', NULL, 1, 'a', 't')`:                            "",
			`UPDATE outbox SET sent_at = now()`:                                                     "",
			`SELECT data FROM outbox`:                                                               "",
			`SELECT id, kind, sent_at, restored FROM outbox`:                                        "db_check",
			`SELECT id, type, reason FROM outbox_failed`:                                            "db_check",
			`SELECT data FROM outbox_failed`:                                                        "",
			`SELECT note FROM ledger WHERE metadata IS NULL`:                                        "score_query",
			`SELECT id FROM outbox_take_v2(1, 0, 1, 1)`:                                             "outbox_relay",
			`SELECT id FROM outbox_take_v1(1, 1, 1)`:                                                "outbox_relay",
			`SELECT outbox_done_v1('{}', '{}', '{}')`:                                               "outbox_relay",
			`SELECT waiting FROM outbox_depth_v1(1)`:                                                "outbox_relay",
			`SELECT outbox_purge_v1('1 day', 1)`:                                                    "outbox_relay",
			`SELECT extend_lease_v1('0')`:                                                           "outbox_relay",
			`SELECT id FROM outbox_kept_v1(0, NULL, 1)`:                                             "db_check",
			`SELECT marked FROM outbox_restore_v1(0, NULL, NULL, 0)`:                                "db_check",
			`SELECT queued FROM outbox_retry_v1(0, 0)`:                                              "db_check",
			`SELECT last FROM entries_without_rows_v1($$00000000-0000-0000-0000-000000000000$$, 1)`: "db_check",
			`SELECT period FROM check_board_v1('b')`:                                                "db_check",
			`SELECT sync_profile_v1('u', 1, NULL, NULL, 't', NULL, 1)`:                              "player_sync",
			`SELECT erase_user_players_v1('u', 1, 't', NULL, 1)`:                                    "player_sync",
			`SELECT run FROM due_runs_v1('-infinity', 0, 1)`:                                        "period_close",
			`SELECT settle_run_v1(0)`:                                                               "period_close",
			`SELECT announce_run_v1(0, 't')`:                                                        "period_close",
			`SELECT date_runs_v1(0)`:                                                                "period_close",
			`UPDATE runs SET announced_at = NULL`:                                                   "",
			`SELECT end_link_v2('b', 'p', 'u', 'a', 't')`:                                           "board_admin",
			`SELECT internal.wake()`:                                                                "",
			`UPDATE relay_lease SET until = 'infinity'`:                                             "",
			`UPDATE profiles SET display_name = 'x'`:                                                "",
			`UPDATE outbox SET data = ''`:                                                           "",
			`INSERT INTO outbox (kind, type) VALUES ('event', 'plaudit.entry.forged')`:              "",
			`SELECT internal.refuse('x', 1)`:                                                        "",
			`SELECT internal.player_patch(NULL, '{}', '{}')`:                                        "",
			`SELECT internal.board_json(NULL::boards)`:                                              "",
			`ALTER FUNCTION add_entries_v3 SECURITY INVOKER`:                                        "",
		} {
			if refused(query) == (who == role) {
				t.Errorf("%s, %s: refused %t", role, query, who == role)
			}
		}
	}
}
