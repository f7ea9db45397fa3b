package elb

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxLambda is the limit of a request's body and of a response's JSON ("Lambda
// functions as targets", limits).
const maxLambda = 1 << 20

func (b *Balancer) serveLambda(x *exchange) {
	if x.group.Function == nil {
		b.answer(x, http.StatusServiceUnavailable, "the target group has no function")
		return
	}
	if len(x.r.Header["Upgrade"]) > 0 {
		b.answer(x, http.StatusBadRequest, "upgrade to a Lambda target")
		return
	}
	body, err := readBody(x.r)
	if err != nil {
		b.bodyFailed(x, err)
		return
	}
	payload, functionError, err := x.group.Function.Invoke(b.life, x.group.event(x.r.Method, x.path, x.query, x.r.Host, x.r.Header, body), x.r.Header[traceHeader][0])
	switch {
	case err != nil:
		b.answer(x, http.StatusBadGateway, "invoke: "+err.Error())
		return
	case functionError != "":
		b.answer(x, http.StatusBadGateway, fmt.Sprintf("function error (%s): %.200s", functionError, payload))
		return
	case len(payload) > maxLambda:
		b.answer(x, http.StatusBadGateway, fmt.Sprintf("response of %d bytes: a function's JSON is at most 1 MB", len(payload)))
		return
	}
	res, err := x.group.parse(payload)
	if err != nil {
		b.answer(x, http.StatusBadGateway, "malformed response: "+err.Error())
		return
	}
	res.write(x)
}

var errTooLarge = errors.New("request body over 1 MB")

func readBody(r *http.Request) ([]byte, error) {
	switch {
	case r.ContentLength > maxLambda:
		return nil, errTooLarge
	case r.ContentLength > 0:
		body := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	case r.ContentLength == 0:
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxLambda+1))
	if err == nil && len(body) > maxLambda {
		err = errTooLarge
	}
	return body, err
}

// bodyFailed answers a client whose body could not be read.
func (b *Balancer) bodyFailed(x *exchange, err error) {
	x.Header().Set("Connection", "close")
	switch {
	case errors.Is(err, errTooLarge):
		b.answer(x, http.StatusRequestEntityTooLarge, err.Error())
	case isTimeout(err):
		b.answer(x, http.StatusRequestTimeout, "the client sent no data before the idle timeout")
	case errors.Is(err, io.ErrUnexpectedEOF):
		panic(http.ErrAbortHandler) // the client left
	default:
		b.answer(x, http.StatusBadRequest, err.Error())
	}
}

// event is the JSON that a function gets. It has headers and
// queryStringParameters or, if the target group has that attribute,
// multiValueHeaders and multiValueQueryStringParameters; never both. host is net/http's copy of
// the Host header, "" for a health check, which has none.
func (g *TargetGroup) event(method, path, query, host string, headers http.Header, body []byte) []byte {
	inQuery, inHeaders := `,"queryStringParameters":{`, `},"headers":{`
	if g.MultiValueHeaders {
		inQuery, inHeaders = `,"multiValueQueryStringParameters":{`, `},"multiValueHeaders":{`
	}
	out := make([]byte, 0, 2048+len(path)+2*len(query)+len(body)*4/3)
	out = append(out, `{"requestContext":{"elb":{"targetGroupArn":`...)
	out = appendJSON(out, g.ARN)
	out = append(out, `}},"httpMethod":`...)
	out = appendJSON(out, method)
	out = append(out, `,"path":`...)
	out = appendJSON(out, path)
	out = append(out, inQuery...)
	for key, values := range parseQuery(query) {
		out = g.appendField(out, key, values)
	}
	out = append(out, inHeaders...)
	if host != "" {
		out = g.appendField(out, "host", []string{host})
	}
	for name, values := range headers {
		out = g.appendField(out, strings.ToLower(name), values)
	}
	out = append(out, `},"body":`...)
	if isText(headers, body) {
		out = appendJSON(out, body)
		return append(out, `,"isBase64Encoded":false}`...)
	}
	out = append(out, '"')
	out = base64.StdEncoding.AppendEncode(out, body)
	return append(out, `","isBase64Encoded":true}`...)
}

// appendField writes all values of a field, or the last one.
func (g *TargetGroup) appendField(out []byte, name string, values []string) []byte {
	if out[len(out)-1] != '{' {
		out = append(out, ',')
	}
	out = append(appendJSON(out, name), ':')
	if !g.MultiValueHeaders {
		return appendJSON(out, values[len(values)-1])
	}
	out = append(out, '[')
	for i, v := range values {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendJSON(out, v)
	}
	return append(out, ']')
}

// appendJSON writes a string. Bytes that are not valid UTF-8 become U+FFFD.
func appendJSON[text string | []byte](out []byte, s text) []byte {
	out, _ = jsontext.AppendQuote(out, s) // its error reports such bytes
	return out
}

