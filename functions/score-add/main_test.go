package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/boot/boottest"
	"plaudit/shared/ddb/ddbtest"
	"plaudit/shared/jose"
	"plaudit/shared/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// stack is what functions need as they are built: one database, the tables of the log, and an organizer's token.
type stack struct {
	*testing.T
	db          *pgtest.Database
	tables      ddbtest.Stack
	jwks, token string
}

func newStack(t *testing.T) stack {
	t.Helper()
	pem, jwks, err := jose.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(pem)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(access.Caller{User: "o", Role: access.Organizer}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return stack{t, pgtest.Scores(t), ddbtest.Tables(t), jwks, token}
}

type answer struct {
	StatusCode        int
	Body              string
	MultiValueHeaders map[string][]string
}

// start builds and starts the function in a folder, and returns it and how to send it a
// request.
func (s stack) start(dir, role string, env ...string) (*boottest.Process, func(method, path, body string, headers ...string) answer) {
	s.Helper()
	config, runtime := s.db.Config(role), boottest.StartRuntime(s)
	p := boottest.Run(s, boottest.Build(s, dir), append([]string{runtime.Env, "STAGE=local", "AWS_REGION=ap-northeast-2",
		"JWKS=" + s.jwks, "SAMPLE_JWKS=", "ALLOWED_ORIGINS=", "DB_AUTH=password", "SCORES_DSN=" + config.DSN, "SCORES_PASSWORD=" + config.Password,
		"BOARDS_PER_ACCOUNT=100", "CATALOGUE_BYTES=100000"}, append(s.tables.Env(), env...)...)...)
	return p, func(method, path, body string, headers ...string) answer {
		s.Helper()
		h := map[string][]string{"host": {"example.org"}, "authorization": {"Bearer " + s.token}, "content-type": {"application/json"}, "x-forwarded-for": {"192.0.2.1"}}
		for i := 0; i+1 < len(headers); i += 2 {
			h[headers[i]] = []string{headers[i+1]}
		}
		event, err := json.Marshal(map[string]any{
			"requestContext": map[string]any{"elb": map[string]string{"targetGroupArn": "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/t/1"}},
			"httpMethod":     method, "path": path, "multiValueQueryStringParameters": map[string][]string{},
			"multiValueHeaders": h, "body": body, "isBase64Encoded": false,
		})
		if err != nil {
			s.Fatal(err)
		}
		runtime.Send(string(event))
		got := runtime.Answer()
		var a answer
		if err := json.Unmarshal([]byte(got.Body), &a); err != nil || got.Failed {
			s.Fatalf("%s %s: %+v", method, path, got)
		}
		return a
	}
}

// The three functions of scores as they are built, over one database.
func TestAScoreGoesInAndComesOutRanked(t *testing.T) {
	s := newStack(t)
	_, admin := s.start("../board-admin", "board_admin")
	process, add := s.start(".", "score_add")
	_, query := s.start("../score-query", "score_query")

	if a := admin("POST", "/v1/boards", `{"id":"race","catalogue":{"full":42,"half":20}}`); a.StatusCode != 201 {
		t.Fatalf("a board: %+v", a)
	}
	for i, reason := range []string{"half", "full", "full"} {
		body := fmt.Sprintf(`{"player":"%d","reason":%q,"occurred_at":"2026-04-05T12:0%d:00Z"}`, 100+i, reason, i)
		first := add("POST", "/v1/boards/race/entries", body, "idempotency-key", fmt.Sprint("k", i))
		again := add("POST", "/v1/boards/race/entries", body, "idempotency-key", fmt.Sprint("k", i))
		if first.StatusCode != 201 || again.StatusCode != 200 || again.Body != first.Body || fmt.Sprint(again.MultiValueHeaders["Idempotency-Replayed"]) != "[true]" {
			t.Errorf("an entry: %+v, again %+v", first, again)
		}
	}
	table := query("GET", "/v1/boards/race/standings", "")
	var page struct {
		Of    int
		Items []struct {
			Rank   int
			Player string
			Score  int
		}
	}
	if err := json.Unmarshal([]byte(table.Body), &page); err != nil || page.Of != 3 || fmt.Sprint(page.Items) != "[{1 101 42} {2 102 42} {3 100 20}]" {
		t.Errorf("the table is %+v", table)
	}
	if line := process.Line("request"); line["actor"] != "user/o" || line["board"] != "race" || line["Route"] != "POST /v1/boards/{board}/entries" {
		t.Errorf("the request's line is %v", line)
	}
	if a := admin("DELETE", "/v1/boards/race", ""); a.StatusCode != 405 || !strings.Contains(fmt.Sprint(a.MultiValueHeaders["Allow"]), "PATCH") {
		t.Errorf("a method that no function serves: %+v", a)
	}
	if a := admin("PATCH", "/v1/boards/race", `{"state":"closed"}`); a.StatusCode != 200 {
		t.Errorf("closing it: %+v", a)
	}
	if a := add("POST", "/v1/boards/race/entries", `{"player":"104","reason":"full"}`); a.StatusCode != 409 {
		t.Errorf("an entry on a closed board: %+v", a)
	}
}
