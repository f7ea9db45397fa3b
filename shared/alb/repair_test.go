package alb

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
)

const (
	requestID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
	elb       = `"requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/plaudit-test-score-add/50dc6c495c0c9188"}}`
)

// event returns the JSON of an event in the multi-value form. It adds headers
// unless the fields have some.
func event(method, path, fields string) string {
	if !strings.Contains(fields, `"multiValueHeaders"`) {
		fields += `, "multiValueHeaders": {"host": ["plaudit.example"], "x-forwarded-for": ["198.51.100.9, 203.0.113.7"]}`
	}
	return `{` + elb + `, "httpMethod": "` + method + `", "path": "` + path + `", "body": "", "isBase64Encoded": false` + fields + `}`
}

// single returns the JSON of an event in the single-value form.
func single(method, path, fields string) string {
	return `{` + elb + `, "httpMethod": "` + method + `", "path": "` + path + `", "body": "", "isBase64Encoded": false, ` +
		`"headers": {"host": "plaudit.example", "x-forwarded-for": "203.0.113.7"}` + fields + `}`
}

func invokeContext() context.Context {
	return lambdacontext.NewContext(context.Background(), &lambdacontext.LambdaContext{AwsRequestID: requestID})
}

// response is the answer, also as raw JSON to see which fields it has.
type response struct {
	events.ALBTargetGroupResponse
	raw  map[string]any
	size int
}

func (r response) header(name string) string { return http.Header(r.MultiValueHeaders).Get(name) }

func decodeResponse(t *testing.T, b []byte) response {
	t.Helper()
	r := response{size: len(b)}
	if err := json.Unmarshal(b, &r.ALBTargetGroupResponse); err != nil {
		t.Fatalf("the response %q: %v", b, err)
	}
	if err := json.Unmarshal(b, &r.raw); err != nil {
		t.Fatal(err)
	}
	return r
}

// send sends an event through the runtime's own encoding and back.
func send(t *testing.T, h http.HandlerFunc, event string) response {
	t.Helper()
	b, err := lambda.NewHandler(newServer(h).invoke).Invoke(invokeContext(), []byte(event))
	if err != nil {
		t.Fatalf("the function failed: %v", err)
	}
	return decodeResponse(t, b)
}

// TestRepairs has every fault of the adapter that this package repairs: the
// wrapper's answer is right, and that of the adapter alone is not. If the second
// check fails, the repair is no longer needed.
func TestRepairs(t *testing.T) {
	echo := func(f func(r *http.Request) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, f(r)) }
	}
	ok := echo(func(*http.Request) string { return "ok" })
	query := echo(func(r *http.Request) string { return r.URL.RawQuery + " " + r.URL.Query().Get("q") })
	twice := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Mark", "first")
		w.WriteHeader(http.StatusCreated)
		w.Header().Set("X-Mark", "second")
		w.WriteHeader(http.StatusTeapot)
	}
	for _, c := range []struct {
		fault   string
		handler http.HandlerFunc
		event   string
		want    func(r response) bool
	}{
		{
			"1: a query string in the multi-value form is escaped twice", query,
			event("GET", "/", `, "multiValueQueryStringParameters": {"q": ["%ED%95%9C+a%26b", "2"], "a%5Bb": ["1"]}`),
			func(r response) bool { return r.Body == "a%5Bb=1&q=%ED%95%9C+a%26b&q=2 한 a&b" },
		},
		{
			"1: a query string in the single-value form is escaped twice", query,
			single("GET", "/", `, "queryStringParameters": {"q": "%ED%95%9C+a%26b"}`),
			func(r response) bool { return r.Body == "q=%ED%95%9C+a%26b 한 a&b" },
		},
		{
			"2: the host is empty in the multi-value form", echo(func(r *http.Request) string { return r.Host }),
			event("GET", "/", ""),
			func(r response) bool { return r.Body == "plaudit.example" },
		},
		{
			"3: an event in the single-value form is answered in the other one", ok,
			single("GET", "/", ""),
			func(r response) bool {
				return r.raw["multiValueHeaders"] == nil && strings.HasPrefix(r.Headers["Content-Type"], "text/plain")
			},
		},
		{
			"4: a handler that writes nothing is an error", func(http.ResponseWriter, *http.Request) {},
			event("GET", "/", ""),
			func(r response) bool { return r.StatusCode == 200 && r.Body == "" },
		},
		{
			"4: a path with a bad % is an error", ok,
			event("GET", "/v1/boards/%zz", ""),
			func(r response) bool {
				return r.StatusCode == 400 && r.header("Content-Type") == "application/problem+json"
			},
		},
		{
			"5: a second WriteHeader wins", twice,
			event("GET", "/", ""),
			func(r response) bool { return r.StatusCode == 201 && r.header("X-Mark") == "first" },
		},
		{
			"6: a panic reaches the runtime", func(http.ResponseWriter, *http.Request) { panic("oops") },
			event("GET", "/", ""),
			func(r response) bool { return r.StatusCode == 500 && !strings.Contains(r.Body, "oops") },
		},
		{
			"7: the client's address is empty", echo(func(r *http.Request) string { return r.RemoteAddr }),
			event("GET", "/", ""),
			func(r response) bool { return r.Body == "203.0.113.7:0" },
		},
		{
			"7: the status description lacks the number", ok,
			event("GET", "/", ""),
			func(r response) bool { return r.StatusDescription == "200 OK" },
		},
	} {
		t.Run(c.fault, func(t *testing.T) {
			if r := send(t, c.handler, c.event); !c.want(r) {
				t.Errorf("not repaired: %+v", r.ALBTargetGroupResponse)
			}
			if r, err := bare(t, c.handler, c.event); err == nil && c.want(r) {
				t.Errorf("the adapter alone now gets it right: %+v", r.ALBTargetGroupResponse)
			}
		})
	}
}

// bare sends an event through the adapter alone.
func bare(t *testing.T, h http.HandlerFunc, event string) (r response, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = http.ErrAbortHandler
		}
	}()
	b, err := lambda.NewHandler(httpadapter.NewALB(h).ProxyWithContext).Invoke(invokeContext(), []byte(event))
	if err != nil {
		return response{}, err
	}
	return decodeResponse(t, b), nil
}

func TestBodies(t *testing.T) {
	png := "\x89PNG\r\n\x1a\n\x00\xff"
	for _, c := range []struct {
		name, body, sent string
		base64           bool
	}{
		{"text travels as text", `{"title": "<서울> & 2026"}`, `{"title": "<서울> & 2026"}`, false},
		{"binary travels as base64", png, base64.StdEncoding.EncodeToString([]byte(png)), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			// In, as the load balancer sends it, and out again.
			in, _ := json.Marshal(c.sent)
			e := strings.Replace(event("POST", "/", ""), `"body": "", "isBase64Encoded": false`,
				`"body": `+string(in)+`, "isBase64Encoded": `+map[bool]string{true: "true", false: "false"}[c.base64], 1)
			r := send(t, func(w http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				if err != nil || string(b) != c.body || r.ContentLength != int64(len(c.body)) {
					t.Errorf("the handler reads %q (%v), length %d", b, err, r.ContentLength)
				}
				w.Write(b)
			}, e)
			if r.Body != c.sent || r.IsBase64Encoded != c.base64 {
				t.Errorf("answered %q, base64 %t", r.Body, r.IsBase64Encoded)
			}
		})
	}
}
