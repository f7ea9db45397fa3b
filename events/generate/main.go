// Command generate writes the sample events beside it: what the load balancer
// would hand to each function, case by case. A file is named
// <function>/<case>.<expected status>.json.
//
//	go run ./events/generate
//
// The events carry tokens signed by a sample key. Its public half goes into
// samconfig.toml, for the stage local only; its private half is thrown away.
package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"plaudit/shared/access"
	"plaudit/shared/jose"
)

// The sample users. Nobody has these ids; they only sign events.
const (
	admin  = "00000000-0000-7000-8000-0000000000ad"
	member = "00000000-0000-7000-8000-0000000000e0"
)

// sample is one event.
type sample struct {
	function, name, status string
	who                    string // a sample user, or nobody
	method, target, body   string // target is the path with its query
	key                    string // Idempotency-Key
}

var samples = []sample{
	{function: "score-add", name: "one-entry", status: "201", who: admin, method: "POST", target: "/v1/boards/demo/entries",
		body: `{"player":"bib-104","reason":"10k","profile":{"display_name":"Sam Pell"}}`},
	{function: "score-add", name: "key-reused", status: "422", who: admin, method: "POST", target: "/v1/boards/demo/entries",
		body: `{"player":"bib-101","reason":"dnf"}`, key: "demo-bib-101"},
	{function: "score-add", name: "points-no-integer", status: "400", who: admin, method: "POST", target: "/v1/boards/demo/entries",
		body: `{"player":"bib-101","points":42.0}`},
	{function: "score-add", name: "reason-unknown", status: "400", who: admin, method: "POST", target: "/v1/boards/demo/entries",
		body: `{"player":"bib-101","reason":"marathon"}`},
	{function: "score-add", name: "no-token", status: "401", method: "POST", target: "/v1/boards/demo/entries",
		body: `{"player":"bib-101","reason":"full"}`},
	{function: "score-add", name: "not-a-writer", status: "403", who: member, method: "POST", target: "/v1/boards/demo/entries",
		body: `{"player":"bib-101","reason":"full"}`},
	{function: "score-add", name: "board-unknown", status: "404", who: admin, method: "POST", target: "/v1/boards/nowhere/entries",
		body: `{"player":"bib-101","reason":"full"}`},

	{function: "score-query", name: "board", status: "200", method: "GET", target: "/v1/boards/demo"},
	{function: "score-query", name: "standings", status: "200", method: "GET", target: "/v1/boards/demo/standings?limit=10"},
	{function: "score-query", name: "standing", status: "200", method: "GET", target: "/v1/boards/demo/standings/bib-101"},
	{function: "score-query", name: "limit-too-large", status: "400", method: "GET", target: "/v1/boards/demo/standings?limit=1001"},
	{function: "score-query", name: "player-unknown", status: "404", method: "GET", target: "/v1/boards/demo/standings/nobody"},

	{function: "board-admin", name: "title", status: "200", who: admin, method: "PATCH", target: "/v1/boards/demo", body: `{"title":"Demo race"}`},
	{function: "board-admin", name: "title-too-long", status: "400", who: admin, method: "PATCH", target: "/v1/boards/demo",
		body: `{"title":"` + strings.Repeat("a", 201) + `"}`},
	{function: "board-admin", name: "not-an-organizer", status: "403", who: member, method: "POST", target: "/v1/boards", body: `{"id":"mine","title":"Mine"}`},
	{function: "board-admin", name: "board-taken", status: "409", who: admin, method: "POST", target: "/v1/boards", body: `{"id":"demo","title":"Mine"}`},
	{function: "board-admin", name: "method", status: "405", who: admin, method: "DELETE", target: "/v1/boards/demo"},
}

func main() {
	if err := run("events", "samconfig.toml"); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(folder, samconfig string) error {
	private, jwks, err := jose.GenerateKey()
	if err != nil {
		return err
	}
	signer, err := jose.NewSigner(private)
	if err != nil {
		return err
	}
	tokens := map[string]string{}
	for user, role := range map[string]access.Role{admin: access.Admin, member: access.Member} {
		if tokens[user], err = signer.Sign(access.Caller{User: user, Role: role}, 50*365*24*time.Hour); err != nil {
			return err
		}
	}
	for _, s := range samples {
		event, err := s.event(tokens[s.who])
		if err != nil {
			return err
		}
		if err := write(filepath.Join(folder, s.function, s.name+"."+s.status+".json"), event); err != nil {
			return err
		}
	}
	if err := write(filepath.Join(folder, "db-migrate", "again.ok.json"), struct{}{}); err != nil {
		return err
	}
	return trust(samconfig, jwks)
}

// event is the sample in the load balancer's shape, with multi-value headers
// on.
func (s sample) event(token string) (events.ALBTargetGroupRequest, error) {
	path, rawQuery, _ := strings.Cut(s.target, "?")
	query, err := url.ParseQuery(rawQuery)
	headers := map[string][]string{
		"host":              {"127.0.0.1:8080"},
		"user-agent":        {"sample"},
		"accept":            {"*/*"},
		"x-forwarded-for":   {"127.0.0.1"},
		"x-forwarded-port":  {"80"},
		"x-forwarded-proto": {"http"},
		"x-amzn-trace-id":   {"Root=1-00000000-000000000000000000000001"},
	}
	if token != "" {
		headers["authorization"] = []string{"Bearer " + token}
	}
	if s.key != "" {
		headers["idempotency-key"] = []string{s.key}
	}
	if s.body != "" {
		headers["content-type"] = []string{"application/json"}
		headers["content-length"] = []string{fmt.Sprint(len(s.body))}
	}
	return events.ALBTargetGroupRequest{
		HTTPMethod: s.method, Path: path, MultiValueQueryStringParameters: query, MultiValueHeaders: headers, Body: s.body,
		RequestContext: events.ALBTargetGroupRequestContext{ELB: events.ELBContext{
			TargetGroupArn: "arn:aws:elasticloadbalancing:ap-northeast-2:000000000000:targetgroup/plaudit-local-" + s.function + "/0000000000000000",
		}},
	}, err
}

func write(file string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

var sampleJwks = regexp.MustCompile(`(?m)^  'SampleJwks=.*',$`)

// trust puts the sample key's public half into the stage local.
func trust(samconfig, jwks string) error {
	text, err := os.ReadFile(samconfig)
	if err != nil {
		return err
	}
	if len(sampleJwks.FindAll(text, -1)) != 1 {
		return fmt.Errorf("%s has no line that begins with 'SampleJwks=", samconfig)
	}
	line := `  'SampleJwks="` + strings.ReplaceAll(jwks, `"`, `\"`) + `"',`
	return os.WriteFile(samconfig, sampleJwks.ReplaceAllLiteral(text, []byte(line)), 0o644)
}
