package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"plaudit/shared/boot/boottest"
	"plaudit/shared/postgres"
	"plaudit/shared/postgres/migrate"
	"plaudit/shared/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestBothDatabasesAreMigrated(t *testing.T) {
	scores, users := pgtest.NewCluster(t, "scores"), pgtest.NewCluster(t, "users")
	dsn := func(c *pgtest.Cluster, database string) string {
		return c.Config("db_migrate", "", database).DSN
	}
	runtime := boottest.StartRuntime(t)
	program := boottest.Run(t, boottest.Build(t, "."), runtime.Env,
		"AWS_REGION=ap-northeast-2", "DB_AUTH=password", "SCORE_CONCURRENCY=3", "OTHER_CONCURRENCY=2",
		"SCORES_DSN="+dsn(scores, "scores"), "SCORES_PASSWORD=scores-hush",
		"USERS_DSN="+dsn(users, "users"), "USERS_PASSWORD=users-hush")
	invoke := func(event string) boottest.Answer {
		runtime.Send(event)
		return runtime.Answer()
	}

	for event, want := range map[string]string{
		`{}`: `cannot log in`,
		`{"masters": {"audit": {"username": "x", "password": "hush"}}}`:  `unknown database \"audit\"`,
		`{"masters": {"scores": {"username": "x", "password": "hush"}}}`: "migrate the scores database: the master user cannot log in",
	} {
		if a := invoke(event); !a.Failed || !strings.Contains(a.Body, want) {
			t.Errorf("%s is answered with %s", event, a.Body)
		}
	}

	type result map[string]migrate.Versions
	read := func(a boottest.Answer) (out result) {
		if err := json.Unmarshal([]byte(a.Body), &out); err != nil || a.Failed || len(out) != 2 {
			t.Fatalf("answered %s", a.Body)
		}
		return out
	}
	first := read(invoke(fmt.Sprintf(`{"masters": {"scores": %s, "users": %s}}`, encode(t, scores.Master), encode(t, users.Master))))
	for name, m := range first {
		if m.From != 0 || m.To < 1 {
			t.Errorf("%s went from %d to %d", name, m.From, m.To)
		}
	}
	for name, m := range read(invoke(`{}`)) {
		if m.From != first[name].To || m.To != first[name].To {
			t.Errorf("again, %s went from %d to %d", name, m.From, m.To)
		}
	}
	for role, c := range map[string]postgres.Config{
		"score_add":     scores.Config("score_add", "scores-hush", "scores"),
		"users_service": users.Config("users_service", "users-hush", "users"),
	} {
		db, err := postgres.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := pgtest.Ping(t.Context(), db); err != nil {
			t.Errorf("%s: %v", role, err)
		}
		db.Close()
	}

	program.Terminate()
	if status := program.Wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	for _, secret := range []string{"hush", scores.Master.Password} {
		if strings.Contains(program.Output(), secret) {
			t.Errorf("the log holds a password:\n%s", program.Output())
		}
	}
}

func encode(t *testing.T, m migrate.Master) string {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
