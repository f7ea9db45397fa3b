package elb

import (
	"strings"
	"testing"
)

func TestPathPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		matches       bool
	}{
		{"/v1/boards*", "/v1/boards", true},
		{"/v1/boards*", "/v1/boards/x/entries", true}, // * matches slashes
		{"/v1/boards*", "/v1/boardsx", true},
		{"/v1/boards*", "/V1/boards", false}, // case counts
		{"/v1/boards*", "/v1/board", false},
		{"/v1/boards*", "/v1//boards", false}, // nothing is cleaned
		{"/v1/boards*", "/v1/%62oards", false},
		{"/v1/boards/*/entries", "/v1/boards/a/b/entries", true},
		{"/v1/boards/*/entries", "/v1/boards//entries", true},
		{"/v1/boards/*/entries", "/v1/boards/a/entries/", false},
		{"/v1/boards/*/entries/*/reversal", "/v1/boards/a/entries/b/reversal", true},
		{"/v1/boards/*/entries/*/reversal", "/v1/boards/a/entries/b/entries/c/reversal", true},
		{"/v1/boards/*/entries/*/reversal", "/v1/boards/a/entries/reversal", false},
		{"/a?c", "/abc", true},
		{"/a?c", "/a/c", true},
		{"/a?c", "/ac", false},
		{"*", "", true},
		{"*b", "/aab", true},
		{"/*a*b", "/xaxxb", true},
		{"/*a*b", "/xaxxbc", false},
		{"/a", "/a/", false},
	} {
		if got := matchPattern(c.pattern, c.path); got != c.matches {
			t.Errorf("%s on %s: %v", c.pattern, c.path, got)
		}
	}
}

func paths(values ...string) Condition { return Condition{Field: "path-pattern", Values: values} }
func methods(values ...string) Condition {
	return Condition{Field: "http-request-method", Values: values}
}

func fixed(text string) Action {
	return Action{Type: "fixed-response", Fixed: &FixedResponse{StatusCode: 200, MessageBody: text}}
}

// TestRules has the rules of template.yaml, out of order.
func TestRules(t *testing.T) {
	cfg := config(fixed("users"))
	cfg.Listener.Rules = []Rule{
		{Priority: 30, Conditions: []Condition{paths("/v1/boards*", "/v1/entries/*", "/v1/players/*")}, Action: fixed("board-admin")},
		{Priority: 10, Conditions: []Condition{methods("GET", "HEAD"), paths("/v1/boards*", "/v1/players/*")}, Action: fixed("score-query")},
		{Priority: 20, Conditions: []Condition{methods("POST"), paths("/v1/boards/*/entries", "/v1/boards/*/entries/*/reversal", "/v1/entries/batch")}, Action: fixed("score-add")},
	}
	addr := serve(t, cfg)
	for request, want := range map[string]string{
		"GET /v1/boards":                       "score-query",
		"GET /v1/boards?x=/v1/users":           "score-query",
		"GET /v1/boards/a/entries":             "score-query",
		"get /v1/boards":                       "board-admin", // methods are case sensitive
		"POST /v1/boards/a/entries":            "score-add",
		"POST /v1/boards/a/entries?x=1":        "score-add",
		"POST /v1/entries/batch":               "score-add",
		"POST /v1/boards/a/entries/":           "board-admin",
		"POST /v1/boards":                      "board-admin",
		"OPTIONS /v1/boards/a":                 "board-admin",
		"GET /v1/entries/1":                    "board-admin",
		"GET /v1/users/me":                     "users",
		"GET /x?/v1/boards":                    "users", // the query is no part of the path
		"GET //v1/boards":                      "users",
		"GET /v1/./boards":                     "users",
		"GET /":                                "users",
		"OPTIONS *":                            "users",
		"DELETE /v1/players/a%2Fb":             "board-admin",
		"POST /v1/boards/a/entries/b/reversal": "score-add",
	} {
		method, target, _ := strings.Cut(request, " ")
		if res := send(t, addr, head(method, target)+"\r\n"); res.text != want {
			t.Errorf("%s: %s, want %s", request, res.text, want)
		}
	}
}

func TestFixedResponse(t *testing.T) {
	for _, kind := range []string{"text/plain", "text/css", "text/html", "application/javascript", "application/json"} {
		res := get(t, serve(t, config(Action{Type: "fixed-response", Fixed: &FixedResponse{StatusCode: 404, ContentType: kind, MessageBody: "no"}})), "/")
		wantStatus(t, res, 404)
		if got := res.Header.Get("Content-Type"); got != kind+"; charset=utf-8" || res.text != "no" {
			t.Errorf("%s: Content-Type %q, body %q", kind, got, res.text)
		}
	}
}

