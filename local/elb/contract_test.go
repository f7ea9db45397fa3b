package elb

import (
	"bufio"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestContract holds what AWS promises between a load balancer and a function,
// one case per fact. The source is "Use Lambda functions as targets of an
// Application Load Balancer" where a case names no other.
func TestContract(t *testing.T) {
	for name, fact := range map[string]func(*testing.T){
		"the_event_names_the_target_group_method_and_path":              theEvent,
		"multi_value_events_have_arrays_and_no_single_values":           multiValueEvent,
		"single_value_events_have_the_last_value_and_no_arrays":         singleValueEvent,
		"query_keys_and_values_arrive_not_decoded":                      queryNotDecoded,
		"a_query_key_without_value_is_empty_and_empty_pieces_are_gone":  queryPieces,
		"the_path_arrives_as_it_came":                                   pathAsItCame,
		"header_names_arrive_in_lower_case_with_host_and_connection":    headerNames,
		"a_body_of_a_text_type_arrives_as_text":                         textBodies,
		"any_other_body_arrives_in_base64":                              binaryBodies,
		"a_body_with_content_encoding_arrives_in_base64":                encodedBody,
		"no_body_is_an_empty_string_not_base64":                         noBody,
		"a_chunked_body_arrives_whole":                                  chunkedBody,
		"a_client_that_expects_100_continue_gets_it":                    expectContinue,
		"a_request_body_over_1_MB_is_413_and_the_function_is_not_asked": bodyLimit,
		"an_upgrade_is_400":                                             upgradeRefused,
		"x_forwarded_for_is_appended_to":                                forwardedFor,
		"more_than_30_forwarded_addresses_are_463":                      forwardedLimit,
		"x_forwarded_port_and_proto_are_the_listeners":                  forwardedPort,
		"a_trace_id_is_made":                                            traceMade,
		"a_trace_id_of_the_client_is_kept_behind_self":                  traceKept,
		"headers_over_7K_get_a_trace_id_of_their_own":                   traceReplaced,
		"status_headers_and_body_of_the_response_are_sent":              responseSent,
		"a_status_code_alone_is_a_response":                             statusAlone,
		"a_body_without_content_type_is_an_octet_stream":                octetStream,
		"a_single_value_response_sends_its_headers":                     singleValueResponse,
		"headers_in_the_other_form_are_ignored":                         otherForm,
		"a_base64_body_is_decoded":                                      base64Response,
		"hop_by_hop_headers_and_content_length_are_ignored":             hopByHopIgnored,
		"content_length_is_computed":                                    contentLength,
		"a_HEAD_response_has_the_length_and_no_body":                    headResponse,
		"204_and_304_have_no_body":                                      noContent,
		"a_malformed_response_is_502":                                   malformed,
		"a_function_error_is_502":                                       functionErrors,
		"a_throttled_or_missing_function_is_502":                        throttled,
		"a_response_over_1_MB_is_502_and_1_MB_is_not":                   responseLimit,
		"a_target_group_without_a_function_is_503":                      noFunction,
		"errors_of_the_function_are_not_shown_to_the_client":            nothingShown,
		"a_client_that_leaves_does_not_end_the_functions_work":          clientLeaves,
	} {
		t.Run(name, fact)
	}
}

func theEvent(t *testing.T) {
	f := answers(ok)
	get(t, serve(t, config(forward(group(f)))), "/v1/boards")
	e := f.last(t)
	if e.RequestContext.ELB.TargetGroupArn != group(nil).ARN || e.HTTPMethod != "GET" || e.Path != "/v1/boards" {
		t.Errorf("event %+v", e)
	}
}

func multiValueEvent(t *testing.T) {
	f := answers(ok)
	get(t, serve(t, config(forward(group(f)))), "/?a=1&b=2&a=3", "Cookie: x=1", "Cookie: y=2")
	e := f.last(t)
	if e.Headers != nil || e.Query != nil {
		t.Errorf("the single-value form is there too: %v %v", e.Headers, e.Query)
	}
	if !slices.Equal(e.MultiValueQuery["a"], []string{"1", "3"}) || !slices.Equal(e.MultiValueQuery["b"], []string{"2"}) {
		t.Errorf("query %v", e.MultiValueQuery)
	}
	if !slices.Equal(e.MultiValueHeader["cookie"], []string{"x=1", "y=2"}) {
		t.Errorf("cookies %v", e.MultiValueHeader["cookie"])
	}
}

func singleValueEvent(t *testing.T) {
	f := answers(`{"statusCode":200}`)
	g := group(f)
	g.MultiValueHeaders = false
	get(t, serve(t, config(forward(g))), "/?a=1&b=2&a=3", "Cookie: x=1", "Cookie: y=2")
	e := f.last(t)
	if e.MultiValueHeader != nil || e.MultiValueQuery != nil {
		t.Errorf("the multi-value form is there too: %v %v", e.MultiValueHeader, e.MultiValueQuery)
	}
	if e.Query["a"] != "3" || e.Query["b"] != "2" || e.Headers["cookie"] != "y=2" {
		t.Errorf("query %v, cookie %q", e.Query, e.Headers["cookie"])
	}
}

func queryNotDecoded(t *testing.T) {
	f := answers(ok)
	get(t, serve(t, config(forward(group(f)))), "/?na%20me=va%2Blue&plus=a+b&bad=%zz&semi=a;b&eq=a=b")
	want := map[string]string{"na%20me": "va%2Blue", "plus": "a+b", "bad": "%zz", "semi": "a;b", "eq": "a=b"}
	got := f.last(t).MultiValueQuery
	for key, value := range want {
		if !slices.Equal(got[key], []string{value}) {
			t.Errorf("%s: %q, want %q", key, got[key], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("query %v", got)
	}
}

func queryPieces(t *testing.T) {
	f := answers(ok)
	addr := serve(t, config(forward(group(f))))
	get(t, addr, "/?&flag&empty=&&x=1")
	got := f.last(t).MultiValueQuery
	if len(got) != 3 || !slices.Equal(got["flag"], []string{""}) || !slices.Equal(got["empty"], []string{""}) {
		t.Errorf("query %v", got)
	}
	for _, target := range []string{"/", "/?"} {
		get(t, addr, target)
		if got := f.last(t).MultiValueQuery; got == nil || len(got) != 0 {
			t.Errorf("%s: query %v, want an empty object", target, got)
		}
	}
}

// Paths that net/http would clean, redirect, decode or refuse.
var oddPaths = []string{
	"//", "//v1//boards", "/..", "/v1/../boards/./x", "/v1/boards/a%2Fb", "/%zz", "/%", "/a%00b",
	"/v1/boards/%EC%84%9C", "/a|b{c}\"d<e>", "/~a.b_c-d!$&'()*+,;=:@", "/a#b", "/caf\xc3\xa9",
}

func pathAsItCame(t *testing.T) {
	f := answers(ok)
	addr := serve(t, config(forward(group(f))))
	for _, path := range oddPaths {
		res := get(t, addr, path+"?q=%2F")
		wantStatus(t, res, 200)
		if got := f.last(t).Path; got != path {
			t.Errorf("path %q, want %q", got, path)
		}
	}
	get(t, addr, "http://elsewhere.example/v1/boards?x=1") // absolute form, RFC 9112, 3.2.2
	if got := f.last(t).Path; got != "/v1/boards" {
		t.Errorf("path of an absolute target %q", got)
	}
}

func headerNames(t *testing.T) {
	f := answers(ok)
	get(t, serve(t, config(forward(group(f)))), "/", "X-CamelCase: Yes", "Connection: keep-alive", "Idempotency-Key: k1")
	got := f.last(t).MultiValueHeader
	want := []string{"connection", "host", "idempotency-key", "x-amzn-trace-id", "x-camelcase", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("headers %v, want %v", names, want)
	}
	if got["host"][0] != "scores.example" || got["x-camelcase"][0] != "Yes" {
		t.Errorf("headers %v", got)
	}
}

func textBodies(t *testing.T) {
	f := answers(ok)
	addr := serve(t, config(forward(group(f))))
	body := "{\"name\": \"서울 \\\"A\\\"\",\r\n\t\"x\": \"<&>\u2028\"}"
	for _, kind := range []string{"application/json", "Application/JSON; charset=utf-8", "text/csv", "application/javascript", "application/xml"} {
		post(t, addr, "/", kind, body)
		if e := f.last(t); *e.IsBase64Encoded || *e.Body != body {
			t.Errorf("%s: base64 %v, body %q", kind, *e.IsBase64Encoded, *e.Body)
		}
	}
}

func binaryBodies(t *testing.T) {
	f := answers(ok)
	addr := serve(t, config(forward(group(f))))
	for _, kind := range []string{"", "application/octet-stream", "application/x-www-form-urlencoded", "application/problem+json", "image/png"} {
		post(t, addr, "/", kind, "a=1")
		if e := f.last(t); !*e.IsBase64Encoded || *e.Body != b64("a=1") {
			t.Errorf("%s: base64 %v, body %q", kind, *e.IsBase64Encoded, *e.Body)
		}
	}
	// The guide does not say what happens to text that is not UTF-8. JSON
	// cannot hold it, and a function should see the bytes, so: base64.
	post(t, addr, "/", "application/json", "\"\xff\xfe\"")
	if e := f.last(t); !*e.IsBase64Encoded || *e.Body != b64("\"\xff\xfe\"") {
		t.Errorf("not UTF-8: base64 %v, body %q", *e.IsBase64Encoded, *e.Body)
	}
}

func encodedBody(t *testing.T) {
	f := answers(ok)
	post(t, serve(t, config(forward(group(f)))), "/", "application/json", "zipped", "Content-Encoding: gzip")
	if e := f.last(t); !*e.IsBase64Encoded || *e.Body != b64("zipped") {
		t.Errorf("base64 %v, body %q", *e.IsBase64Encoded, *e.Body)
	}
}

func noBody(t *testing.T) {
	f := answers(ok)
	addr := serve(t, config(forward(group(f))))
	for _, request := range []string{head("GET", "/") + "\r\n", head("DELETE", "/", "Content-Type: image/png") + "\r\n", head("POST", "/", "Content-Length: 0") + "\r\n"} {
		send(t, addr, request)
		if e := f.last(t); e.Body == nil || *e.Body != "" || e.IsBase64Encoded == nil || *e.IsBase64Encoded {
			t.Errorf("%q: event %+v", request, e)
		}
	}
}

func chunkedBody(t *testing.T) {
	f := answers(ok)
	addr := serve(t, config(forward(group(f))))
	c := dial(t, addr)
	r := bufio.NewReader(c)
	chunked := head("POST", "/first", "Content-Type: text/plain", "Transfer-Encoding: chunked") + "\r\n5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nTrailer: x\r\n\r\n"
	io.WriteString(c, chunked+head("GET", "/second")+"\r\n") // two requests at once
	wantStatus(t, receive(t, r, "POST"), 200)
	wantStatus(t, receive(t, r, "GET"), 200)
	if e := f.at(0); *e.Body != "hello world" || e.Path != "/first" {
		t.Errorf("body %q of %s", *e.Body, e.Path)
	}
	if e := f.last(t); e.Path != "/second" {
		t.Errorf("second request: %s", e.Path)
	}
}

func expectContinue(t *testing.T) {
	f := answers(ok)
	c := dial(t, serve(t, config(forward(group(f)))))
	r := bufio.NewReader(c)
	io.WriteString(c, head("POST", "/", "Content-Type: text/plain", "Content-Length: 2", "Expect: 100-continue")+"\r\n")
	wantStatus(t, receive(t, r, "POST"), 100)
	io.WriteString(c, "hi")
	wantStatus(t, receive(t, r, "POST"), 200)
	if got := *f.last(t).Body; got != "hi" {
		t.Errorf("body %q", got)
	}
}

func bodyLimit(t *testing.T) {
	f := answers(ok)
	addr := serve(t, config(forward(group(f))))
	full := strings.Repeat("x", maxLambda)
	wantStatus(t, post(t, addr, "/", "text/plain", full), 200)
	if n := len(*f.last(t).Body); n != maxLambda {
		t.Fatalf("%d bytes arrived", n)
	}
	wantPage(t, post(t, addr, "/", "text/plain", full+"x"), 413)
	chunked := head("POST", "/", "Transfer-Encoding: chunked") + "\r\n100001\r\n" + full + "x\r\n0\r\n\r\n"
	wantPage(t, send(t, addr, chunked), 413)
	wantPage(t, send(t, addr, head("POST", "/", "Content-Length: 99999999", "Expect: 100-continue")+"\r\n"), 413)
	if f.calls() != 1 {
		t.Errorf("%d invokes, want 1", f.calls())
	}
}

func upgradeRefused(t *testing.T) {
	f := answers(ok)
	wantPage(t, get(t, serve(t, config(forward(group(f)))), "/", "Connection: Upgrade", "Upgrade: websocket"), 400)
	if f.calls() != 0 {
		t.Error("the function was asked")
	}
}

func forwardedFor(t *testing.T) {
	f := answers(ok)
	addr := serve(t, config(forward(group(f))))
	for sent, want := range map[string]string{"": "127.0.0.1", "203.0.113.9": "203.0.113.9, 127.0.0.1", "1.1.1.1, 2.2.2.2": "1.1.1.1, 2.2.2.2, 127.0.0.1"} {
		var headers []string
		if sent != "" {
			headers = []string{"X-Forwarded-For: " + sent}
		}
		get(t, addr, "/", headers...)
		if got := f.last(t).MultiValueHeader["x-forwarded-for"]; !slices.Equal(got, []string{want}) {
			t.Errorf("sent %q, got %q, want %q", sent, got, want)
		}
	}
}

func forwardedLimit(t *testing.T) {
	f := answers(ok)
	addr := serve(t, config(forward(group(f))))
	wantStatus(t, get(t, addr, "/", "X-Forwarded-For: 1.1.1.1"+strings.Repeat(", 1.1.1.1", 29)), 200)
	wantPage(t, get(t, addr, "/", "X-Forwarded-For: 1.1.1.1"+strings.Repeat(", 1.1.1.1", 30)), 463)
}

func forwardedPort(t *testing.T) {
	f := answers(ok)
	cfg := config(forward(group(f)))
	cfg.Listener.Protocol, cfg.Listener.Port = "HTTPS", 443
	get(t, serve(t, cfg), "/", "X-Forwarded-Port: 1", "X-Forwarded-Proto: gopher")
	h := f.last(t).MultiValueHeader
	if !slices.Equal(h["x-forwarded-port"], []string{"443"}) || !slices.Equal(h["x-forwarded-proto"], []string{"https"}) {
		t.Errorf("port %q, proto %q", h["x-forwarded-port"], h["x-forwarded-proto"])
	}
}

// The trace cases follow "Request tracing for your Application Load Balancer".

const newTrace = `1-[0-9a-f]{8}-[0-9a-f]{24}`

func traceMade(t *testing.T) {
	f := answers(ok)
	addr := serve(t, config(forward(group(f))))
	get(t, addr, "/")
	get(t, addr, "/", "X-Amzn-Trace-Id: CalledFrom=app")
	for i, want := range []string{`^Root=` + newTrace + `$`, `^Root=` + newTrace + `;CalledFrom=app$`} {
		got := f.at(i).MultiValueHeader["x-amzn-trace-id"]
		if len(got) != 1 || !regexp.MustCompile(want).MatchString(got[0]) {
			t.Errorf("trace %q, want %s", got, want)
		}
		if f.trace(i) != got[0] {
			t.Errorf("invoked with trace %q, header %q", f.trace(i), got)
		}
	}
}

func traceKept(t *testing.T) {
	f := answers(ok)
	addr := serve(t, config(forward(group(f))))
	root := "Root=1-67891233-abcdef012345678912345678"
	for sent, want := range map[string]string{
		root:                         `^Self=` + newTrace + `;` + root + `$`,
		root + ";CalledFrom=app":     `^Self=` + newTrace + `;` + root + `;CalledFrom=app$`,
		"Self=1-67891233-1;" + root:  `^Self=` + newTrace + `;` + root + `$`,
		root + "; Self=1-67891233-1": `^Self=` + newTrace + `;` + root + `$`,
	} {
		get(t, addr, "/", "X-Amzn-Trace-Id: "+sent)
		if got := f.last(t).MultiValueHeader["x-amzn-trace-id"][0]; !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("sent %q, got %q, want %s", sent, got, want)
		}
	}
}

func traceReplaced(t *testing.T) {
	f := answers(ok)
	get(t, serve(t, config(forward(group(f)))), "/", "X-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678", "X-Big: "+strings.Repeat("x", 7<<10))
	if got := f.last(t).MultiValueHeader["x-amzn-trace-id"][0]; !regexp.MustCompile(`^Root=`+newTrace+`$`).MatchString(got) || strings.Contains(got, "67891233") {
		t.Errorf("trace %q", got)
	}
}
