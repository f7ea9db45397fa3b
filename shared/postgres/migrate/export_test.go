package migrate

import (
	"context"
	"io/fs"

	"github.com/jmoiron/sqlx"
)

// What the tests in package migrate_test see of the inside.
var (
	MakeRoles     = makeRoles
	ScramVerifier = scramVerifier
)

// Embedded returns the folder with a database's SQL.
func Embedded(database string) (fs.FS, error) { return fs.Sub(embedded, database) }

// Apply brings a database up to date with the files of a folder, as Up does with
// the embedded ones.
func Apply(ctx context.Context, db *sqlx.DB, root fs.FS) (done Versions, err error) {
	f, err := readFrom(root)
	if err != nil {
		return Versions{}, err
	}
	err = locked(ctx, db, func() error {
		done, err = f.apply(ctx, db)
		return err
	})
	return done, err
}

// RolesOf returns the names of the roles of a database, its owner's first.
func RolesOf(database string) (names []string) {
	for _, r := range rolesOf[database] {
		names = append(names, r.name)
	}
	return names
}
