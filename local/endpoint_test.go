package main

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestEndpointRoutes(t *testing.T) {
	serve := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Service", name) })
	}
	e := endpoint{services: map[string]http.Handler{"lambda": serve("lambda"), "ses": serve("ses"), "secretsmanager": serve("secretsmanager")}, port: "4566", hosts: []string{"host.docker.internal"}}
	const signed = "AWS4-HMAC-SHA256 Credential=AKIA/with/slash/20261121/eu-west-1/%s/aws4_request, SignedHeaders=host, Signature=00"
	for _, test := range []struct {
		name, path string
		host       string // "": localhost:4566
		header     map[string]string
		service    string
		status     int
		body       string
	}{
		{name: "signature", path: "/", header: map[string]string{"Authorization": strings.Replace(signed, "%s", "secretsmanager", 1)}, service: "secretsmanager", status: 200},
		{name: "signature before target", path: "/", header: map[string]string{"Authorization": strings.Replace(signed, "%s", "lambda", 1), "X-Amz-Target": "secretsmanager.GetSecretValue"}, service: "lambda", status: 200},
		{name: "presigned", path: "/?X-Amz-Credential=a%2F20261121%2Feu-west-1%2Flambda%2Faws4_request", service: "lambda", status: 200},
		{name: "target", path: "/", header: map[string]string{"X-Amz-Target": "secretsmanager.GetSecretValue"}, service: "secretsmanager", status: 200},
		{name: "path", path: "/2015-03-31/functions/x/invocations", service: "lambda", status: 200},
		{name: "path of SES", path: "/v2/email/account", service: "ses", status: 200},
		{name: "not served", path: "/", header: map[string]string{"X-Amz-Target": "DynamoDB_20120810.GetItem"}, status: 400, body: `"UnrecognizedClientException"`},
		{name: "not served, XML", path: "/bucket", header: map[string]string{"Authorization": strings.Replace(signed, "%s", "s3", 1)}, status: 400, body: "<Error><Code>UnrecognizedClientException</Code>"},
		{name: "nothing", path: "/", status: 403, body: `"MissingAuthenticationTokenException"`},
		{name: "a browser's page", path: "/2015-03-31/functions/x/invocations", header: map[string]string{"Origin": "http://evil.example"}, status: 403, body: "browser"},
		{name: "an image of a page", path: "/?X-Amz-Credential=a%2F20261121%2Feu-west-1%2Flambda%2Faws4_request", header: map[string]string{"Sec-Fetch-Site": "cross-site"}, status: 403, body: "browser"},
		{name: "an image in an old browser", path: "/?Action=DeleteQueue&X-Amz-Credential=a%2F20261121%2Feu-west-1%2Flambda%2Faws4_request", status: 403, body: "Authorization"},
		{name: "an action that is signed", path: "/?Action=ListQueues", header: map[string]string{"Authorization": strings.Replace(signed, "%s", "lambda", 1)}, service: "lambda", status: 200},
		{name: "a rebound name", path: "/2015-03-31/functions/x/invocations", host: "evil.example:4566", status: 403, body: "evil.example"},
		{name: "a container", path: "/2015-03-31/functions/x/invocations", host: "host.docker.internal:4566", service: "lambda", status: 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, test.path, nil)
			r.Host = cmp.Or(test.host, "localhost:4566")
			for name, value := range test.header {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			if w.Code != test.status || w.Header().Get("Service") != test.service || !strings.Contains(w.Body.String(), test.body) {
				t.Errorf("%d, service %q: %s", w.Code, w.Header().Get("Service"), w.Body)
			}
		})
	}
}
