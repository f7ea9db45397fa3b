package elb

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func responseSent(t *testing.T) {
	f := answers(`{"statusCode":201,"statusDescription":"201 Created","multiValueHeaders":{"content-type":["application/json"],"Set-Cookie":["a=1","b=2"],"Location":["/x"]},"body":"{\"a\":\"é\"}","isBase64Encoded":false}`)
	res := get(t, serve(t, config(forward(group(f)))), "/")
	wantStatus(t, res, 201)
	if res.text != `{"a":"é"}` || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Location") != "/x" {
		t.Errorf("%v %q", res.Header, res.text)
	}
	if got := res.Header.Values("Set-Cookie"); !slices.Equal(got, []string{"a=1", "b=2"}) {
		t.Errorf("cookies %q", got)
	}
	if res.Header.Get("Server") != "awselb/2.0" || res.Header.Get("Date") == "" {
		t.Errorf("%v", res.Header)
	}
}

// Seen at AWS: https://github.com/awsdocs/elb-application-load-balancers-user-guide/issues/33
func statusAlone(t *testing.T) {
	res := get(t, serve(t, config(forward(group(answers(`{"statusCode":200}`))))), "/")
	wantStatus(t, res, 200)
	if res.text != "" || res.ContentLength != 0 {
		t.Errorf("body %q, length %d", res.text, res.ContentLength)
	}
}

// Seen at AWS: https://github.com/aws/serverless-java-container/issues/347
func octetStream(t *testing.T) {
	res := get(t, serve(t, config(forward(group(answers(`{"statusCode":200,"body":"<html>"}`))))), "/")
	if got := res.Header.Get("Content-Type"); got != "application/octet-stream" {
		t.Errorf("Content-Type %q", got)
	}
}

func singleValueResponse(t *testing.T) {
	g := group(answers(`{"statusCode":200,"headers":{"Content-Type":"text/css","Set-Cookie":"a=1"},"multiValueHeaders":null,"body":"x"}`))
	g.MultiValueHeaders = false
	res := get(t, serve(t, config(forward(g))), "/")
	if res.Header.Get("Content-Type") != "text/css" || res.Header.Get("Set-Cookie") != "a=1" {
		t.Errorf("%v", res.Header)
	}
}

// A function that answers in the form that its target group does not use
// loses its headers and nothing else. Seen at AWS, in both directions:
// https://github.com/aws/serverless-java-container/issues/347 and
// https://github.com/dougmoscrop/serverless-http/pull/283
func otherForm(t *testing.T) {
	const single, multi = `{"statusCode":200,"headers":{"Content-Type":"text/css"},"body":"x"}`, `{"statusCode":200,"multiValueHeaders":{"Content-Type":["text/css"]},"body":"x"}`
	for _, c := range []struct {
		multi bool
		reply string
	}{{true, single}, {false, multi}} {
		g := group(answers(c.reply))
		g.MultiValueHeaders = c.multi
		res := get(t, serve(t, config(forward(g))), "/")
		wantStatus(t, res, 200)
		if got := res.Header.Get("Content-Type"); got != "application/octet-stream" || res.text != "x" {
			t.Errorf("multi-value %v: Content-Type %q, body %q", c.multi, got, res.text)
		}
	}
}

func base64Response(t *testing.T) {
	res := get(t, serve(t, config(forward(group(answers(`{"statusCode":200,"body":"`+b64("\x00\xff")+`","isBase64Encoded":true}`))))), "/")
	if res.text != "\x00\xff" || res.ContentLength != 2 {
		t.Errorf("body %q, length %d", res.text, res.ContentLength)
	}
}

func hopByHopIgnored(t *testing.T) {
	f := answers(`{"statusCode":200,"multiValueHeaders":{"Connection":["close"],"Transfer-Encoding":["chunked"],"content-length":["1"],"Keep-Alive":["timeout=1"],"Upgrade":["h2c"],"X-A":["1"]},"body":"hello"}`)
	c := dial(t, serve(t, config(forward(group(f)))))
	r := bufio.NewReader(c)
	for range 2 { // the connection stays open
		io.WriteString(c, head("GET", "/")+"\r\n")
		res := receive(t, r, "GET")
		if res.text != "hello" || res.ContentLength != 5 || res.Close || len(res.TransferEncoding) > 0 || res.Header.Get("Keep-Alive")+res.Header.Get("Upgrade") != "" || res.Header.Get("X-A") != "1" {
			t.Errorf("%+v %q", res.Response, res.text)
		}
	}
}

func contentLength(t *testing.T) {
	res := get(t, serve(t, config(forward(group(answers(ok))))), "/")
	if res.ContentLength != 5 || res.text != "hello" {
		t.Errorf("length %d, body %q", res.ContentLength, res.text)
	}
}

func headResponse(t *testing.T) {
	f := answers(ok)
	c := dial(t, serve(t, config(forward(group(f)))))
	r := bufio.NewReader(c)
	io.WriteString(c, head("HEAD", "/")+"\r\n"+head("GET", "/")+"\r\n")
	res := receive(t, r, "HEAD")
	if res.ContentLength != 5 || res.text != "" || f.at(0).HTTPMethod != "HEAD" {
		t.Errorf("length %d, body %q", res.ContentLength, res.text)
	}
	if res := receive(t, r, "GET"); res.text != "hello" { // nothing of a body came in between
		t.Errorf("then %q", res.text)
	}
}

