package migrate_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"
)

// eventLog are the migrations that prepare the outboxes for the relay, by database.
var eventLog = map[string]string{"scores": "migrations/00008_event_log.sql", "users": "migrations/00004_event_log.sql"}

// released has the functions that were changed then, as they were before.
var released = map[string]string{"scores": "testdata/scores-00007", "users": "testdata/users-00003"}

// previous returns a database's files before such a migration: without it and without the
// functions that came with it.
func previous(t *testing.T, database string, all folder, migrations map[string]string) folder {
	t.Helper()
	old := folder{}
	root := os.DirFS(released[database])
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, path)
		old["functions/"+path] = string(text)
		return err
	})
	if err != nil || len(old) == 0 {
		t.Fatalf("%d functions of the previous release: %v", len(old), err)
	}
	before := folder{}
	for path, text := range all {
		switch {
		case strings.HasPrefix(path, "migrations/"):
			if path < migrations[database] {
				before[path] = text
			}
		case !newFunction(path):
			before[path] = text
		}
	}
	return before.with(old)
}

// newFunction reports whether a function came with the event log.
func newFunction(path string) bool {
	name := strings.TrimSuffix(path[strings.LastIndex(path, "/")+1:], ".sql")
	for _, n := range strings.Fields(`board_extensions player_extensions number_event report_board report_player wake entry_data outbox_rows
		profile_lock profile_of follow_account take_profile extend_lease_v1 outbox_take_v1 outbox_done_v1 outbox_depth_v1 outbox_purge_v1
		outbox_kept_v1 outbox_restore_v1 entries_without_rows_v1 sync_profile_v1 erase_user_players_v1 end_link_v2`) {
		if n == name {
			return true
		}
	}
	return false
}
