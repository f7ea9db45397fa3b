package e2e

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"os"
	"testing"

	"github.com/lib/pq"
)

// docs/operating.md: the URLs of run.json read every table and change none.
func TestOperatorReadsEveryTable(t *testing.T) {
	for name, least := range map[string]int{"scores": 8, "users": 6} {
		db, err := sql.Open("postgres", stack.Info.Databases[name].URL)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		rows, err := db.QueryContext(t.Context(), `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`)
		if err != nil {
			t.Fatal(err)
		}
		var tables []string
		for rows.Next() {
			var table string
			if err := rows.Scan(&table); err != nil {
				t.Fatal(err)
			}
			tables = append(tables, pq.QuoteIdentifier(table))
		}
		if err := rows.Err(); err != nil || len(tables) < least {
			t.Fatalf("%s has the tables %q, %v", name, tables, err)
		}
		for _, table := range tables {
			var n int
			if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := db.ExecContext(t.Context(), "DELETE FROM "+table+" WHERE false"); err == nil {
				t.Errorf("%s: the operator may delete from %s", name, table)
			}
		}
	}
}

// docs/operating.md: a request is one JSON line in laptop.log after its
// function's name, and not on the terminal.
func TestRequestsAreInTheLog(t *testing.T) {
	const id = "0af76519-16cd-43dd-8448-eb211c80319c"
	answered := want(t, 404, "GET", "/v1/boards/no-such-board", "", "", "X-Request-Id", id)
	requestID := answered.text(t, "request_id")
	if requestID == "" {
		t.Fatalf("the error has no request_id: %s", answered.body)
	}
	find := func(text []byte) []byte {
		for line := range bytes.Lines(text) {
			if bytes.Contains(line, []byte(requestID)) && bytes.Contains(line, []byte(`"Route":`)) {
				return line
			}
		}
		return nil
	}
	var line []byte
	eventually(t, "the request is in laptop.log", func() bool {
		log, err := os.ReadFile(stack.File("laptop.log"))
		if err != nil {
			t.Fatal(err)
		}
		line = find(log)
		return line != nil
	})
	name, object, _ := bytes.Cut(line, []byte(" "))
	var fields struct {
		Status    int
		RequestID string `json:"request_id"`
		TraceID   string `json:"trace_id"`
	}
	if err := json.Unmarshal(object, &fields); err != nil || string(name) != "plaudit-local-score-query" || fields.Status != 404 || fields.RequestID == "" || fields.TraceID == "" {
		t.Errorf("the line is %s (%v)", line, err)
	}
	if shown := find(stack.Log.Bytes()); shown != nil {
		t.Errorf("the terminal shows %s", shown)
	}
}
