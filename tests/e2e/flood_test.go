package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"plaudit/shared/access"
	"plaudit/shared/web"
	"plaudit/tests/openapi"
)

// request is one request of the flood, as it is sent.
type request struct {
	method, path, token, body string
	headers                   []string // pairs of name and value
	owner                     string   // id of the token's account
}

// curl returns a command that sends the request again.
func (r request) curl() string {
	line := "curl -si --path-as-is -X " + r.method + " " + bashQuote(stack.Info.URL+r.path)
	headers := slices.Clone(r.headers)
	if r.token != "" {
		headers = append(headers, "Authorization", "Bearer "+r.token)
	}
	if r.body != "" && !slices.Contains(headers, "Content-Type") {
		headers = append(headers, "Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		line += " -H " + bashQuote(headers[i]+": "+headers[i+1])
	}
	if r.body != "" {
		line += " --data-binary " + bashQuote(r.body)
	}
	return line
}

// bashQuote writes a text as bash's $'…', so that every byte of it survives.
func bashQuote(text string) string {
	var b strings.Builder
	b.WriteString("$'")
	for _, c := range []byte(text) {
		switch {
		case c == '\'' || c == '\\':
			b.WriteString(`\` + string(c))
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + "'"
}

// setting reads a number from the environment.
func setting(t *testing.T, name string, def uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// Every request of a flood of nonsense gets a documented answer: no server error,
// no redirect, no hang. Half of the requests differ from a valid one in one thing.
// Only what a successful answer reports is written. FLOOD_SEED repeats the requests
// of another run, FLOOD_CASES sets how many are sent.
func TestFlood(t *testing.T) {
	seed, cases := setting(t, "FLOOD_SEED", 20261122), setting(t, "FLOOD_CASES", 10_000)
	t.Logf("FLOOD_SEED=%d", seed)
	f := newFlood(t)
	// What earlier tests have set going has arrived.
	settled(t)
	closePeriods(t)
	before := snapshot(t)

	var wg sync.WaitGroup
	numbers := make(chan uint64)
	for range 8 {
		wg.Go(func() {
			for i := range numbers {
				f.send(t, rand.New(rand.NewPCG(seed, i)), i)
			}
		})
	}
	for i := range cases {
		numbers <- i
	}
	close(numbers)
	wg.Wait()

	t.Logf("answers by status: %v", f.statuses)
	if f.statuses[429] > int(cases/100) {
		t.Errorf("%d of %d requests exceeded a rate limit, so they tested nothing else", f.statuses[429], cases)
	}
	f.account(t, before, snapshot(t))
}

// flood holds what requests are made from, and their results.
type flood struct {
	routes  []web.Route // those to use often appear more than once
	bodies  map[string]any
	queries map[string][]string

	root, organizer, stranger *account
	victims                   []*account // may lose sessions, passwords and accounts
	boards, entries, keyIDs   []string
	key                       string

	mu       sync.Mutex
	statuses map[int]int
	done     written
}

// written is what successful answers reported, and the rows that may differ.
type written struct {
	boards, entries, accounts map[string]bool // made
	events                    map[string]bool // made in the audit log, by logid
	users, changed, players   map[string]bool // users, boards, board/player
}

func newFlood(t *testing.T) *flood {
	f := &flood{bodies: map[string]any{}, queries: map[string][]string{}, statuses: map[int]int{}}
	f.done = written{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	doc, err := openapi.Load(web.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range web.Routes {
		op := doc.Operation(r.Method, r.Pattern)
		row := r.Method + " " + r.Pattern
		often := 4
		switch row {
		case "POST /v1/sessions", "PUT /v1/users/me/password", "PUT /v1/users/me/email", "PUT /v1/password-resets/{token}", "POST /reset":
			often = 1 // hashing a password is slow
		case "POST /v1/users":
			often = 2 // so are these, but some must succeed
		case "POST /v1/boards/{board}/entries", "POST /v1/entries/batch":
			often = 12
		}
		f.routes = append(f.routes, slices.Repeat([]web.Route{r}, often)...)
		for _, p := range op["parameters"].([]any) {
			if p := p.(map[string]any); p["in"] == "query" {
				f.queries[row] = append(f.queries[row], p["name"].(string))
			}
		}
		if body, ok := op["requestBody"].(map[string]any); ok {
			for _, media := range []string{"application/json", web.FormType} {
				if content, ok := body["content"].(map[string]any)[media].(map[string]any); ok {
					f.bodies[row] = content["example"]
				}
			}
		}
	}

	f.root, f.organizer, f.stranger = person(t, access.Admin), person(t, access.Organizer), person(t, access.Member)
	for range 4 {
		f.victims = append(f.victims, person(t, access.Member))
	}
	for _, settings := range []string{
		`, "categories": ["age_group"], "periods": ["all", "week"]`, `, "combine": "best", "order": "asc"`, `, "combine": "last", "ties": "shared"`,
		`, "public": false`, `, "catalogue": {"full": 42, "half": 20}`, `, "state": "closed"`,
	} {
		f.boards = append(f.boards, f.organizer.board(t, settings))
	}
	for i, board := range f.boards[:4] {
		e := want(t, 201, "POST", "/v1/boards/"+board+"/entries", f.organizer.token, fmt.Sprintf(`{"player": "bib-%d", "points": 5}`, i))
		f.entries = append(f.entries, e.text(t, "id"))
	}
	id, key, _ := f.organizer.key(t, []string{"read", "entries:write"})
	f.keyIDs, f.key = []string{id}, key
	return f
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// good returns a request that is valid, or would be in another state of the system.
func (f *flood) good(r *rand.Rand, n uint64) (request, map[string]any) {
	route := pick(r, f.routes)
	row := route.Method + " " + route.Pattern
	who := pick(r, []*account{f.organizer, f.organizer, f.root, f.stranger})
	switch {
	case route.For == web.People && route.Method != "GET":
		who = pick(r, f.victims)
	case route.For == web.Admins || route.For == web.Staff || route.For == web.EventSenders:
		who = f.root
	}
	out := request{method: route.Method, token: who.token, owner: who.id}
	if !strings.Contains(route.Pattern, "board") && (route.For == web.Anyone || route.For == web.BoardReaders) && r.IntN(2) == 0 {
		out.token, out.owner = "", ""
	}
	id := pick(r, f.victims).id
	switch {
	case strings.HasPrefix(route.Pattern, "/v1/keys"):
		id = pick(r, f.keyIDs)
	case strings.HasPrefix(route.Pattern, "/v1/sessions"):
		id = pick(r, f.entries) // no session has this id
	}
	out.path = strings.NewReplacer("{board}", pick(r, f.boards), "{entry}", pick(r, f.entries), "{player}", fmt.Sprintf("bib-%d", r.IntN(6)),
		"{user}", pick(r, f.victims).id, "{id}", id, "{token}", strings.Repeat("A", 43), "{logid}", strings.Repeat("A", 43)).Replace(route.Pattern)

	var query []string
	for _, name := range f.queries[row] {
		if r.IntN(4) == 0 && name != "email" {
			query = append(query, name+"="+f.parameter(r, name))
		}
	}
	if len(query) > 0 {
		out.path += "?" + strings.Join(query, "&")
	}
	body, _ := copyJSON(f.bodies[row]).(map[string]any)
	switch row {
	case "POST /v1/boards":
		body["id"] = unique(fmt.Sprintf("flood-%d", n))
	case "POST /v1/users", "POST /v1/email-verifications", "POST /v1/password-resets": // five requests for one address would be the limit
		body["email"] = unique(fmt.Sprintf("flood-%d", n)) + "@example.com"
	case "POST /v1/sessions":
		body["email"], body["password"] = pick(r, f.victims).email, password
	case "POST /v1/sessions/refresh":
		body["refresh_token"] = pick(r, f.victims).refresh
	case "PUT /v1/users/me/password":
		body["current_password"] = password
	case "PUT /v1/users/me/email":
		body["email"], body["current_password"] = unique(fmt.Sprintf("flood-%d", n))+"@example.com", password
	case "POST /v1/tokens":
		body["key"] = f.key
	case "POST /v1/audit/events":
		body["id"] = fmt.Sprintf("flood-%d", r.IntN(200))
	case "PATCH /v1/boards/{board}":
		delete(body, "state") // other requests need the board open
	case "POST /v1/entries/batch":
		for _, item := range body["entries"].([]any) {
			item.(map[string]any)["board"] = pick(r, f.boards[:4])
		}
		fallthrough
	case "POST /v1/boards/{board}/entries", "POST /v1/boards/{board}/entries/{entry}/reversal":
		if r.IntN(2) == 0 {
			out.headers = append(out.headers, "Idempotency-Key", fmt.Sprintf("flood-%d", r.IntN(200)))
		}
	}
	return out, body
}

// parameter returns a value that may be valid.
func (f *flood) parameter(r *rand.Rand, name string) string {
	values := map[string][]string{
		"limit": {"1", "100"}, "cursor": {"e30"}, "mine": {"true", "false"}, "q": {"a", "seoul"}, "name": {"all", "week"}, "period": {"all", "week"},
		"player": {"bib-1"}, "around": {"bib-1"}, "players": {"bib-1,bib-2"}, "batch": f.entries, "actor": {"user/" + f.organizer.id}, "reason": {"full"},
		"kind": {"result", "reversal"}, "from": {"2026-01-01T00:00:00Z"}, "to": {"2999-01-01T00:00:00%2B09:00"}, "at": {"2026-01-01T00:00:00Z"},
		"category": {"age_group:M40"}, "min": {"-5"}, "max": {"5"}, "country": {"KR"}, "status": {"ranked", "dnf,dns"},
		"subject": {"task/17", "board/" + f.boards[0] + "/*", "user/" + f.organizer.id}, "type": {"plaudit.entry.added"}, "order": {"asc", "desc"}, "raw": {"true", "false"},
	}
	if values[name] == nil {
		return "x"
	}
	return pick(r, values[name])
}

func copyJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, child := range v {
			out[name] = copyJSON(child)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, child := range v {
			out[i] = copyJSON(child)
		}
		return out
	}
	return v
}

func (f *flood) send(t *testing.T, r *rand.Rand, n uint64) {
	in, body := f.good(r, n)
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Error(err)
			return
		}
		in.body = string(text)
		if strings.HasPrefix(in.path, "/v1/unsubscribe/") || strings.HasPrefix(in.path, "/verify") || strings.HasPrefix(in.path, "/reset") {
			form := url.Values{}
			for name, value := range body {
				form.Set(name, fmt.Sprint(value))
			}
			in.body, in.headers = form.Encode(), append(in.headers, "Content-Type", web.FormType)
		}
	}
	if n%2 == 0 {
		f.step(r, &in, body)
	} else {
		f.wild(r, &in)
	}
	a, err := try(in.method, in.path, in.token, in.body, in.headers...)
	if err != nil {
		if !strings.Contains(err.Error(), "net/http: invalid") && !strings.Contains(err.Error(), "parse ") {
			t.Errorf("case %d: %v\n%s", n, err, in.curl())
		}
		return // the client itself refuses to send it
	}
	if a.status >= 500 || a.status/100 == 3 && a.status != http.StatusNotModified {
		t.Errorf("case %d: %d: %s\n%s", n, a.status, a.body, in.curl())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.statuses[a.status]++
	if a.status/100 == 2 && in.method != "GET" && in.method != "HEAD" && in.method != "OPTIONS" {
		f.note(t, in, a)
	}
}

// note records what a successful answer to a write reports.
func (f *flood) note(t *testing.T, in request, a answer) {
	var out struct {
		ID, Board, Player string
		LogID             string
		Items             []struct {
			LogID    string
			Replayed bool
		}
		User    struct{ ID string }
		Entries []struct {
			ID, Board, Player string
			Replayed          bool
		}
	}
	if a.body != "" {
		// A player's user is any text here, so it does not matter.
		_ = json.Unmarshal([]byte(a.body), &out)
	}
	path, _, _ := strings.Cut(in.path, "?")
	f.done.users[in.owner], f.done.users[out.User.ID] = true, true
	made := a.status == http.StatusCreated
	switch segments := strings.Split(path, "/"); {
	case path == logged:
		if made && out.LogID != "" {
			f.done.events[out.LogID] = true
		}
		for _, e := range out.Items {
			if !e.Replayed {
				f.done.events[e.LogID] = true
			}
		}
	case path == "/v1/boards" && made:
		f.done.boards[out.ID] = true
	case path == "/v1/tokens":
		f.done.users[f.organizer.id] = true // owns the key
	case path == "/v1/users" && made:
		f.done.accounts[out.ID], f.done.users[out.ID] = true, true
	case segments[2] == "users" && out.ID != "":
		f.done.users[out.ID] = true
	case path == "/v1/entries/batch":
		for _, e := range out.Entries {
			f.done.players[e.Board+"/"+e.Player] = true
			if !e.Replayed {
				f.done.entries[e.ID] = true
			}
		}
	case in.method == "DELETE" && segments[2] == "boards":
		f.done.players[segments[3]+"/"+segments[5]] = true
	case segments[2] == "boards" && len(segments) == 4:
		f.done.changed[out.ID] = true
	case out.Player != "":
		f.done.players[out.Board+"/"+out.Player] = true
		if made && out.ID != "" {
			f.done.entries[out.ID] = true
		}
	}
}
