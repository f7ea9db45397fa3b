package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plaudit/shared/access"
)

// raw sends bytes to the load balancer and returns every answer until it closes
// the connection.
func raw(t *testing.T, text string) []answer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(stack.Info.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	var answers []answer
	in := bufio.NewReader(conn)
	conn.SetReadDeadline(time.Now().Add(50 * time.Second)) // before its idle timeout
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("the connection is still open after %d answers: %.80q", len(answers), text)
			}
			return answers
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return answers
		}
		answers = append(answers, answer{resp.StatusCode, resp.Header, string(body)})
	}
}

// Two servers could disagree whether each text is one request or two. The second
// request, which would change the victim's name, is never served, and no answer goes
// to another client.
func TestSmuggledRequestsAreNotServed(t *testing.T) {
	victim := person(t, access.Member)
	change := `{"display_name": "Smuggled"}`
	hidden := fmt.Sprintf("PATCH /v1/users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", victim.token, len(change), change)
	// Two valid requests on one connection are both served, so the second ones below
	// are not refused for that.
	somebody := strings.ReplaceAll(hidden, "Smuggled", "Somebody")
	proper := somebody + strings.Replace(somebody, "\r\n", "\r\nConnection: close\r\n", 1)
	if got := raw(t, proper); len(got) != 2 || got[0].status != 200 || got[1].status != 200 {
		t.Fatalf("two requests on one connection: %v", got)
	}
	n := len(hidden)
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", n, hidden)
	head := func(headers string) string {
		return "POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + headers + "\r\n"
	}
	for name, c := range map[string]struct {
		text     string
		statuses string // allowed for the only answer
	}{
		"Content-Length, then chunked":           {head(fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", 5+n)) + "0\r\n\r\n" + hidden, "400"},
		"chunked, then Content-Length":           {head("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n") + chunk, "400"},
		"chunked, and Content-Length of nothing": {head("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n") + chunk, "400"},
		"two lengths that differ":                {head(fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n", n)) + hidden, "400"},
		"two lengths in one header":              {head(fmt.Sprintf("Content-Length: 0, %d\r\n", n)) + hidden, "400"},
		"the same length twice":                  {head(fmt.Sprintf("Content-Length: %d\r\nContent-Length: %d\r\n", n, n)) + hidden, "400"},
		"a length with a sign":                   {head(fmt.Sprintf("Content-Length: +%d\r\n", n)) + hidden, "400"},
		"a negative length":                      {head("Content-Length: -1\r\n") + hidden, "400"},
		"a hexadecimal length":                   {head(fmt.Sprintf("Content-Length: 0x%x\r\n", n)) + hidden, "400"},
		"a length with a space in it":            {head(fmt.Sprintf("Content-Length: 0 %d\r\n", n)) + hidden, "400"},
		"a length that overflows":                {head("Content-Length: 18446744073709551616\r\n") + hidden, "400"},
		"a length with a space before the colon": {head(fmt.Sprintf("Content-Length : %d\r\n", n)) + hidden, "400"},
		"chunked with a space before the colon":  {head(fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding : chunked\r\n", 5+n)) + "0\r\n\r\n" + hidden, "400"},
		"chunked after a tab":                    {head(fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding:\tchunked\r\n", 5+n)) + "0\r\n\r\n" + hidden, "400"},
		"chunked behind a vertical tab":          {head(fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: \x0bchunked\r\n", 5+n)) + "0\r\n\r\n" + hidden, "400"},
		"chunked in quotes":                      {head(fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: \"chunked\"\r\n", 5+n)) + "0\r\n\r\n" + hidden, "400 501"},
		"not quite chunked":                      {head(fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: xchunked\r\n", 5+n)) + "0\r\n\r\n" + hidden, "400 501"},
		"chunked and identity":                   {head("Transfer-Encoding: chunked, identity\r\n") + chunk, "400 501"},
		"identity, then chunked":                 {head("Connection: close\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n", "400"},
		"chunked twice":                          {head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") + chunk, "400"},
		"chunked, in another name":               {head(fmt.Sprintf("Content-Length: %d\r\nTransfer_Encoding: chunked\r\n", 5+n)) + "0\r\n\r\n" + hidden, "400"},
		"chunked on a folded line":               {head(fmt.Sprintf("Content-Length: %d\r\nX-A: b\r\n Transfer-Encoding: chunked\r\n", 5+n)) + "0\r\n\r\n" + hidden, "400"},
		"chunked after a bare line feed":         {head(fmt.Sprintf("Content-Length: %d\r\nX-A: b\nTransfer-Encoding: chunked\r\n", 5+n)) + "0\r\n\r\n" + hidden, "400"},
		"chunked after a bare carriage return":   {head(fmt.Sprintf("Content-Length: %d\r\nX-A: b\rTransfer-Encoding: chunked\r\n", 5+n)) + "0\r\n\r\n" + hidden, "400"},
		"chunked with HTTP/1.0":                  {strings.Replace(head(fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", 5+n)), "1.1", "1.0", 1) + "0\r\n\r\n" + hidden, "400"},
		"a chunk's size with a sign":             {head("Transfer-Encoding: chunked\r\n") + "-1\r\n" + hidden + "\r\n0\r\n\r\n", "400"},
		"a chunk's size in another notation":     {head("Transfer-Encoding: chunked\r\n") + fmt.Sprintf("0x%x\r\n", n) + hidden + "\r\n0\r\n\r\n", "400"},
		"a chunk's size that overflows":          {head("Transfer-Encoding: chunked\r\n") + "10000000000000000\r\n" + hidden + "\r\n0\r\n\r\n", "400"},
		"a chunk that is longer than it says":    {head("Transfer-Encoding: chunked\r\n") + "1\r\n" + hidden + "\r\n0\r\n\r\n", "400"},
		"a chunk that ends without CR":           {head("Transfer-Encoding: chunked\r\n") + "2\r\n{}\n0\r\n\r\n" + hidden, "400"},
		"a chunk's extension with a line":        {head("Transfer-Encoding: chunked\r\n") + "2;a=b\n{}\r\n0\r\n\r\n" + hidden, "400"},
		"a header that ends in CR alone":         {"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: b\r\rPATCH /v1/users/me HTTP/1.1\r\n\r\n", "400"},
		"a NUL in a header":                      {"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: b\x00c\r\n\r\n", "400"},
		"a line break in the target":             {"GET /healthz\r\nX-A: b HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
		"two hosts":                              {"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
		"no host":                                {"GET /healthz HTTP/1.1\r\n\r\n", "400"},
		"HTTP/0.9":                               {"GET /healthz\r\n\r\n", "400"},
		"HTTP/2 in clear":                        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"},
		"a tunnel":                               {"CONNECT 127.0.0.1:5432 HTTP/1.1\r\nHost: 127.0.0.1:5432\r\n\r\n" + hidden, "400 405"},
		"an upgrade to HTTP/2":                   {"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + hidden, "200"},
		"a body that a GET has":                  {fmt.Sprintf("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", n) + hidden, "200"},
		"a body that waits to be asked for":      {head(fmt.Sprintf("Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n", n)) + hidden, "100 400"},
	} {
		answers := raw(t, c.text)
		for len(answers) > 0 && answers[0].status == 100 {
			answers = answers[1:]
		}
		if len(answers) != 1 || !strings.Contains(c.statuses, fmt.Sprint(answers[0].status)) {
			t.Errorf("%s: got %d answers, want one of %s: %.300v", name, len(answers), c.statuses, answers)
		}
		for range 3 { // on connections that others use too
			me := want(t, 200, "GET", "/v1/users/me", victim.token, "")
			if me.text(t, "id") != victim.id || me.text(t, "display_name") != "Somebody" {
				t.Fatalf("%s: afterwards the victim is %s", name, me.body)
			}
		}
		want(t, 404, "GET", "/v1/users/nobody", "", "")
	}
}

// A client's headers cannot replace what the load balancer decides.
func TestHeadersOfClients(t *testing.T) {
	me := person(t, access.Member)
	get := func(target, headers string) answer {
		t.Helper()
		answers := raw(t, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+headers+"\r\n")
		if len(answers) != 1 {
			t.Fatalf("GET %s %q: %d answers", target, headers, len(answers))
		}
		return answers[0]
	}
	bearer := "Authorization: Bearer " + me.token + "\r\n"
	for name, c := range map[string]struct {
		target, headers string
		status          int
	}{
		"one token":                        {"/v1/users/me", bearer, 200},
		"a token twice":                    {"/v1/users/me", bearer + bearer, 401},
		"a token in a name not quite":      {"/v1/users/me", strings.Replace(bearer, "Authorization", "Authorization_", 1), 401},
		"a token that the proxy takes off": {"/v1/users/me", bearer + "Connection: Authorization\r\n", 401},
		"another method by a header":       {"/v1/users/me", bearer + "X-HTTP-Method-Override: DELETE\r\nX-Method-Override: DELETE\r\nX-HTTP-Method: DELETE\r\n", 200},
		"another path by a header":         {"/v1/users", bearer + "X-Original-URL: /v1/users/me\r\nX-Rewrite-URL: /v1/users/me\r\n", 403},
		"another role by a header":         {"/v1/users", bearer + "X-Role: admin\r\nX-User: admin\r\nX-Amzn-Oidc-Data: e30\r\n", 403},
		"the balancer's own headers":       {"/healthz", "Elb_target: /v1/users/me\r\nElb_reject: 418 x\r\n", 200},
		"an absolute target":               {"http://other.example/v1/users/me", bearer, 200},
		"an absolute target with a name":   {"http://admin@other.example/v1/users", bearer, 403},
		"an absolute target's path":        {"http://other.example//v1/users/me", bearer, 404},
		"a target of another kind":         {"file:///etc/passwd", "", 400},
		"a target without a path":          {"*", "", 404},
	} {
		if a := get(c.target, c.headers); a.status != c.status {
			t.Errorf("%s: got %d, want %d: %s", name, a.status, c.status, a.body)
		}
	}
	for _, path := range []string{"/healthz", "/v1/boards/demo"} {
		ours := strings.Repeat("0", 36)
		a := get(path, "X-Request-Id: "+ours+"\r\nX-Amzn-Trace-Id: Root=1-00000000-000000000000000000000000;Self=x\r\nTraceparent: 00-"+ours+"\r\nLambda-Runtime-Aws-Request-Id: "+ours+"\r\n")
		if id := a.header.Get("X-Request-Id"); a.status != 200 || len(id) != 36 || id == ours {
			t.Errorf("GET %s: %d, request id %q", path, a.status, id)
		}
	}
	// Escaped characters of a target appear in the answer's body only.
	for _, path := range []string{"/v1/boards/", "/v1/users/", "/v1/boards/demo/standings/", "/v1/boards/demo/standings?cursor=", "/v1/"} {
		a := get(path+"%0d%0aX-Injected:%20yes%0d%0a%0d%0a<html>", "")
		if a.status != 400 && a.status != 404 || a.header.Get("X-Injected") != "" || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("GET %s…: %d %v", path, a.status, a.header)
		}
	}
}

// from returns a client at another address of this machine.
func from(t *testing.T, address string) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// A client's attempts count against the address that the load balancer sees,
// whatever address its headers claim.
func TestNoHeaderMovesTheLimits(t *testing.T) {
	const guesser, neighbour = "127.0.0.2", "127.0.0.3"
	disguises := []http.Header{
		{},
		{"X-Forwarded-For": {neighbour}},
		{"X-Forwarded-For": {"198.51.100.7, " + neighbour}},
		{"X-Forwarded-For": {"198.51.100.7", neighbour}},
		{"X-Forwarded-For": {"2001:db8::1"}},
		{"X-Forwarded-For": {"nonsense"}},
		{"X-Forwarded-For": {""}},
		{"Connection": {"X-Forwarded-For"}},
		{"Connection": {"close, X-Forwarded-For"}, "X-Forwarded-For": {neighbour}},
		{"Forwarded": {"for=" + neighbour}},
		{"X-Real-Ip": {neighbour}, "True-Client-Ip": {neighbour}, "Cf-Connecting-Ip": {neighbour}, "X-Client-Ip": {neighbour}, "X-Forwarded": {neighbour}},
	}
	guess := func(client *http.Client, header http.Header) (int, error) {
		req, err := http.NewRequest("POST", stack.Info.URL+"/v1/tokens", strings.NewReader(`{"key": "plaudit_guess"}`))
		if err != nil {
			return 0, err
		}
		req.Header = header.Clone()
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp.StatusCode, err
	}
	const limit = 1000 // LoginsPerAddress in samconfig.toml
	var wrong, limited atomic.Int32
	client := from(t, guesser)
	next := make(chan int)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range next {
				switch status, err := guess(client, disguises[i%len(disguises)]); {
				case err != nil:
					t.Error(err)
				case status == 401:
					wrong.Add(1)
				case status == 429:
					limited.Add(1)
				default:
					t.Errorf("a guess: %d", status)
				}
			}
		})
	}
	for i := range limit + 3*len(disguises) {
		next <- i
	}
	close(next)
	wg.Wait()
	if wrong.Load() != limit || limited.Load() != int32(3*len(disguises)) {
		t.Errorf("%d guesses got 401 and %d got 429, want %d and %d", wrong.Load(), limited.Load(), limit, 3*len(disguises))
	}
	// Another client address has its own limit.
	if status, err := guess(from(t, neighbour), http.Header{"X-Forwarded-For": {guesser}}); err != nil || status != 401 {
		t.Errorf("the neighbour's first guess: %d, %v", status, err)
	}
}

// Paths are compared as they are sent: a path that another server could read as a
// different one is not served.
func TestPathTricks(t *testing.T) {
	me := person(t, access.Member)
	for _, path := range []string{
		"//v1/users", "/v1//users", "/v1/users/", "/v1/users//", "/v1/./users", "/v1/users/.", "/v1/users/../users", "/x/../v1/users", "/v1/boards/../users",
		"/v1/users/me%2F..", "/v1/users/me%2f..", "/v1/users/me/..", "/v1/users/me/..;/", "/v1/users/me/%2e%2e", "/v1/users/%2e%2e/users", "/v1%2Fusers", "/v1/%75sers",
		"/V1/users", "/v1/Users", "/v1/users;x=1", "/v1/users%00", "/v1/users%20", "/v1/users%3Flimit=1", "/v1/users%23", "/v1/users.json", "/v1\\users", "/v1/users%5C", "/v1/users%252F",
		"/v1/users/%6d%65", "/v1/users/ME", "/v1/users/me%00", "/v1/users/me%2Fpassword", "/v1/users/" + me.id + "%2F..%2Fme", "/v1/users/" + strings.ToUpper(me.id),
		"/v1/users/{" + me.id + "}", "/v1/users/urn:uuid:" + me.id, "/v1/sessions/..", "/v1/keys/%2e", "/.well-known/../v1/users", "/.env", "/.git/config", "/debug/pprof/", "/metrics",
	} {
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			req := &http.Request{Method: method, URL: &url.URL{Scheme: "http", Host: strings.TrimPrefix(stack.Info.URL, "http://"), Opaque: path}, Header: http.Header{"Authorization": {"Bearer " + me.token}}}
			if strings.HasPrefix(path, "//") {
				req.URL.Opaque, req.URL.Path, req.URL.RawPath = "", path, path
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			resp.Body.Close()
			if s := resp.StatusCode; s < 400 || s >= 500 {
				t.Errorf("%s %s: %d", method, path, s)
			}
		}
	}
	want(t, 200, "GET", "/v1/users/me", me.token, "")
}