func TestRedirect(t *testing.T) {
	for _, c := range []struct {
		redirect Redirect
		target   string
		want     string
	}{
		{Redirect{Protocol: "HTTPS", Port: "443"}, "/a//b%2F?x=%20&y", "https://scores.example:443/a//b%2F?x=%20&y"},
		{Redirect{Protocol: "HTTPS", Port: "443"}, "/", "https://scores.example:443/"},
		{Redirect{Path: "/new/#{path}", Query: "from=#{host}:#{port}&#{query}"}, "/old?q=1", "http://scores.example:80/new/old?from=scores.example:80&q=1"},
		{Redirect{Host: "www.#{host}"}, "/a", "http://www.scores.example:80/a"},
	} {
		for code, status := range map[string]int{"HTTP_301": 301, "HTTP_302": 302} {
			r := c.redirect
			r.StatusCode = code
			res := get(t, serve(t, config(Action{Type: "redirect", Redirect: &r})), c.target)
			wantPage(t, res, status)
			if got := res.Header.Get("Location"); got != c.want {
				t.Errorf("%s: Location %s, want %s", c.target, got, c.want)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	rule := func(conditions ...Condition) func(*Config) {
		return func(c *Config) {
			c.Listener.Rules = []Rule{{Priority: 1, Conditions: conditions, Action: fixed("")}}
		}
	}
	action := func(a Action) func(*Config) { return func(c *Config) { c.Listener.Default = a } }
	health := func(change func(*HealthCheck)) func(*Config) {
		g := &TargetGroup{Name: "users", Type: "ip"}
		change(&g.Health)
		return action(forward(g))
	}
	for want, change := range map[string]func(*Config){
		"listener protocol \"TCP\"":                      func(c *Config) { c.Listener.Protocol = "TCP" },
		"listener port 0":                                func(c *Config) { c.Listener.Port = 0 },
		"idle timeout":                                   func(c *Config) { c.IdleTimeout = 1 },
		"101 rules":                                      func(c *Config) { c.Listener.Rules = make([]Rule, 101) },
		"two rules have priority 7":                      func(c *Config) { c.Listener.Rules = []Rule{{Priority: 7}, {Priority: 7}} },
		"a priority is 1 to 50000":                       func(c *Config) { c.Listener.Rules = []Rule{{Priority: 50001}} },
		"no condition":                                   rule(),
		"has 4 values: it takes 1 to 3":                  rule(paths("/a", "/b", "/c", "/d")),
		"has 0 values":                                   rule(paths()),
		"6 values in its conditions":                     rule(paths("/a", "/b", "/c"), methods("A", "B", "C")),
		"6 wildcards":                                    rule(paths("/***", "/??*")),
		"two conditions on path-pattern":                 rule(paths("/a"), paths("/b")),
		"path pattern \"/a b\"":                          rule(paths("/a b")),
		"path pattern \"/aaa":                            rule(paths("/" + strings.Repeat("a", 128))),
		"method \"get\"":                                 rule(methods("get")),
		"condition host-header is not built":             rule(Condition{Field: "host-header", Values: []string{"a.b"}}),
		"action \"authenticate-oidc\"":                   action(Action{Type: "authenticate-oidc"}),
		"action \"forward\"":                             action(Action{Type: "forward"}),
		"fixed response status 301":                      action(Action{Type: "fixed-response", Fixed: &FixedResponse{StatusCode: 301}}),
		"fixed response content type":                    action(Action{Type: "fixed-response", Fixed: &FixedResponse{StatusCode: 200, ContentType: "image/png"}}),
		"fixed response body of 1025 bytes":              action(fixed(strings.Repeat("a", 1025))),
		"redirect status \"301\"":                        action(Action{Type: "redirect", Redirect: &Redirect{StatusCode: "301", Protocol: "HTTPS"}}),
		"repeat forever":                                 action(Action{Type: "redirect", Redirect: &Redirect{StatusCode: "HTTP_301", Query: "a"}}),
		"redirect path \"a\"":                            action(Action{Type: "redirect", Redirect: &Redirect{StatusCode: "HTTP_301", Path: "a"}}),
		"type \"instance\" is not built":                 action(forward(&TargetGroup{Name: "users", Type: "instance"})),
		"target group users: health check interval 4":    health(func(h *HealthCheck) { h.Interval = 4e9; h.Timeout = 2e9 }),
		"health check timeout 5s is not below":           health(func(h *HealthCheck) { h.Interval = 5e9; h.Timeout = 5e9 }),
		"health check healthy threshold 1":               health(func(h *HealthCheck) { h.HealthyThreshold = 1 }),
		"health check unhealthy threshold 11":            health(func(h *HealthCheck) { h.UnhealthyThreshold = 11 }),
		"health check path \"healthz\"":                  health(func(h *HealthCheck) { h.Path = "healthz" }),
		"health check matcher \"200-\"":                  health(func(h *HealthCheck) { h.Matcher = "200-" }),
		"health check matcher \"500\"":                   health(func(h *HealthCheck) { h.Matcher = "500" }),
		"type lambda takes a function, not addresses":    func(c *Config) { g := group(nil); g.Register("127.0.0.1:1"); c.Listener.Default = forward(g) },
		"type ip takes addresses, not a function":        action(forward(&TargetGroup{Name: "users", Type: "ip", Function: answers(ok)})),
		"default action: action \"forward\": it is forw": action(Action{Type: "forward", TargetGroup: group(nil), Fixed: &FixedResponse{}}),
	} {
		cfg := config(fixed("x"))
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	cfg := config(fixed("x"))
	rule(paths("/*", "/?", "/***"), methods("GET", "CUSTOM-METHOD"))(&cfg)
	if _, err := New(cfg); err != nil {
		t.Errorf("at the limits: %v", err)
	}
}
