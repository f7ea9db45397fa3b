package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/boot/boottest"
	"plaudit/shared/ddb/ddbtest"
	"plaudit/shared/event"
	"plaudit/shared/jose"
)

type answer struct {
	StatusCode        int
	Body              string
	IsBase64Encoded   bool
	MultiValueHeaders map[string][]string
}

// start builds and starts the function in a folder, and returns how to send it a request
// as the load balancer does: bodies other than text are in base64.
func start(t *testing.T, dir, jwks, token string, env ...string) func(method, path, body, contentType string) answer {
	t.Helper()
	runtime := boottest.StartRuntime(t)
	boottest.Run(t, boottest.Build(t, dir), append([]string{runtime.Env, "STAGE=local", "JWKS=" + jwks, "SAMPLE_JWKS=", "ALLOWED_ORIGINS="}, env...)...)
	return func(method, path, body, contentType string) answer {
		t.Helper()
		path, query, _ := strings.Cut(path, "?")
		values := map[string][]string{}
		if name, value, ok := strings.Cut(query, "="); ok {
			values[name] = []string{value}
		}
		encoded := contentType != "" && contentType != "application/json"
		if encoded {
			body = base64.StdEncoding.EncodeToString([]byte(body))
		}
		event, err := json.Marshal(map[string]any{
			"requestContext": map[string]any{"elb": map[string]string{"targetGroupArn": "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/t/1"}},
			"httpMethod":     method, "path": path, "multiValueQueryStringParameters": values,
			"multiValueHeaders": map[string][]string{"host": {"example.org"}, "authorization": {"Bearer " + token}, "content-type": {contentType}, "x-forwarded-for": {"192.0.2.1"}},
			"body":              body, "isBase64Encoded": encoded,
		})
		if err != nil {
			t.Fatal(err)
		}
		runtime.Send(string(event))
		got := runtime.Answer()
		var a answer
		if err := json.Unmarshal([]byte(got.Body), &a); err != nil || got.Failed {
			t.Fatalf("%s %s: %+v", method, path, got)
		}
		return a
	}
}

// The two functions of the log as they are built, over one engine.
func TestAnEventGoesInAndIsFound(t *testing.T) {
	pem, jwks, err := jose.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(pem)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(access.Caller{User: "a", Role: access.Admin}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	tables := ddbtest.Tables(t)
	add := start(t, ".", jwks, token, tables.Env()...)
	query := start(t, "../audit-query", jwks, token, tables.Env()...)

	for id, contentType := range map[string]string{"1": "application/json", "2": "application/cloudevents+json"} {
		body := fmt.Sprintf(`{"specversion": "1.0", "id": "%s", "source": "/tracker", "type": "moved", "subject": "task/17", "data": {"to" : "서울 \u00e9"}}`, id)
		first, again := add("POST", "/v1/audit/events", body, contentType), add("POST", "/v1/audit/events", body, contentType)
		if first.StatusCode != 201 || again.StatusCode != 200 || first.Body != again.Body {
			t.Errorf("%+v, again %+v", first, again)
		}
		raw := query("GET", "/v1/audit/events/"+event.LogID("/tracker", id)+"?raw=true", "", "")
		if raw.StatusCode != 200 || raw.Body+"\n" != first.Body || raw.IsBase64Encoded || !strings.HasSuffix(raw.Body, `"data":{"to" : "서울 \u00e9"}}`) {
			t.Errorf("%+v", raw)
		}
	}
	list := query("GET", "/v1/audit/events?subject=task%2F17", "", "")
	var page struct{ Items []struct{ Actor string } }
	if err := json.Unmarshal([]byte(list.Body), &page); err != nil || len(page.Items) != 2 || page.Items[0].Actor != "user/a" {
		t.Errorf("%+v", list)
	}
	if a := add("DELETE", "/v1/audit/events/"+event.LogID("/tracker", "1"), "", ""); a.StatusCode != 405 {
		t.Errorf("%+v", a)
	}
}

// Without its tables, the function does not start, and names the one that is missing.
func TestAMissingTableEndsTheStart(t *testing.T) {
	_, jwks, err := jose.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	tables := ddbtest.Tables(t)
	tables.Index = "none"
	for _, dir := range []string{".", "../audit-query"} {
		runtime := boottest.StartRuntime(t)
		boottest.Run(t, boottest.Build(t, dir), append([]string{runtime.Env, "STAGE=local", "JWKS=" + jwks, "SAMPLE_JWKS=", "ALLOWED_ORIGINS="}, tables.Env()...)...)
		if got := runtime.InitError(); !strings.Contains(got, "the table none does not exist") {
			t.Errorf("%s: %s", dir, got)
		}
	}
}
