package ses

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"plaudit/local/part"
	"plaudit/local/part/parttest"
)

func TestMessages(t *testing.T) {
	l := start(t, stack, t.TempDir())
	if _, text := l.do(t, http.MethodGet, "/messages", ""); text != "[\n]\n" {
		t.Errorf("no mail: %q", text)
	}
	var sent []string
	for i, to := range []string{"ann@example.org", "bob@example.org", "ann@example.org", "ann@example.org"} {
		in := simpleMail()
		in.Destination.ToAddresses = []string{to}
		in.Content.Simple.Subject.Data = aws.String(fmt.Sprint("mail ", i))
		sent = append(sent, l.send(t, in))
	}
	for query, want := range map[string][]int{
		"": {3, 2, 1, 0}, "?to=ann@example.org": {3, 2, 0}, "?to=Ann%40Example.org&limit=2": {3, 2}, "?limit=1": {3},
		"?to=carol@example.org": nil, "?to=ann": nil,
	} {
		var ids []string
		for _, m := range l.messages(t, query) {
			ids = append(ids, m.ID)
		}
		var wanted []string
		for _, i := range want {
			wanted = append(wanted, sent[i])
		}
		if !slices.Equal(ids, wanted) {
			t.Errorf("%s: %q, want %q", query, ids, wanted)
		}
	}
	if _, text := l.do(t, http.MethodGet, "/messages", ""); !strings.Contains(text, `"from":"Plaudit <scores@example.com>"`) || strings.Count(text, "\n") != 6 {
		t.Errorf("the list is hard to read: %s", text)
	}
	answer, text := l.do(t, http.MethodGet, "/messages/"+sent[1], "")
	var m Mail
	if err := json.Unmarshal([]byte(text), &m); err != nil || answer.StatusCode != http.StatusOK || m.Subject != "mail 1" {
		t.Errorf("%s %s, %v", answer.Status, text, err)
	}
	// The names in JSON are what other programs read.
	for _, name := range []string{"id", "to", "from", "subject", "text", "html", "headers", "at", "status", "tags"} {
		if !strings.Contains(text, `"`+name+`": `) {
			t.Errorf("the mail has no %s: %s", name, text)
		}
	}
	if answer, text := l.do(t, http.MethodDelete, "/messages", ""); answer.StatusCode != http.StatusNoContent {
		t.Errorf("%s %s", answer.Status, text)
	}
	if mails := l.messages(t, ""); len(mails) > 0 {
		t.Errorf("after the deletion: %+v", mails)
	}
}

func TestWhatTheInboxRefuses(t *testing.T) {
	l := start(t, stack, t.TempDir())
	id := l.send(t, simpleMail())
	for _, c := range []struct {
		method, path string
		headers      []string
		status       int
		want         string
	}{
		{"GET", "/messages?limit=0", nil, 400, `"field":"limit"`},
		{"GET", "/messages?limit=10001", nil, 400, `"field":"limit"`},
		{"GET", "/messages?limit=x", nil, 400, `"field":"limit"`},
		{"GET", "/messages?to=", nil, 400, `"field":"to"`},
		{"GET", "/messages?from=x", nil, 400, `"field":"from"`},
		{"GET", "/messages?to=a&to=b", nil, 400, `"field":"to"`},
		{"GET", "/messages?%zz", nil, 400, "URL"},
		{"GET", "/messages/other", nil, 404, "no mail"},
		{"GET", "/mails/other", nil, 404, "no mail"},
		{"GET", "/mails/" + id + "?view=all", nil, 400, `"field":"view"`},
		{"GET", "/other", nil, 404, "serves"},
		{"POST", "/messages", nil, 405, "GET, HEAD, DELETE"},
		{"DELETE", "/messages/" + id, nil, 405, "GET, HEAD"},
		{"DELETE", "/settings", nil, 405, "GET, HEAD, PUT"},
		{"GET", "/messages", []string{"Host", "evil.example"}, 403, "Host"},
		{"GET", "/", []string{"Host", "evil.example:8025"}, 403, "Host"},
		{"GET", "/messages", []string{"Origin", "http://evil.example"}, 403, "Origin"},
		{"DELETE", "/messages", []string{"Origin", "http://evil.example"}, 403, "Origin"},
		{"GET", "/mails/" + id + "/html", []string{"Sec-Fetch-Site", "cross-site"}, 403, "Sec-Fetch-Site"},
	} {
		answer, text := l.do(t, c.method, c.path, "", c.headers...)
		if answer.StatusCode != c.status || answer.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(text+answer.Header.Get("Allow"), c.want) {
			t.Errorf("%s %s %q: %s %s", c.method, c.path, c.headers, answer.Status, text)
		}
	}
	if got := len(l.messages(t, "")); got != 1 {
		t.Errorf("%d mails", got)
	}
	if answer, _ := l.do(t, http.MethodGet, "/", "", "Sec-Fetch-Site", "same-origin"); answer.StatusCode != http.StatusOK {
		t.Errorf("a browser: %s", answer.Status)
	}
}

