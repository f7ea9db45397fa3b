package migrate_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"

	"plaudit/shared/postgres"
	"plaudit/shared/postgres/migrate"
	"plaudit/shared/postgres/pgtest"
)

// Two migrations of one database at once end well, and leave what one alone
// leaves, whether both, one or none of them makes the roles. Both kinds of database
// do so at the same time, in clusters of their own, and so do the databases of one
// cluster, which share its roles.
func TestTwoMigrationsAtOnce(t *testing.T) {
	t.Parallel()
	const pairs = 30
	for _, kind := range []string{"scores", "users"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := pgtest.NewCluster(t, "alone")
			config := func(database string, master bool) migrate.Config {
				m := migrate.Config{Database: kind, Config: c.Config("db_migrate", "hush", database), ScoreConcurrency: 3, OtherConcurrency: 30}
				if master {
					m.Master = &c.Master
				}
				return m
			}
			owner := func(database string) *sqlx.DB {
				db, err := postgres.Open(c.Config("db_migrate", "hush", database))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { db.Close() })
				return db
			}
			var pair [pairs]string
			as, err := postgres.Open(c.Config(c.Master.Username, c.Master.Password, "alone"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { as.Close() })
			for i := range pair {
				pair[i] = fmt.Sprint("pair_", i)
				as.MustExec(`CREATE DATABASE ` + pair[i])
			}

			up := func(name string, masters ...bool) {
				var wg sync.WaitGroup
				for _, master := range masters {
					wg.Go(func() {
						if _, err := migrate.Up(t.Context(), config(name, master)); err != nil {
							t.Errorf("%s, with the master %v: %v", name, masters, err)
						}
					})
				}
				wg.Wait()
			}
			// All at once: those of a cluster share its roles.
			all := func(masters func(i int) []bool) {
				var wg sync.WaitGroup
				for i, name := range pair {
					if m := masters(i); m != nil {
						wg.Go(func() { up(name, m...) })
					}
				}
				wg.Wait()
			}
			// The first find no roles.
			all(func(i int) []bool { return map[int][]bool{0: {true, true}}[i%3] })
			for i, name := range pair {
				if i%3 > 0 {
					db, err := postgres.Open(c.Config(c.Master.Username, c.Master.Password, name))
					if err != nil {
						t.Fatal(err)
					}
					if err := migrate.MakeRoles(t.Context(), db, config(name, true)); err != nil {
						t.Fatal(err)
					}
					db.Close()
				}
			}
			all(func(i int) []bool { return map[int][]bool{1: {true, false}, 2: {false, false}}[i%3] })
			up("alone", true)
			if t.Failed() {
				return
			}
			want := schemaOf(t, owner("alone"))
			if !strings.Contains(want, "outbox") {
				t.Fatalf("the schema is only\n%s", want)
			}
			for _, name := range pair {
				sameSchema(t, schemaOf(t, owner(name)), want)
			}
		})
	}
}
