// Command generate writes the sample events in the folder above, and the
// README that lists them.
//
//	go run ./events/generate
//
// The events contain tokens signed by a sample key. Its public half is written
// into samconfig.toml, for the stage local only; its private half is discarded.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"plaudit/events"
	"plaudit/shared/access"
	"plaudit/shared/jose"
)

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
	tokens := map[string]string{broken: "e30.e30.e30"}
	for user, role := range map[string]access.Role{admin: access.Admin, member: access.Member} {
		if tokens[user], err = signer.Sign(access.Caller{User: user, Role: role}, 50*365*24*time.Hour); err != nil {
			return err
		}
	}
	before, err := filepath.Glob(filepath.Join(folder, "*", "*.json"))
	if err != nil {
		return err
	}
	for _, file := range before {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	for _, s := range samples {
		event, err := json.Marshal(s.event(tokens[s.who]))
		if err != nil {
			return err
		}
		if err := write(folder, s.file(), event); err != nil {
			return err
		}
	}
	for _, d := range direct {
		if err := write(folder, d.function+"/"+d.name+"."+d.result+".json", []byte(d.event)); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "README.md"), readme(), 0o644); err != nil {
		return err
	}
	return trust(samconfig, jwks)
}

func (s sample) file() string { return s.function + "/" + s.name + "." + s.status + ".json" }

// event returns the event that the laptop's load balancer would pass on.
func (s sample) event(token string) events.Event {
	path, query, _ := strings.Cut(s.target, "?")
	e := events.Event{Method: s.method, Path: path, Query: map[string][]string{}, Body: s.body, Headers: map[string][]string{
		"host":              {"127.0.0.1:8080"},
		"user-agent":        {"sample"},
		"accept":            {"*/*"},
		"x-forwarded-for":   {"127.0.0.1"},
		"x-forwarded-port":  {"8080"},
		"x-forwarded-proto": {"http"},
		"x-amzn-trace-id":   {"Root=1-00000000-000000000000000000000001"},
	}}
	e.RequestContext.ELB.TargetGroupARN = "arn:aws:elasticloadbalancing:ap-northeast-2:000000000000:targetgroup/plaudit-local-" + s.function + "/0000000000000000"
	for pair := range strings.SplitSeq(query, "&") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			e.Query[name] = append(e.Query[name], value)
		}
	}
	if token != "" {
		e.Headers["authorization"] = []string{"Bearer " + token}
	}
	if s.key != "" {
		e.Headers["idempotency-key"] = []string{s.key}
	}
	if s.body != "" {
		e.Headers["content-type"] = []string{"application/json"}
		e.Headers["content-length"] = []string{fmt.Sprint(len(s.body))}
	}
	return e
}

func write(folder, name string, event []byte) error {
	var text bytes.Buffer
	if err := json.Indent(&text, event, "", "  "); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	text.WriteByte('\n')
	file := filepath.Join(folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text.Bytes(), 0o644)
}

// readme returns the page that lists the events.
func readme() []byte {
	var b bytes.Buffer
	b.WriteString(`# Sample events

These are events that the load balancer would pass to each function: ` + "`<function>/<case>.<expected status>.json`" + `, or ` + "`.ok.json` and `.error.json`" + ` for functions that are not behind a load balancer.
They refer to the board ` + "`demo`" + ` that ` + "`make run`" + ` creates, and each has the same result however often it is sent.
Their tokens are signed by a sample key that only the stage ` + "`local`" + ` trusts.

` + "```sh" + `
make invoke F=score-add E=events/score-add/one-entry.201.json    # the function as ` + "`make run`" + ` has it
sam local invoke ScoreAddFunction -e events/score-add/one-entry.201.json --env-vars .local/sam-env.json    # in a container, see docs/sam-local.md
` + "```" + `

` + "`go run ./events/generate`" + ` writes the events and this page from ` + "`generate/samples.go`" + `, with a new sample key.
`)
	last := ""
	line := func(function, name, about string) {
		if function != last {
			fmt.Fprintf(&b, "\n## %s\n\n| event | description |\n|---|---|\n", function)
		}
		last = function
		fmt.Fprintf(&b, "| [%s](%s/%s.json) | %s |\n", name, function, name, about)
	}
	for _, s := range samples {
		line(s.function, s.name+"."+s.status, s.about)
	}
	for _, d := range direct {
		line(d.function, d.name+"."+d.result, d.about)
	}
	return b.Bytes()
}

var sampleJwks = regexp.MustCompile(`(?m)^  'SampleJwks=.*',$`)

// trust writes the sample key's public half into the stage local.
func trust(samconfig, jwks string) error {
	text, err := os.ReadFile(samconfig)
	if err != nil {
		return err
	}
	if len(sampleJwks.FindAll(text, -1)) != 1 {
		return fmt.Errorf("%s must have exactly one line that begins with 'SampleJwks=", samconfig)
	}
	line := `  'SampleJwks="` + strings.ReplaceAll(jwks, `"`, `\"`) + `"',`
	return os.WriteFile(samconfig, sampleJwks.ReplaceAllLiteral(text, []byte(line)), 0o644)
}
