package e2e

import (
	"database/sql"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	_ "github.com/lib/pq"
)

// tables has a query for each table, by database: its first column is the owner of
// a row as the API names it, the second distinguishes the rows of an owner, the
// third is a digest of the row. What counts attempts is left out, because refused
// requests write it too, and so is what the relay changes at any time: its promise,
// when rows were sent, and profiles on their way, whose rows leave when they are. So is
// what period-close notes of runs, and what notify makes links with.
var tables = map[string]map[string]string{
	"scores": {
		"boards":         `SELECT id, '', md5(t::text) FROM boards t`,
		"players":        `SELECT b.id || '/' || t.id, '', md5(t::text) FROM players t JOIN boards b ON b.no = t.board`,
		"runs":           `SELECT b.id, t.no::text, md5((to_jsonb(t) - 'closes_at' - 'announced_at')::text) FROM runs t JOIN boards b ON b.no = t.board`,
		"standings":      `SELECT b.id || '/' || t.player, t.run::text, md5(t::text) FROM standings t JOIN runs r ON r.no = t.run JOIN boards b ON b.no = r.board`,
		"entries":        `SELECT id::text, '', md5(t::text) FROM entries t`,
		"entry_keys":     `SELECT entry::text, '', md5(t::text) FROM entry_keys t`,
		"link_refusals":  `SELECT b.id || '/' || t.player, t.user_id, md5(t::text) FROM link_refusals t JOIN boards b ON b.no = t.board`,
		"link_proposals": `SELECT user_id, id::text, md5(t::text) FROM link_proposals t`,
		"board_people":   `SELECT id, user_id, md5(t::text) FROM board_people t`,
		"board_refusals": "",
		"outbox":         `SELECT coalesce(entry::text, subject), id::text, md5((to_jsonb(t) - 'sent_at')::text) FROM outbox t`,
		"outbox_failed":  `SELECT coalesce(entry::text, subject), id::text, md5(t::text) FROM outbox_failed t`,
		"profiles":       `SELECT user_id, '', md5(t::text) FROM profiles t`,
		"relay_lease":    "",
		"opened_boards":  "",
	},
	"users": {
		"users":          `SELECT id::text, '', md5((to_jsonb(t) - 'mail_secret')::text) FROM users t`,
		"sessions":       `SELECT user_id::text, id::text, md5(t::text) FROM sessions t`,
		"refresh_tokens": `SELECT s.user_id::text, t.digest::text, md5(t::text) FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id`,
		"devices":        `SELECT user_id::text, digest::text, md5(t::text) FROM devices t`,
		"api_keys":       `SELECT user_id::text, id::text, md5(t::text) FROM api_keys t`,
		"erased_users":   `SELECT id::text, '', md5(t::text) FROM erased_users t`,
		"outbox":         `SELECT subject || CASE WHEN type = 'plaudit.user.login-failed' THEN ' failed' ELSE '' END, id::text, md5((to_jsonb(t) - 'sent_at')::text) FROM outbox t WHERE kind = 'event'`,
		"outbox_failed":  `SELECT subject, id::text, md5(t::text) FROM outbox_failed t`,
		"attempts":       "",

		"email_verifications":     `SELECT user_id::text, digest::text, md5(t::text) FROM email_verifications t`,
		"password_resets":         `SELECT user_id::text, digest::text, md5(t::text) FROM password_resets t`,
		"password_reset_requests": `SELECT user_id::text, '', md5(t::text) FROM password_reset_requests t`,
		"new_emails":              `SELECT user_id::text, '', md5(t::text) FROM new_emails t`,
		"former_emails":           `SELECT user_id::text, '', md5(t::text) FROM former_emails t`,
	},
}

type row struct{ table, owner, key string }

