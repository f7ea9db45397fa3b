package migrate

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

const (
	functionsDir = "functions"
	// internalSchema contains the functions that only other functions call.
	internalSchema = "internal"
)

// applyFunctions brings the database's functions up to date with the files, all or
// nothing. It applies the files that changed since they were last applied, and drops
// a function whose file is gone. So the file of a function that the previous version
// still calls must stay for one more release.
func (f files) applyFunctions(ctx context.Context, db *sqlx.DB) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	applied, err := digests(ctx, tx, functionsDir+"/")
	if err != nil {
		return err
	}
	// A function may call one whose file comes later, so the bodies are validated
	// after the last file.
	if _, err := tx.ExecContext(ctx, `SET LOCAL check_function_bodies = off`); err != nil {
		return err
	}
	changed := false
	for _, one := range f.functions {
		digest, ok := applied[one.path]
		delete(applied, one.path)
		if ok && digest == one.digest {
			continue
		}
		if err := applyFunction(ctx, tx, one); err != nil {
			return fmt.Errorf("%s: %w", one.path, err)
		}
		changed = true
		if _, err := tx.ExecContext(ctx, recordFile, one.path, one.digest); err != nil {
			return err
		}
	}
	for gone := range applied {
		changed = true
		schema, name := function(gone)
		found, err := routines(ctx, tx, schema, name)
		if err != nil {
			return err
		}
		if err := drop(ctx, tx, found); err != nil {
			return fmt.Errorf("%s is gone: %w", gone, err)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM applied_files WHERE path = $1`, gone); err != nil {
			return err
		}
	}
	if changed {
		if err := validate(ctx, tx); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// function returns the schema and the name of the function that a file defines.
func function(file string) (schema, name string) {
	schema = "public"
	if path.Base(path.Dir(file)) == internalSchema {
		schema = internalSchema
	}
	return schema, strings.TrimSuffix(path.Base(file), ".sql")
}

// applyFunction runs a function's file and returns the function's OID. A function
// that Go calls never changes its parameters or its result, because old code keeps
// calling it. An internal function is replaced, whatever changed.
func applyFunction(ctx context.Context, tx *sqlx.Tx, one file) error {
	schema, name := function(one.path)
	before, err := routines(ctx, tx, schema, name)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `SAVEPOINT apply`); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, one.text)
	if pq.As(err, pqerror.InvalidFunctionDefinition) != nil && schema == internalSchema && len(before) > 0 {
		// Its result or the name of a parameter has changed.
		if _, err := tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT apply`); err != nil {
			return err
		}
		if err := drop(ctx, tx, before); err != nil {
			return err
		}
		before = nil
		_, err = tx.ExecContext(ctx, one.text)
	}
	if pq.As(err, pqerror.InvalidFunctionDefinition) != nil {
		err = fmt.Errorf("%w; %s", err, rename)
	}
	if err != nil {
		return err
	}
	after, err := routines(ctx, tx, schema, name)
	if err != nil {
		return err
	}
	if len(after) == 0 {
		return fmt.Errorf("the file must define the function %s.%s, because of its name", schema, name)
	}
	if len(after) > 1 {
		// The parameters have changed, so the old function still exists.
		if schema != internalSchema {
			return fmt.Errorf("both %s would exist; %s", strings.Join(after, " and "), rename)
		}
		if err := drop(ctx, tx, before); err != nil {
			return err
		}
	}
	return nil
}

const rename = "a function that Go calls must keep its parameters and its result: put the new function into a file with the next version in its name"

// routines returns the signatures of the functions and aggregates of a name, as
// DROP ROUTINE takes them, the newest last.
func routines(ctx context.Context, tx *sqlx.Tx, schema, name string) (signatures []string, err error) {
	err = tx.SelectContext(ctx, &signatures, `
		SELECT p.oid::regprocedure::text
		FROM pg_proc p
		JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = $1 AND p.proname = $2
		ORDER BY p.oid`, schema, name)
	return signatures, err
}

func drop(ctx context.Context, tx *sqlx.Tx, signatures []string) error {
	for _, s := range signatures {
		if _, err := tx.ExecContext(ctx, `DROP ROUTINE `+s); err != nil {
			return err
		}
	}
	return nil
}

// validate has the languages check the bodies of all functions, because an unchanged
// function may call one that has changed or is gone. PL/pgSQL checks only its own
// syntax and declarations.
func validate(ctx context.Context, tx *sqlx.Tx) error {
	if _, err := tx.ExecContext(ctx, `SET LOCAL check_function_bodies = on`); err != nil {
		return err
	}
	// Aggregates and functions of extensions are in other languages.
	_, err := tx.ExecContext(ctx, `
		SELECT CASE l.lanname WHEN 'plpgsql' THEN plpgsql_validator(p.oid)::text ELSE fmgr_sql_validator(p.oid)::text END
		FROM pg_proc p
		JOIN pg_language l ON l.oid = p.prolang
		JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname IN ('public', $1) AND l.lanname IN ('plpgsql', 'sql')`, internalSchema)
	if e := pq.As(err); e != nil && e.Where != "" {
		return fmt.Errorf("%s: %w", e.Where, err)
	}
	return err
}
