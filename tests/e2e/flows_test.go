package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// pasted runs the block of README.md that begins with a text in a shell, as if it
// had been pasted there, and returns its output.
func pasted(t *testing.T, beginning string) string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```sh\n"+beginning)
	block, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatalf("README.md has no block that begins with %q", beginning)
	}
	venv, err := filepath.Abs("../../.local/venv/bin")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", beginning+block)
	cmd.Dir = stack.Root
	cmd.Env = append(os.Environ(), "PATH="+venv+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func TestReadmeDemo(t *testing.T) {
	got := pasted(t, "# 1.")
	if n := strings.Count(got, "HTTP/1.1 201"); n != 3 {
		t.Errorf("%d entries were made, want 3", n)
	}
	if !strings.Contains(strings.ToLower(got), "idempotency-replayed: true") {
		t.Error("the repeated entry is not marked as replayed")
	}
	ranking := got[strings.LastIndex(got, `{"board"`):]
	order := regexp.MustCompile(`"rank":(\d+),"player":"(bib-\d+)"`).FindAllStringSubmatch(ranking, -1)
	if len(order) != 3 || order[0][2] != "bib-12" || order[1][2] != "bib-7" || order[2][2] != "bib-30" || order[2][1] != "3" {
		t.Errorf("the ranking is %v", order)
	}
	if t.Failed() {
		t.Log(got)
	}
}

// The change log of a task tracker, of which nothing is declared.
func TestReadmeChangeLog(t *testing.T) {
	got := pasted(t, "# 1. log in, and add")
	for text, times := range map[string]int{
		`"id":"17-1"`:   2, // added, by subject
		`"id":"17-2"`:   4, // also by type, and by actor and type
		`"id":"18-1"`:   2, // by the subjects below its own
		`"id":"17-3"`:   2,
		`{"from": null`: 1, // data come back as they were sent
		"recordedtime,": 1, // the table
	} {
		if n := strings.Count(got, text); n != times {
			t.Errorf("%s is there %d times, want %d", text, n, times)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// Somebody signs up, opens the link of the first mail, and is told of an event.
func TestReadmeMail(t *testing.T) {
	got := pasted(t, "# 1. log in, and sign a runner up")
	for _, text := range []string{`"email_verified":true`, `"id":"19-1"`, "task/19", "to do → doing", "Minji 님", "KST"} {
		if !strings.Contains(got, text) {
			t.Errorf("the output has no %s:\n%s", text, got)
		}
	}
}

// The stack of these tests does not use the default ports, so a command that names
// one fails or reaches another stack.
func TestReadmeInvokesOneFunction(t *testing.T) {
	if strings.HasSuffix(stack.Info.AWS, ":4566") {
		t.Fatal("the AWS endpoint has its default port")
	}
	// The function's answer by `make invoke`, and by the AWS CLI.
	got := pasted(t, "make invoke")
	answers := regexp.MustCompile(`"statusCode": ?201\b`).FindAllString(got, -1)
	if len(answers) != 2 || strings.Count(got, `\"board\":\"demo\"`) != 2 {
		t.Errorf("the new entry is in %d answers, want 2:\n%s", len(answers), got)
	}
}

