package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/boot/boottest"
	"plaudit/shared/jose"
	"plaudit/shared/postgres/pgtest"
)

// The largest batch fits in the function's memory, and so does the worst one, whatever
// the machine: the kernel counts the memory.
func TestTheLargestBatchFits(t *testing.T) {
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)\n  ScoreAddFunction:.*?MemorySize: (\d+)\n`).FindSubmatch(template)
	if found == nil {
		t.Fatal("template.yaml has no memory for score-add")
	}
	mb, _ := strconv.Atoi(string(found[1]))

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
	d := pgtest.Scores(t)
	start := func(dir, role string) (*boottest.Process, func(method, path, body string) (int, string)) {
		config, runtime := d.Config(role), boottest.StartRuntime(t)
		p := boottest.Run(t, boottest.Build(t, dir), runtime.Env, fmt.Sprint("AWS_LAMBDA_FUNCTION_MEMORY_SIZE=", mb), "STAGE=local", "AWS_REGION=ap-northeast-2",
			"JWKS="+jwks, "SAMPLE_JWKS=", "ALLOWED_ORIGINS=", "DB_AUTH=password", "SCORES_DSN="+config.DSN, "SCORES_PASSWORD="+config.Password,
			"BOARDS_PER_ACCOUNT=100", "CATALOGUE_BYTES=100000")
		return p, func(method, path, body string) (int, string) {
			t.Helper()
			event, err := json.Marshal(map[string]any{
				"requestContext": map[string]any{"elb": map[string]string{"targetGroupArn": "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/t/1"}},
				"httpMethod":     method, "path": path, "multiValueQueryStringParameters": map[string][]string{},
				"multiValueHeaders": map[string][]string{"host": {"example.org"}, "authorization": {"Bearer " + token}, "content-type": {"application/json"}},
				"body":              body, "isBase64Encoded": false,
			})
			if err != nil {
				t.Fatal(err)
			}
			runtime.Send(string(event))
			var a struct {
				StatusCode int
				Body       string
			}
			if got := runtime.Answer(); json.Unmarshal([]byte(got.Body), &a) != nil || got.Failed {
				t.Fatalf("%s %s: %+v", method, path, got)
			}
			return a.StatusCode, a.Body
		}
	}
	_, admin := start("../board-admin", "board_admin")
	if status, body := admin("POST", "/v1/boards", `{"id":"race"}`); status != 201 {
		t.Fatalf("a board: %d %s", status, body)
	}
	p, add := start(".", "score_add")
	peak := func() int {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
		if err != nil {
			t.Fatal(err)
		}
		kb, _ := strconv.Atoi(string(regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(status)[1]))
		return kb >> 10
	}
	idle := peak()
	items := make([]string, 1000)
	for i := range items {
		attributes := make([]string, 16)
		for j := range attributes {
			attributes[j] = fmt.Sprintf(`"attribute %02d":"value %04d"`, j, i)
		}
		item := fmt.Sprintf(`{"board":"race","player":"p%d","points":1,"note":"§","profile":{"display_name":"Runner %d","country":"KR","attributes":{%s}}}`, i, i, strings.Join(attributes, ","))
		items[i] = strings.Replace(item, "§", strings.Repeat("n", 996-len(item)), 1)
	}
	body := `{"entries":[` + strings.Join(items, ",") + `]}`
	if len(body) < 990_000 {
		t.Fatalf("the largest batch has only %d bytes", len(body))
	}
	for range 3 {
		if status, answer := add("POST", "/v1/entries/batch", body); status != 201 {
			t.Fatalf("the largest batch: %d %.300s", status, answer)
		}
	}
	for _, worst := range []string{
		`{` + strings.Repeat(`"a":1,`, 166_000) + `}`,
		`{"entries":[{"metadata":{` + numbered(85_000) + `}}]}`,
		`{"entries":[{"profile":{"attributes":{` + numbered(85_000) + `}}}]}`,
		strings.Repeat(`[`, 998_000),
	} {
		for range 5 {
			if status, answer := add("POST", "/v1/entries/batch", worst); status != 400 {
				t.Fatalf("%.30s: %d %.300s", worst, status, answer)
			}
		}
	}
	t.Logf("%d MiB before, %d MiB at most", idle, peak())
	if peak() > mb*3/4 {
		t.Errorf("it took %d MiB of %d", peak(), mb)
	}
}

// numbered returns n members of an object.
func numbered(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf(`"%d":""`, i)
	}
	return strings.Join(members, ",")
}
