package migrate

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// The databases' SQL, a folder a database:
//
//	migrations/  tables, indexes and types: goose migrations, forward only, each safe
//	             to run while the previous version is serving
//	functions/   one function a file, with the file's name; the functions of
//	             functions/internal are in the schema internal
//
//go:embed scores users
var embedded embed.FS

// file is one SQL file of a database.
type file struct {
	path   string // e.g. functions/internal/fold.sql
	text   string
	digest string // SHA-256 of the text, in hex
}

// files are the SQL files of one database.
type files struct {
	root       fs.FS
	migrations []file // by version
	functions  []file
}

func readFiles(name string) (files, error) {
	root, err := fs.Sub(embedded, name)
	if err != nil {
		return files{}, err
	}
	return readFrom(root)
}

func readFrom(root fs.FS) (files, error) {
	f := files{root: root}
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, p)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		one := file{p, string(text), hex.EncodeToString(sum[:])}
		if strings.HasPrefix(p, migrationsDir+"/") {
			f.migrations = append(f.migrations, one)
		} else {
			f.functions = append(f.functions, one)
		}
		return nil
	})
	return f, err
}

const migrationsDir = "migrations"

// appliedFiles creates the table of the files that have been applied.
const appliedFiles = `
	CREATE TABLE IF NOT EXISTS applied_files (
		path       text PRIMARY KEY,
		digest     text NOT NULL,
		applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
	)`

const recordFile = `
	INSERT INTO applied_files (path, digest) VALUES ($1, $2)
	ON CONFLICT (path) DO UPDATE SET digest = excluded.digest, applied_at = excluded.applied_at`

// apply brings the schema up to date. The caller holds the database's lock.
func (f files) apply(ctx context.Context, db *sqlx.DB) (Versions, error) {
	if _, err := db.ExecContext(ctx, appliedFiles); err != nil {
		return Versions{}, err
	}
	goosed, err := database.NewStore(database.DialectPostgres, goose.DefaultTablename)
	if err != nil {
		return Versions{}, err
	}
	migrations, err := fs.Sub(f.root, migrationsDir)
	if err != nil {
		return Versions{}, err
	}
	provider, err := goose.NewProvider(goose.DialectCustom, db.DB, migrations,
		goose.WithStore(store{goosed, f.migrations}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return Versions{}, err
	}
	from, err := provider.GetDBVersion(ctx)
	if err != nil {
		return Versions{}, err
	}
	if err := f.check(ctx, db, from); err != nil {
		return Versions{}, err
	}
	if _, err := provider.Up(ctx); err != nil {
		return Versions{}, err
	}
	to, err := provider.GetDBVersion(ctx)
	if err != nil {
		return Versions{}, err
	}
	return Versions{From: from, To: to}, f.applyFunctions(ctx, db)
}

// store keeps goose's table of versions. It also records the digest of each
// migration, in the transaction that applies the migration.
type store struct {
	database.Store
	migrations []file
}

// Insert records a migration that was just applied.
func (s store) Insert(ctx context.Context, db database.DBTxConn, r database.InsertRequest) error {
	if err := s.Store.Insert(ctx, db, r); err != nil {
		return err
	}
	for _, m := range s.migrations {
		if version(m) == r.Version {
			_, err := db.ExecContext(ctx, recordFile, m.path, m.digest)
			return err
		}
	}
	return nil // version 0, with which goose begins its table
}

// version returns the version with which a migration's name begins.
func version(m file) int64 {
	v, _ := goose.NumericComponent(path.Base(m.path)) // goose refuses a name without one
	return v
}

// check returns an error unless the migrations that were applied to the database
// are the first of ours, with the same text.
func (f files) check(ctx context.Context, db *sqlx.DB, at int64) error {
	applied, err := digests(ctx, db, migrationsDir+"/")
	if err != nil {
		return err
	}
	if at > 0 && len(applied) == 0 {
		return errors.New("the database was made by a development version of Plaudit, before the baseline of its migrations; delete the old data (on a laptop, with make clean)")
	}
	for _, m := range f.migrations {
		digest, ok := applied[m.path]
		delete(applied, m.path)
		if ok && digest != m.digest {
			return fmt.Errorf("%s was changed after it had been applied to this database; restore its text and put the change into a new migration, or on a laptop delete the data with make clean", m.path)
		}
	}
	if len(applied) > 0 {
		unknown := strings.Join(slices.Sorted(maps.Keys(applied)), ", ")
		return fmt.Errorf("%s was applied to this database, but this version of Plaudit does not contain it; deploy a version that does", unknown)
	}
	return nil
}

// digests returns the digests of the applied files below a path.
func digests(ctx context.Context, db sqlx.QueryerContext, below string) (map[string]string, error) {
	var rows []struct{ Path, Digest string }
	if err := sqlx.SelectContext(ctx, db, &rows, `SELECT path, digest FROM applied_files WHERE starts_with(path, $1)`, below); err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, r := range rows {
		found[r.Path] = r.Digest
	}
	return found, nil
}