// What is in a mail neither runs nor loads anything, and is not taken for the inbox's.
func TestPagesEscapeWhatIsInAMail(t *testing.T) {
	l := start(t, stack, t.TempDir())
	const evil = `<script>alert(1)</script>`
	in := simpleMail()
	in.FromEmailAddress = aws.String(`"` + evil + `" <scores@example.com>`)
	in.Content.Simple.Subject.Data = aws.String(evil)
	in.Content.Simple.Body.Text.Data = aws.String("read https://example.com/a?b=1&c=\"2\". " + evil + "\nhttp://127.0.0.1:8080/verify?token=abc_-1)\n")
	in.Content.Simple.Body.Html.Data = aws.String("<!doctype html><html lang=ko><head><title>x</title></head><body>" + evil + "</body></html>")
	id := l.send(t, in)
	for path, want := range map[string]string{
		"/":                              "&lt;script&gt;",
		"/?to=ann@example.org":           "&lt;script&gt;",
		"/?to=" + "%3Cscript%3E":         "No mail to this address",
		"/mails/" + id:                   `<iframe src="/mails/` + id + `/html"`,
		"/mails/" + id + "?view=text":    `<a href="http://127.0.0.1:8080/verify?token=abc_-1" target="_blank" rel="noreferrer noopener">`,
		"/mails/" + id + "?view=html":    "sandbox=",
		"/mails/" + id + "?view=headers": "List-Unsubscribe",
	} {
		answer, text := l.do(t, http.MethodGet, path, "")
		if answer.StatusCode != http.StatusOK || !strings.Contains(text, want) || strings.Contains(text, "<script") {
			t.Errorf("%s: %s %s", path, answer.Status, text)
		}
		if policy := answer.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'self'") {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
	answer, text := l.do(t, http.MethodGet, "/mails/"+id+"/html", "")
	policy := answer.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "sandbox allow-popups") || strings.Contains(policy, "allow-scripts") || strings.Contains(policy, "allow-same-origin") || !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("policy %q", policy)
	}
	if !strings.HasPrefix(text, "<!doctype html><html lang=ko><head>"+newWindow+"<title>") {
		t.Errorf("HTML %s", text)
	}
	answer, _ = l.do(t, http.MethodGet, "/mails/"+id+"/raw", "")
	if answer.Header.Get("Content-Disposition") != `attachment; filename="`+id+`.eml"` || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("raw %v", answer.Header)
	}
	if answer, text := l.do(t, http.MethodGet, "/style.css", ""); answer.StatusCode != http.StatusOK || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/css") {
		t.Errorf("style %s %s", answer.Status, text)
	}
}

func TestLinksOpenInAWindowWhateverTheHTMLIs(t *testing.T) {
	l := start(t, stack, t.TempDir())
	for html, want := range map[string]string{
		"<p>x</p>":                         newWindow + "<p>x</p>",
		"<!DOCTYPE html><p>x</p>":          "<!DOCTYPE html>" + newWindow + "<p>x</p>",
		"<html><p>header</p></html>":       "<html>" + newWindow + "<p>header</p></html>",
		"<HEAD\n lang=ko></HEAD><header/>": "<HEAD\n lang=ko>" + newWindow + "</HEAD><header/>",
	} {
		in := simpleMail()
		in.Content.Simple.Body.Html.Data = &html
		if _, text := l.do(t, http.MethodGet, "/mails/"+l.send(t, in)+"/html", ""); text != want {
			t.Errorf("%q becomes %q, want %q", html, text, want)
		}
	}
}

func TestTheListHasPages(t *testing.T) {
	l := start(t, stack, t.TempDir())
	for i := range pageSize + 1 {
		in := simpleMail()
		in.Content.Simple.Subject.Data = aws.String(fmt.Sprintf("mail %03d", i))
		l.send(t, in)
	}
	_, text := l.do(t, http.MethodGet, "/?to=ann@example.org", "")
	if strings.Count(text, "mail 0") != pageSize || strings.Contains(text, "mail 000") || !strings.Contains(text, `http-equiv="refresh"`) {
		t.Errorf("first page: %s", text)
	}
	_, older, ok := strings.Cut(text, `<a href="/?before=`)
	if !ok {
		t.Fatalf("no link to older mail: %s", text)
	}
	older, _, _ = strings.Cut(older, `"`)
	_, text = l.do(t, http.MethodGet, "/?before="+strings.ReplaceAll(older, "&amp;", "&"), "")
	if strings.Count(text, "mail 0") != 1 || !strings.Contains(text, "mail 000") || strings.Contains(text, "Older mail") || strings.Contains(text, "refresh") {
		t.Errorf("last page: %s", text)
	}
}

func TestAStackWithoutSESHasNoInbox(t *testing.T) {
	port, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := parttest.Laptop()
	p.ChangeRun = func(func(*part.Run)) error { t.Error("run.json has an inbox"); return nil }
	s := New(p, port, nil)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if conn, err := net.Dial("tcp", port.Addr().String()); err == nil {
		conn.Close()
		t.Error("somebody listens on the inbox's port")
	}
}