func noContent(t *testing.T) {
	for _, status := range []int{204, 304} {
		res := get(t, serve(t, config(forward(group(answers(`{"statusCode":`+strconv.Itoa(status)+`,"multiValueHeaders":{"ETag":["\"a\""]},"body":"x"}`))))), "/")
		wantStatus(t, res, status)
		if res.text != "" || res.Header.Get("ETag") != `"a"` {
			t.Errorf("%d: %v %q", status, res.Header, res.text)
		}
	}
}

// A field that is null, and a header that is no string, are malformed. Seen at
// AWS: https://github.com/aws/aws-lambda-go/issues/438,
// https://github.com/awslabs/aws-lambda-go-api-proxy/issues/79,
// https://github.com/jeremydaly/lambda-api/issues/117
func malformed(t *testing.T) {
	for name, reply := range map[string]string{
		"no JSON":                    `hello`,
		"empty":                      ``,
		"null":                       `null`,
		"an array":                   `[]`,
		"two objects":                `{"statusCode":200}{}`,
		"no status":                  `{"body":"x"}`,
		"status in another case":     `{"StatusCode":200}`,
		"status as a string":         `{"statusCode":"200"}`,
		"status with a fraction":     `{"statusCode":200.5}`,
		"status 0":                   `{"statusCode":0}`,
		"status 101":                 `{"statusCode":101}`,
		"status 600":                 `{"statusCode":600}`,
		"null body":                  `{"statusCode":200,"body":null}`,
		"body is an object":          `{"statusCode":200,"body":{}}`,
		"null headers":               `{"statusCode":200,"multiValueHeaders":null}`,
		"null description":           `{"statusCode":200,"statusDescription":null}`,
		"header with a single value": `{"statusCode":200,"multiValueHeaders":{"A":"b"}}`,
		"header with a number":       `{"statusCode":200,"multiValueHeaders":{"A":[1]}}`,
		"header with null":           `{"statusCode":200,"multiValueHeaders":{"A":[null]}}`,
		"header with a line end":     `{"statusCode":200,"multiValueHeaders":{"A":["b\r\nC: d"]}}`,
		"header name with a space":   `{"statusCode":200,"multiValueHeaders":{"A b":["c"]}}`,
		"base64 that is none":        `{"statusCode":200,"body":"a b","isBase64Encoded":true}`,
		"base64 with line ends":      `{"statusCode":200,"body":"aGVs\nbG8=","isBase64Encoded":true}`,
		"base64 flag as a string":    `{"statusCode":200,"isBase64Encoded":"true"}`,
	} {
		t.Run(name, func(t *testing.T) {
			wantPage(t, get(t, serve(t, config(forward(group(answers(reply))))), "/"), 502)
		})
	}
}

func functionErrors(t *testing.T) {
	for _, kind := range []string{"Handled", "Unhandled"} {
		f := &function{reply: func(event) (string, string, error) { return `{"errorMessage":"boom"}`, kind, nil }}
		wantPage(t, get(t, serve(t, config(forward(group(f)))), "/"), 502)
	}
}

func throttled(t *testing.T) {
	f := &function{reply: func(event) (string, string, error) { return "", "", errors.New("throttled") }}
	wantPage(t, get(t, serve(t, config(forward(group(f)))), "/"), 502)
}

func responseLimit(t *testing.T) {
	const frame = `{"statusCode":200,"body":""}`
	for extra, status := range map[int]int{0: 200, 1: 502} {
		body := strings.Repeat("x", maxLambda-len(frame)+extra)
		wantStatus(t, get(t, serve(t, config(forward(group(answers(`{"statusCode":200,"body":"`+body+`"}`))))), "/"), status)
	}
}

func noFunction(t *testing.T) {
	wantPage(t, get(t, serve(t, config(forward(group(nil)))), "/"), 503)
}

func nothingShown(t *testing.T) {
	f := &function{reply: func(event) (string, string, error) { return `{"errorMessage":"the secret"}`, "Unhandled", nil }}
	if res := get(t, serve(t, config(forward(group(f)))), "/"); strings.Contains(res.text, "secret") {
		t.Errorf("page %q", res.text)
	}
}

func clientLeaves(t *testing.T) {
	f := leaver{t, make(chan struct{}), make(chan struct{})}
	g := group(f)
	log := &logs{}
	cfg := config(forward(g))
	cfg.Log = log.logger(slog.LevelDebug)
	addr := serve(t, cfg)
	// The balancer notices a moment later that the client has closed its
	// connection. If the function answers before, there is another attempt.
	pause := time.Millisecond
	eventually(t, "a line with status 460", func() bool {
		c := dial(t, addr)
		io.WriteString(c, head("GET", "/gone")+"\r\n")
		<-f.entered
		c.Close()
		time.Sleep(pause)
		pause *= 2
		f.release <- struct{}{}
		return strings.Contains(log.String(), "path=/gone status=460")
	})
}

// leaver is a function whose client leaves during the invoke.
type leaver struct {
	t                *testing.T
	entered, release chan struct{}
}

func (l leaver) Invoke(ctx context.Context, _ []byte, _ string) ([]byte, string, error) {
	l.entered <- struct{}{}
	select {
	case <-l.release:
	case <-ctx.Done():
		l.t.Error("the invoke was ended with its client")
	}
	return []byte(ok), "", nil
}