// parseQuery splits a query and decodes nothing. A key without = has the value
// "", an empty piece is left out.
func parseQuery(query string) map[string][]string {
	if query == "" {
		return nil
	}
	values := make(map[string][]string)
	for piece := range strings.SplitSeq(query, "&") {
		if piece == "" {
			continue
		}
		key, value, _ := strings.Cut(piece, "=")
		values[key] = append(values[key], value)
	}
	return values
}

// isText reports whether the body goes into the event as it is. A body that is
// not UTF-8 does not fit into JSON, whatever its content type says.
func isText(h http.Header, body []byte) bool {
	if len(body) == 0 {
		return true
	}
	if len(h["Content-Encoding"]) > 0 || !utf8.Valid(body) {
		return false
	}
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	switch kind {
	case "application/json", "application/javascript", "application/xml":
		return true
	}
	return strings.HasPrefix(kind, "text/")
}

// response is a function's answer.
type response struct {
	status int
	header http.Header
	body   []byte
}

// parse reads a function's response as ALB does: names in their exact case, no
// field null, header values strings, and in multi-value mode arrays of them.
// Headers in the other form are ignored. What ALB calls LambdaInvalidResponse
// is an error.
func (g *TargetGroup) parse(payload []byte) (*response, error) {
	var fields map[string]jsontext.Value
	if unmarshal(payload, &fields) != nil {
		return nil, errors.New("it is not a JSON object")
	}
	name := "headers"
	if g.MultiValueHeaders {
		name = "multiValueHeaders"
	}
	for _, field := range []string{"statusCode", "statusDescription", "isBase64Encoded", "body", name} {
		if string(fields[field]) == "null" {
			return nil, fmt.Errorf("%s is null", field)
		}
	}
	read := func(field string, into any) error {
		if raw, ok := fields[field]; ok && unmarshal(raw, into) != nil {
			return fmt.Errorf("%s has the wrong type", field)
		}
		return nil
	}
	var description, body string
	var encoded bool
	res := &response{header: make(http.Header)}
	if err := errors.Join(
		read("statusCode", &res.status), read("statusDescription", &description),
		read("isBase64Encoded", &encoded), read("body", &body),
		g.readHeaders(fields[name], res.header),
	); err != nil {
		return nil, err
	}
	if res.status < 200 || res.status > 599 {
		return nil, fmt.Errorf("statusCode %d is missing or outside 200 to 599", res.status)
	}
	res.body = []byte(body)
	if encoded {
		decoded, err := base64.StdEncoding.Strict().DecodeString(body)
		if err != nil || strings.ContainsAny(body, "\r\n") {
			return nil, errors.New("isBase64Encoded is true and body is not base64")
		}
		res.body = decoded
	}
	return res, nil
}

// unmarshal reads JSON leniently: of a name that appears more than once it takes
// the last value, and it reads bytes that are not UTF-8 as U+FFFD.
func unmarshal(raw []byte, into any) error {
	return json.Unmarshal(raw, into, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// readHeaders leaves out the headers of the connection, and Content-Length, which
// the balancer counts itself.
func (g *TargetGroup) readHeaders(raw jsontext.Value, into http.Header) error {
	if raw == nil {
		return nil
	}
	values := make(map[string][]*string)
	if g.MultiValueHeaders {
		if unmarshal(raw, &values) != nil {
			return errors.New("multiValueHeaders is not an object of arrays of strings")
		}
	} else {
		var single map[string]*string
		if unmarshal(raw, &single) != nil {
			return errors.New("headers is not an object of strings")
		}
		for name, value := range single {
			values[name] = []*string{value}
		}
	}
	for name, vs := range values {
		if !isToken(name) {
			return fmt.Errorf("header name %q", name)
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		for _, v := range vs {
			if v == nil || strings.ContainsFunc(*v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("header %s has a null or a control character", name)
			}
			if !slices.Contains(hopByHop, name) {
				into[name] = append(into[name], *v)
			}
		}
	}
	return nil
}

var hopByHop = []string{
	"Connection", "Content-Length", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// write sends the response. Without a Server header ALB sets its own name, and
// without a Content-Type application/octet-stream.
func (res *response) write(x *exchange) {
	h := x.Header()
	for name, values := range res.header {
		h[name] = values
	}
	if len(h["Server"]) == 0 {
		h["Server"] = []string{"awselb/2.0"}
	}
	if res.status == http.StatusNoContent || res.status == http.StatusNotModified {
		x.WriteHeader(res.status)
		return
	}
	if len(h["Content-Type"]) == 0 {
		h["Content-Type"] = []string{"application/octet-stream"}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(res.body))}
	x.WriteHeader(res.status)
	if x.r.Method != http.MethodHead {
		x.Write(res.body)
	}
}