func TestFromSignUpToRanking(t *testing.T) {
	root := admin(t)
	id, email, token := member(t)

	// A member cannot create boards until an admin makes them an organizer and they
	// refresh their session.
	board := unique("race")
	make := fmt.Sprintf(`{"id": %q, "title": "Race"}`, board)
	want(t, 403, "POST", "/v1/boards", token, make)
	want(t, 200, "PATCH", "/v1/users/"+id, root, `{"role": "organizer"}`)
	session := want(t, 201, "POST", "/v1/sessions", "", fmt.Sprintf(`{"email": %q, "password": "correct horse battery"}`, email))
	session = want(t, 200, "POST", "/v1/sessions/refresh", "", fmt.Sprintf(`{"refresh_token": %q}`, session.text(t, "refresh_token")))
	token = session.text(t, "access_token")
	made := want(t, 201, "POST", "/v1/boards", token, make)
	if got := made.text(t, "owners", 0); got != id {
		t.Errorf("the board's owner is %q, want %q", got, id)
	}
	want(t, 409, "POST", "/v1/boards", token, make)

	// Points add up. A stranger may read but not write.
	_, _, stranger := member(t)
	entries := "/v1/boards/" + board + "/entries"
	want(t, 403, "POST", entries, stranger, `{"player": "a", "points": 1}`)
	for _, e := range []string{`{"player": "a", "points": 3}`, `{"player": "b", "points": 4}`, `{"player": "a", "points": 2}`} {
		want(t, 201, "POST", entries, token, e)
	}
	table := want(t, 200, "GET", "/v1/boards/"+board+"/standings", "", "")
	if table.text(t, "items", 0, "player") != "a" || table.text(t, "items", 0, "score") != "5" || table.text(t, "items", 1, "rank") != "2" || table.text(t, "of") != "2" {
		t.Errorf("the table is %s", table.body)
	}
	one := want(t, 200, "GET", "/v1/boards/"+board+"/standings/b", stranger, "")
	if one.text(t, "rank") != "2" || one.text(t, "score") != "4" {
		t.Errorf("the standing is %s", one.body)
	}

	// A closed board accepts no entries.
	want(t, 200, "PATCH", "/v1/boards/"+board, token, `{"state": "closed"}`)
	want(t, 409, "POST", entries, token, `{"player": "a", "points": 3}`)

	// A private board is a 404 for strangers.
	want(t, 200, "PATCH", "/v1/boards/"+board, token, `{"public": false}`)
	want(t, 404, "GET", "/v1/boards/"+board, stranger, "")
	want(t, 404, "GET", "/v1/boards/"+board+"/standings", "", "")
	want(t, 200, "GET", "/v1/boards/"+board, token, "")
}

// Sixteen clients send the same request at once: it counts once, and all get the
// same answer.
func TestOneKeyCountsOnce(t *testing.T) {
	token := admin(t)
	board := unique("once")
	want(t, 201, "POST", "/v1/boards", token, fmt.Sprintf(`{"id": %q, "title": "Once"}`, board))
	answers := make([]answer, 16)
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			answers[i], errs[i] = try("POST", "/v1/boards/"+board+"/entries", token, `{"player": "a", "points": 7}`, "Idempotency-Key", "k")
		})
	}
	wg.Wait()
	made := 0
	for i, a := range answers {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if a.body != answers[0].body {
			t.Errorf("answers differ:\n%s%s", a.body, answers[0].body)
		}
		replayed := a.header.Get("Idempotency-Replayed") == "true"
		switch {
		case a.status == 201 && !replayed:
			made++
		case a.status != 200 || !replayed:
			t.Errorf("%d, replayed %t: %s", a.status, replayed, a.body)
		}
	}
	if made != 1 {
		t.Errorf("%d answers are 201", made)
	}
	if got := want(t, 200, "GET", "/v1/boards/"+board+"/standings/a", "", "").text(t, "score"); got != "7" {
		t.Errorf("the score is %s", got)
	}
	want(t, 422, "POST", "/v1/boards/"+board+"/entries", token, `{"player": "a", "points": 8}`, "Idempotency-Key", "k")
}

