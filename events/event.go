// Package events reads the sample events in this folder, which the load
// balancer would pass to each function: <function>/<case>.<expected
// status>.json, or .ok.json and .error.json for functions that are not behind a
// load balancer.
package events

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
)

// Event is a request as a load balancer passes it to a function, if the target
// group has multi-value headers. Names and values of the query are as the
// client sent them, not decoded; names of headers are in lower case.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
type Event struct {
	RequestContext struct {
		ELB struct {
			TargetGroupARN string `json:"targetGroupArn"`
		} `json:"elb"`
	} `json:"requestContext"`
	Method  string              `json:"httpMethod"`
	Path    string              `json:"path"`
	Query   map[string][]string `json:"multiValueQueryStringParameters"`
	Headers map[string][]string `json:"multiValueHeaders"`
	Body    string              `json:"body"`
	Base64  bool                `json:"isBase64Encoded"`
}

// Read reads the event of a request.
func Read(file string) (Event, error) {
	var e Event
	text, err := os.ReadFile(file)
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("%s: %w", file, err)
	}
	if e.Method == "" || !strings.HasPrefix(e.Path, "/") {
		return e, fmt.Errorf("%s is not the event of a request", file)
	}
	return e, nil
}

// added lists the headers that a load balancer or a connection adds.
var added = []string{"host", "content-length", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-amzn-trace-id"}

// Request returns the request that a client would send to the load balancer at
// base, e.g. http://127.0.0.1:8080.
func (e Event) Request(ctx context.Context, base string) (*http.Request, error) {
	body := e.Body
	if e.Base64 {
		decoded, err := base64.StdEncoding.DecodeString(e.Body)
		if err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
		body = string(decoded)
	}
	var query []string
	for _, name := range slices.Sorted(maps.Keys(e.Query)) {
		for _, v := range e.Query[name] {
			query = append(query, name+"="+v)
		}
	}
	target := base + e.Path
	if len(query) > 0 {
		target += "?" + strings.Join(query, "&")
	}
	req, err := http.NewRequestWithContext(ctx, e.Method, target, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range e.Headers {
		if !slices.Contains(added, name) {
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	return req, nil
}
