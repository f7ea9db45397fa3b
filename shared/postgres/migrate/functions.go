package migrate

import (
	"context"
	"fmt"
	"path"
	"slices"
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

// routine is a function or an aggregate of the database.
type routine struct {
	OID          int64
	Schema, Name string
	Signature    string // as DROP ROUTINE takes it
	Version      string // of its row in pg_proc: each change makes a new one
}

// applyFunctions brings the database's functions up to date with the files, all or
// nothing. It applies the files that changed since they were last applied and those
// whose function a migration dropped, and drops a function whose file is gone. So the
// file of a function that the previous version still calls must stay for one more
// release.
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
	all, err := routines(ctx, tx)
	if err != nil {
		return err
	}
	for _, one := range f.functions {
		digest, ok := applied[one.path]
		delete(applied, one.path)
		if ok && digest == one.digest && len(of(all, one.path)) > 0 {
			continue
		}
		if all, err = applyFunction(ctx, tx, one, all); err != nil {
			return fmt.Errorf("%s: %w", one.path, err)
		}
		if _, err := tx.ExecContext(ctx, recordFile, one.path, one.digest); err != nil {
			return err
		}
	}
	var gone []routine
	for file := range applied {
		gone = append(gone, of(all, file)...)
		if _, err := tx.ExecContext(ctx, `DELETE FROM applied_files WHERE path = $1`, file); err != nil {
			return err
		}
	}
	if err := drop(ctx, tx, gone); err != nil {
		return fmt.Errorf("drop the functions whose files are gone: %w", err)
	}
	if err := f.validate(ctx, tx, all); err != nil {
		return err
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

// of returns the routines with the name of a file's function.
func of(all []routine, file string) (found []routine) {
	schema, name := function(file)
	for _, r := range all {
		if r.Schema == schema && r.Name == name {
			found = append(found, r)
		}
	}
	return found
}

// applyFunction runs a function's file and returns the routines that exist afterwards.
// A function that Go calls never changes its parameters or its result, because old
// code keeps calling it. An internal function is replaced, whatever changed.
func applyFunction(ctx context.Context, tx *sqlx.Tx, one file, all []routine) ([]routine, error) {
	schema, name := function(one.path)
	before := of(all, one.path)
	if _, err := tx.ExecContext(ctx, `SAVEPOINT apply`); err != nil {
		return nil, err
	}
	if err := revoke(ctx, tx, before); err != nil {
		return nil, err
	}
	_, err := tx.ExecContext(ctx, one.text)
	if redefined(err) && schema == internalSchema && len(before) > 0 {
		if _, err := tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT apply`); err != nil {
			return nil, err
		}
		if err := drop(ctx, tx, before); err != nil {
			return nil, err
		}
		before = nil
		_, err = tx.ExecContext(ctx, one.text)
	}
	if redefined(err) {
		err = fmt.Errorf("%w; %s", err, rename)
	}
	if err != nil {
		return nil, err
	}
	after, err := routines(ctx, tx)
	if err != nil {
		return nil, err
	}
	made := slices.DeleteFunc(slices.Clone(after), func(r routine) bool { return slices.Contains(all, r) })
	if len(made) != 1 || made[0].Schema != schema || made[0].Name != name {
		return nil, fmt.Errorf("the file must define the function %s.%s, because of its name, and no other", schema, name)
	}
	if len(before) == 0 || slices.ContainsFunc(before, func(r routine) bool { return r.OID == made[0].OID }) {
		return after, nil
	}
	// The parameters have changed, so the old function still exists.
	if schema != internalSchema {
		return nil, fmt.Errorf("both %s and %s would exist; %s", before[0].Signature, made[0].Signature, rename)
	}
	if err := drop(ctx, tx, before); err != nil {
		return nil, err
	}
	return routines(ctx, tx)
}

// redefined reports whether a file failed because the database has its function with
// another result, another parameter name or, if the file then names the function
// without its parameters, other parameters.
func redefined(err error) bool {
	return pq.As(err, pqerror.InvalidFunctionDefinition, pqerror.AmbiguousFunction) != nil
}

const rename = "a function that Go calls must keep its parameters and its result: put the new function into a file with the next version in its name"

// routines returns the functions and aggregates of the schemas that the files fill.
func routines(ctx context.Context, tx *sqlx.Tx) (all []routine, err error) {
	err = tx.SelectContext(ctx, &all, `
		SELECT p.oid, n.nspname AS schema, p.proname AS name, p.oid::regprocedure::text AS signature, p.ctid::text AS version
		FROM pg_proc p
		JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname IN ('public', $1)`, internalSchema)
	return all, err
}

// revoke revokes all grants of routines. CREATE OR REPLACE would keep them, and the
// routines' files grant what they must.
func revoke(ctx context.Context, tx *sqlx.Tx, list []routine) error {
	for _, r := range list {
		var grantees []string
		err := tx.SelectContext(ctx, &grantees, `
			SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
			FROM pg_proc p
			CROSS JOIN aclexplode(p.proacl) a
			WHERE p.oid = $1::oid AND a.grantee <> p.proowner`, r.OID)
		if err != nil {
			return err
		}
		for _, grantee := range grantees {
			if _, err := tx.ExecContext(ctx, `REVOKE ALL ON ROUTINE `+r.Signature+` FROM `+grantee); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop drops routines in one statement, because one may depend on another.
func drop(ctx context.Context, tx *sqlx.Tx, list []routine) error {
	if len(list) == 0 {
		return nil
	}
	var signatures []string
	for _, r := range list {
		signatures = append(signatures, r.Signature)
	}
	_, err := tx.ExecContext(ctx, `DROP ROUTINE `+strings.Join(signatures, ", "))
	return err
}

// validate has the languages check the bodies of all files' functions, because an
// unchanged function may call one that has changed or is gone. PL/pgSQL checks only
// its own syntax and declarations.
func (f files) validate(ctx context.Context, tx *sqlx.Tx, all []routine) error {
	if _, err := tx.ExecContext(ctx, `SET LOCAL check_function_bodies = on`); err != nil {
		return err
	}
	for _, one := range f.functions {
		for _, r := range of(all, one.path) {
			// Aggregates (language internal) have no body.
			_, err := tx.ExecContext(ctx, `
				SELECT CASE l.lanname WHEN 'plpgsql' THEN plpgsql_validator(p.oid)::text WHEN 'sql' THEN fmgr_sql_validator(p.oid)::text END
				FROM pg_proc p
				JOIN pg_language l ON l.oid = p.prolang
				WHERE p.oid = $1::oid`, r.OID)
			if err != nil {
				return fmt.Errorf("%s: %w", one.path, err)
			}
		}
	}
	return nil
}