// The answer to an invalid request is a 4xx, never a 5xx or a redirect.
func TestNonsense(t *testing.T) {
	token := admin(t)
	for _, c := range []struct {
		method, path, body string
		headers            []string
		status             int
	}{
		{"GET", "//v1/boards/demo", "", nil, 404},
		{"GET", "/v1//boards/demo", "", nil, 404},
		{"GET", "/v1/boards/demo/", "", nil, 404},
		{"GET", "/v1/boards/../users/me", "", nil, 404},
		{"GET", "/v1/boards/..", "", nil, 404},
		{"GET", "/v1/boards/a%2Fb", "", nil, 404},
		{"GET", "/v1/boards/a%00b", "", nil, 404},
		{"GET", "/v1/boards/demo/standings/a%2F..%2Fb", "", nil, 404},
		{"GET", "/v1/boards/demo/standings?limit=1001", "", nil, 400},
		{"GET", "/v1/boards/demo/standings?limit=1&limit=2", "", nil, 400},
		{"GET", "/v1/boards/demo/standings?x=1", "", nil, 400},
		{"GET", "/v1/boards/demo/standings?cursor=x", "", nil, 400},
		{"GET", "/v1/boards/demo/standings?limit=%zz", "", nil, 400},
		{"DELETE", "/v1/boards/demo", "", nil, 405},
		{"POST", "/v1/boards/demo/standings", "{}", nil, 405},
		{"GET", "/v1/entries/batch", "", nil, 405},
		{"POST", "/v1/boards/demo/entries", "", nil, 415},
		{"POST", "/v1/boards/demo/entries", "", []string{"Content-Type", "application/json"}, 400},
		{"POST", "/v1/boards/demo/entries", "{}", []string{"Content-Type", "text/plain"}, 415},
		{"POST", "/v1/boards/demo/entries", "\x00\xff\xfe", []string{"Content-Type", "application/octet-stream"}, 415},
		{"POST", "/v1/boards/demo/entries", `{"player": "a", "reason": "full", "player": "b"}`, nil, 400},
		{"POST", "/v1/boards/demo/entries", `{"player": "a", "points": NaN}`, nil, 400},
		{"POST", "/v1/boards/demo/entries", `{"player": "a", "points": 9007199254740992}`, nil, 400},
		{"POST", "/v1/boards/demo/entries", `{"player": "a", "reason": "full"} x`, nil, 400},
		{"POST", "/v1/boards/demo/entries", "{\"player\": \"a\", \"reason\": \"\xff\"}", nil, 400},
		{"POST", "/v1/boards/demo/entries", `{"player": "a", "reason": "full", "note": "\u0000"}`, nil, 400},
		{"POST", "/v1/boards/demo/entries", `{"player": "a", "reason": "full", "nte": ""}`, nil, 400},
		{"POST", "/v1/boards/demo/entries", `{"player": "a", "reason": "full"}`, []string{"Idempotency-Key", strings.Repeat("k", 129)}, 400},
		{"POST", "/v1/boards/demo/entries", `{"player": "a", "reason": "full"}`, []string{"Authorization", "Bearer x"}, 401},
		{"POST", "/v1/boards/demo/entries", `{"player": "a", "note": "` + strings.Repeat("a", 1_000_000) + `"}`, nil, 413},
		{"POST", "/v1/boards/demo/entries", strings.Repeat("a", 2_000_000), nil, 413},
		{"POST", "/v1/users", strings.Repeat("a", 2_000_000), nil, 413},
		{"POST", "/v1/users", `{"email": 1}`, nil, 400},
		{"GET", "/nothing", "", nil, 404},
	} {
		a := send(t, c.method, c.path, token, c.body, c.headers...)
		if a.status != c.status {
			t.Errorf("%s %s %.60q: got %d, want %d: %s", c.method, c.path, c.body, a.status, c.status, a.body)
		}
		if len(c.body) < 1_000_001 && a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: not a problem: %s %s", c.method, c.path, a.header.Get("Content-Type"), a.body)
		}
	}
}

// The request line limits how many players a request can name, as the guide says.
func TestPlayersInARequestLine(t *testing.T) {
	ids := func(n, length int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("p%0*d", length-1, i))
		}
		return "/v1/boards/demo/standings?players=" + strings.Join(list, ",")
	}
	want(t, 200, "GET", ids(1000, 4), "", "")
	want(t, 200, "GET", ids(240, 64), "", "")
	if a := want(t, 414, "GET", ids(260, 64), "", ""); !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("the load balancer answers with %s", a.header.Get("Content-Type"))
	}
}

// Each sample event has the result that its name promises, however often it is
// sent.
func TestSampleEvents(t *testing.T) {
	files, err := filepath.Glob("../../events/*/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d sample events, %v", len(files), err)
	}
	for range 2 {
		for _, file := range files {
			function, name := filepath.Base(filepath.Dir(file)), filepath.Base(file)
			expected := strings.Split(name, ".")[1]
			cmd := exec.Command(stack.Program("local"), "invoke", function, filepath.Join("events", function, name))
			cmd.Dir = stack.Root
			out, err := cmd.Output()
			if (err != nil) != (expected == "error") {
				t.Errorf("%s: %v", file, err)
			}
			if got := (answer{body: string(out)}); strings.Trim(expected, "0123456789") == "" && got.json(t, "statusCode") != expected {
				t.Errorf("%s: got %s", file, out)
			}
		}
	}
}
