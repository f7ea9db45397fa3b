package scores_test

import "testing"

// Without one of the functions that score_query may call, it is not ready. Only those of
// the previous release may be missing.
func TestNotReadyWithoutAFunction(t *testing.T) {
	s := newScores(t, 1)
	reader := s.reader.Tables
	if err := reader.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	var functions []string
	if err := s.db.Owner().Select(&functions, `
		SELECT oid::regprocedure::text FROM pg_proc
		WHERE pronamespace = 'public'::regnamespace AND has_function_privilege('score_query', oid, 'EXECUTE')
			AND proname NOT IN ('board_v1', 'linked_v1')`); err != nil || len(functions) < 5 {
		t.Fatalf("%d functions, %v", len(functions), err)
	}
	for _, f := range functions {
		s.db.Owner().MustExec(`ALTER FUNCTION ` + f + ` SET SCHEMA internal`)
		if reader.Ready(t.Context()) == nil {
			t.Errorf("ready without %s", f)
		}
		s.db.Owner().MustExec(`ALTER FUNCTION internal.` + f + ` SET SCHEMA public`)
	}
	if err := reader.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}