// snapshot returns the digest of every row of both databases.
func snapshot(t *testing.T) map[row]string {
	t.Helper()
	rows := map[row]string{}
	for name, queries := range tables {
		// The owner of the tables, which reads all of them.
		u, err := url.Parse(stack.Info.Databases[name].URL)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword("db_migrate", secret(t, map[string]string{"scores": "ScoresDbPassword", "users": "UsersDbPassword"}[name]))
		db, err := sql.Open("postgres", u.String())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var there []string
		found, err := db.Query(`SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'goose%' AND tablename <> 'applied_files'`)
		if err != nil {
			t.Fatal(err)
		}
		for found.Next() {
			var table string
			if err := found.Scan(&table); err != nil {
				t.Fatal(err)
			}
			there = append(there, table)
		}
		slices.Sort(there)
		if known := slices.Sorted(maps.Keys(queries)); !slices.Equal(there, known) {
			t.Fatalf("the %s database has the tables %v, and this test knows %v", name, there, known)
		}
		for table, query := range queries {
			if query == "" {
				continue
			}
			found, err := db.Query(query)
			if err != nil {
				t.Fatalf("%s.%s: %v", name, table, err)
			}
			for found.Next() {
				r := row{table: name + "." + table}
				var digest string
				if err := found.Scan(&r.owner, &r.key, &digest); err != nil {
					t.Fatal(err)
				}
				rows[r] = digest
			}
			if err := found.Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return rows
}

// account checks every difference against what successful answers reported.
func (f *flood) account(t *testing.T, before, after map[row]string) {
	t.Helper()
	made := map[string][]string{}
	for r, digest := range after {
		old, there := before[r]
		if old == digest {
			continue
		}
		if !there {
			made[r.table] = append(made[r.table], r.owner)
		}
		if !f.allowed(r) {
			t.Errorf("%s of %s: a row is new or changed, but no answer reported it", r.table, r.owner)
		}
	}
	for r := range before {
		if _, there := after[r]; !there && !f.allowed(r) {
			t.Errorf("%s of %s: a row is gone, but no answer reported it", r.table, r.owner)
		}
	}
	for table, said := range map[string]map[string]bool{"scores.boards": f.done.boards, "scores.entries": f.done.entries} {
		slices.Sort(made[table])
		if want := slices.Sorted(maps.Keys(said)); !slices.Equal(made[table], want) {
			t.Errorf("%s has %d new rows, but answers reported %d", table, len(made[table]), len(want))
		}
	}
	// Only admins add events of other systems.
	listed := map[string]bool{}
	for _, e := range events(t, f.root.token, "actor=user/"+f.root.id+"&limit=100") {
		if !strings.HasPrefix(e.Source, "/plaudit/") {
			listed[e.LogID] = true
		}
	}
	if !maps.Equal(listed, f.done.events) || len(listed) < 20 {
		t.Errorf("the audit log has %d events of other systems, but answers reported %d", len(listed), len(f.done.events))
	}
	if len(f.done.entries) < 50 || len(f.done.boards) < 5 || len(f.done.accounts) < 5 {
		t.Errorf("only %d entries, %d boards and %d accounts were created: the changes to valid requests are too large", len(f.done.entries), len(f.done.boards), len(f.done.accounts))
	}
}

func (f *flood) allowed(r row) bool {
	d := f.done
	switch r.table {
	case "scores.boards", "scores.board_people":
		return d.boards[r.owner] || d.changed[r.owner]
	case "scores.runs":
		for player := range d.players {
			if strings.HasPrefix(player, r.owner+"/") {
				return true
			}
		}
		return false
	case "scores.players", "scores.standings", "scores.link_refusals":
		return d.players[r.owner]
	case "scores.entries", "scores.entry_keys":
		return d.entries[r.owner]
	case "scores.outbox":
		board, player, isPlayer := strings.Cut(strings.TrimPrefix(r.owner, "board/"), "/player/")
		return d.entries[r.owner] || isPlayer && d.players[board+"/"+player] || d.boards[board] || d.changed[board]
	case "users.outbox":
		// Events of failed logins, whose subject is the account.
		return strings.HasSuffix(r.owner, " failed") || f.mayDiffer(strings.TrimPrefix(r.owner, "user/"))
	}
	return f.mayDiffer(r.owner)
}

// mayDiffer reports whether rows of a user may differ: if an answer reported it, or
// if the user is a victim, whose session ends because the flood sends its refresh
// token more than once.
func (f *flood) mayDiffer(user string) bool {
	for _, v := range f.victims {
		if v.id == user {
			return true
		}
	}
	return f.done.users[user]
}
