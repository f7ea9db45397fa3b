package sam

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"plaudit/events"
	"plaudit/local/template"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	if _, err := stack.output(exec.Command(stack.sam, "validate", "--lint", "--config-env", "local")); err != nil {
		t.Error(err)
	}
}

// Every event has the answer that its name promises, and the same one each way.
func TestEveryEventThreeWays(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(stack.Root, "events", "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	ids := logicalIDs(t)
	command := documented(t)
	seen := map[string]bool{}
	for _, file := range files {
		name, err := filepath.Rel(stack.Root, file)
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Base(filepath.Dir(file))
		seen[folder] = true
		t.Run(strings.TrimPrefix(name, "events/"), func(t *testing.T) {
			t.Parallel()
			id, ok := ids[folder]
			if !ok {
				t.Fatalf("the template has no function %s", folder)
			}
			parts := strings.Split(filepath.Base(file), ".")
			want := parts[len(parts)-2]
			invoked := viaInvokeAPI(t, folder, name)
			if invoked.result != want {
				t.Errorf("Invoke: the result is %s: %v", invoked.result, invoked)
			}
			if invoked.http {
				through := viaLoadBalancer(t, file, invoked)
				if diff := invoked.differs(through); diff != "" {
					t.Errorf("Invoke and load balancer differ in %s", diff)
				}
			}
			if containers == nil {
				return // TestSAM reports it
			}
			contained := viaSAM(t, command, id, name)
			if diff := invoked.differs(contained); diff != "" {
				t.Errorf("Invoke and sam local invoke differ in %s", diff)
			}
		})
	}
	for folder := range ids {
		if !seen[folder] {
			t.Errorf("the function %s has no event", folder)
		}
	}
}

// TestSAM reports it if sam local invoke is not tested.
func TestSAM(t *testing.T) {
	needsEngine(t)
	info, err := os.Stat(stack.File("sam-env.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("sam-env.json: %v, %v", info, err)
	}
}

// In a shell that has evaluated `plaudit login`, AWS clients go to the laptop.
// The function still runs with its own variables.
func TestInvokeAfterLogin(t *testing.T) {
	needsEngine(t)
	t.Parallel()
	const event = "events/score-query/board.200.json"
	args := slices.Concat(documented(t)[1:3], []string{"ScoreQueryFunction", "-e", event}, documented(t)[6:], onThisMachine())
	shell := exec.Command("sh", "-ec", `eval "$(.local/bin/plaudit login)"; exec "$@"`, "sh", stack.sam)
	shell.Args = append(shell.Args, args...)
	out, err := stack.output(shell)
	if err != nil {
		t.Fatal(err)
	}
	if got := readAnswer(t, []byte(lastLine(out))); got.result != "200" {
		t.Errorf("the answer is %v", got)
	}
}

// logicalIDs returns the functions of the template by their folders.
func logicalIDs(t *testing.T) map[string]string {
	t.Helper()
	config, err := template.ReadConfig(filepath.Join(stack.Root, "samconfig.toml"), "local")
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(config.Parameters, map[string]string{"AdminPassword": "0123456789", "SigningKey": "k", "NotifyKey": "0123456789abcdefghij", "Jwks": "j", "ScoresDbPassword": "p", "UsersDbPassword": "p"})
	loaded, err := template.Load(config.Template, template.Pseudo{StackName: config.StackName, Region: config.Region, AccountID: "000000000000"}, config.Parameters)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, r := range loaded.Resources() {
		if r.Type != "AWS::Lambda::Function" {
			continue
		}
		code, _ := r.Properties["Code"].(map[string]any)
		uri, _ := code["CodeUri"].(string)
		out[filepath.Base(uri)] = r.ID
	}
	if len(out) == 0 {
		t.Fatal("the template has no functions")
	}
	return out
}

// documented returns the command as docs/sam-local.md and events/README.md have
// it, as words.
func documented(t *testing.T) []string {
	t.Helper()
	const command = "sam local invoke ScoreAddFunction -e events/score-add/one-entry.201.json --env-vars .local/sam-env.json"
	for _, page := range []string{"docs/sam-local.md", "events/README.md"} {
		text, err := os.ReadFile(filepath.Join(stack.Root, page))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\n"+command) {
			t.Errorf("%s does not say\n%s", page, command)
		}
	}
	return strings.Fields(command)
}

// answer is a function's answer, whichever way it came.
type answer struct {
	http   bool
	result string // status, ok or error
	header map[string][]string
	body   string
}

func viaInvokeAPI(t *testing.T, folder, event string) answer {
	t.Helper()
	cmd := exec.Command(stack.Program("local"), "invoke", folder, event)
	out, err := stack.output(cmd)
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	return readAnswer(t, out)
}

func viaSAM(t *testing.T, command []string, id, event string) answer {
	t.Helper()
	args := slices.Concat(command[1:3], []string{id, "-e", event}, command[6:], onThisMachine())
	began := time.Now()
	out, err := stack.output(exec.Command(stack.sam, args...))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %.1f s", strings.Join(args, " "), time.Since(began).Seconds())
	return readAnswer(t, []byte(lastLine(out)))
}

func viaLoadBalancer(t *testing.T, file string, invoked answer) answer {
	t.Helper()
	event, err := events.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	req, err := event.Request(t.Context(), stack.Info.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{http: true, result: resp.Status[:3], header: resp.Header, body: read(t, resp.Body)}
	// What the load balancer adds.
	for _, name := range []string{"Content-Length", "Date", "Server"} {
		if _, own := invoked.header[name]; !own {
			delete(a.header, name)
		}
	}
	return a
}

// readAnswer reads what a function returned: a response for the load balancer,
// an error, or anything else.
func readAnswer(t *testing.T, text []byte) answer {
	t.Helper()
	var response struct {
		StatusCode        json.Number
		MultiValueHeaders map[string][]string
		Body              string
		ErrorType         string
	}
	if err := json.Unmarshal(text, &response); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	switch {
	case response.ErrorType != "":
		return answer{result: "error", body: compact(t, text)}
	case response.StatusCode == "":
		return answer{result: "ok", body: compact(t, text)}
	}
	return answer{http: true, result: response.StatusCode.String(), header: response.MultiValueHeaders, body: response.Body}
}

func compact(t *testing.T, text []byte) string {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// changing are ids, times, and numbers of a player's entries, which differ from
// invocation to invocation.
var changing = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<id>"},
	{regexp.MustCompile(`\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z`), "<time>"},
	{regexp.MustCompile(`"seq":\d+`), `"seq":<number>`},
}

func settled(text string) string {
	for _, c := range changing {
		text = c.what.ReplaceAllString(text, c.as)
	}
	return text
}

// settledHeader returns a header. A Content-Length is that of the answer's own body,
// whose times differ in length.
func (a answer) settledHeader(name string) string {
	value := settled(strings.Join(a.header[name], ", "))
	if name == "Content-Length" && value == strconv.Itoa(len(a.body)) {
		return "<length>"
	}
	return value
}

// differs returns the first difference of two answers besides ids and times.
func (a answer) differs(b answer) string {
	if a.result != b.result {
		return "result: " + a.result + " and " + b.result + ": " + b.body
	}
	if one, other := settled(a.body), settled(b.body); one != other {
		return "body:\n" + one + "\n" + other
	}
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		if one, other := a.settledHeader(name), b.settledHeader(name); one != other {
			return "header " + name + ": " + one + " and " + other
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.header)) {
		if _, ok := a.header[name]; !ok {
			return "header " + name + ": only one has it"
		}
	}
	return ""
}
