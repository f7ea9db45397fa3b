package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/audit/audittest"
	"plaudit/shared/boot/boottest"
	"plaudit/shared/ddb"
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

// start starts the function that was built there, and returns how to send it a request
// as the load balancer does: bodies other than text are in base64. The function has a
// time for each; the load balancer answers 502 for one that Lambda kills then.
func start(t *testing.T, timeout time.Duration, bin, jwks, token string, env ...string) func(method, path, body, contentType string) answer {
	t.Helper()
	runtime := boottest.StartRuntime(t)
	boottest.Run(t, bin, append([]string{runtime.Env, "STAGE=local", "JWKS=" + jwks, "SAMPLE_JWKS=", "ALLOWED_ORIGINS="}, env...)...)
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
		runtime.SendUntil(string(event), time.Now().Add(timeout))
		got := runtime.Answer()
		if got.Late {
			return answer{StatusCode: http.StatusBadGateway}
		}
		var a answer
		if err := json.Unmarshal([]byte(got.Body), &a); err != nil || got.Failed {
			t.Fatalf("%s %s: %+v", method, path, got)
		}
		return a
	}
}

// admin returns the public key of a new signer, and a token of an admin.
func admin(t *testing.T) (jwks, token string) {
	t.Helper()
	pem, jwks, err := jose.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(pem)
	if err != nil {
		t.Fatal(err)
	}
	if token, err = signer.Sign(access.Caller{User: "a", Role: access.Admin}, time.Hour); err != nil {
		t.Fatal(err)
	}
	return jwks, token
}

// The two functions of the log as they are built, over one engine.
func TestAnEventGoesInAndIsFound(t *testing.T) {
	jwks, token := admin(t)
	tables := ddbtest.Tables(t)
	add := start(t, time.Minute, boottest.Build(t, "."), jwks, token, tables.Env()...)
	query := start(t, time.Minute, boottest.Build(t, "../audit-query"), jwks, token, tables.Env()...)

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

// A DynamoDB that accepts requests and never answers them, or that never processes the
// items of a batch, is a 503 in time, before Lambda kills the function.
func TestADynamoDBThatHangsIsUnavailable(t *testing.T) {
	jwks, token := admin(t)
	add, query := boottest.Build(t, "."), boottest.Build(t, "../audit-query")
	const body = `{"specversion": "1.0", "id": "1", "source": "/tracker", "type": "moved", "subject": "task/17"}`
	for name, c := range map[string]struct {
		bin, method, body string
		hangs             string // the first operation that does
	}{
		"the first read of an add":          {add, "POST", body, "GetItem"},
		"the write of an add":               {add, "POST", body, "PutItem"},
		"the index of an add":               {add, "POST", body, "BatchWriteItem"},
		"items of an add, not processed":    {add, "POST", body, "unprocessed"},
		"the index of a list":               {query, "GET", "", "Query"},
		"the events of a list":              {query, "GET", "", "BatchGetItem"},
		"events of a list, never processed": {query, "GET", "", "unprocessed"},
	} {
		t.Run(name, func(t *testing.T) {
			tables := ddbtest.Tables(t)
			if c.method == "GET" {
				log := ddb.NewLog(tables.Config, tables.Events, tables.Index)
				audittest.Write(t, log, audittest.Numbered(1))
			}
			engine := hanging(t, *tables.Config.BaseEndpoint, c.hangs)
			send := start(t, 2*time.Second, c.bin, jwks, token, append(tables.Env(), "AWS_ENDPOINT_URL="+engine)...)
			a := send(c.method, "/v1/audit/events", c.body, map[string]string{"POST": "application/json"}[c.method])
			if a.StatusCode != 503 || !strings.Contains(a.Body, ":database-unavailable") || len(a.MultiValueHeaders["Retry-After"]) != 1 {
				t.Errorf("%+v", a)
			}
		})
	}
}

// hanging is an engine in front of another one. It accepts an operation and never
// answers it, or answers each batch that none of its items was processed.
func hanging(t *testing.T, engine, operation string) string {
	t.Helper()
	target, err := url.Parse(engine)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		if name == operation {
			// The server notices that the client has gone only once it has read the body.
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			return
		}
		of := map[string]string{"BatchWriteItem": "UnprocessedItems", "BatchGetItem": "UnprocessedKeys"}[name]
		if operation != "unprocessed" || of == "" {
			proxy.ServeHTTP(w, r)
			return
		}
		var in struct{ RequestItems json.RawMessage }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		fmt.Fprintf(w, `{"Responses": {}, %q: %s}`, of, in.RequestItems)
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
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
