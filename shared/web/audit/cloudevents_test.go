package audit

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	ce "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"plaudit/shared/event"
)

// sample returns an event as a task tracker would make it with the CloudEvents SDK.
func sample(t *testing.T, id string, contentType string, data any) ce.Event {
	t.Helper()
	e := ce.NewEvent()
	e.SetID(id)
	e.SetSource("https://tracker.example/tasks")
	e.SetType("example.tracker.task.moved")
	e.SetSubject("과제/17")
	e.SetTime(time.Date(2026, 4, 5, 12, 0, 0, 123, time.FixedZone("", 9*3600)))
	e.SetDataSchema("https://tracker.example/schemas/moved.json")
	e.SetExtension("team", "서울")
	e.SetExtension("notify", "018f0000-0000-7000-8000-000000000001,018f0000-0000-7000-8000-000000000002")
	if err := e.SetData(contentType, data); err != nil {
		t.Fatal(err)
	}
	return e
}

// The log takes what the CloudEvents SDK sends, in each mode, and the SDK reads what
// the log returns.
func TestTheCloudEventsSDKIsAClient(t *testing.T) {
	s := newStack(t)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	protocol, err := ce.NewHTTP(cehttp.WithTarget(server.URL+events), cehttp.WithHeader("Authorization", "Bearer sender"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := ce.NewClient(protocol)
	if err != nil {
		t.Fatal(err)
	}
	moved := json.RawMessage(`{"to":"doing","from":"to do","n":123456789012345678901234567890,"z":"","a":null}`)
	sent := map[string]ce.Event{
		"structured":      sample(t, "structured", ce.ApplicationJSON, moved),
		"binary":          sample(t, "binary", ce.ApplicationJSON, moved),
		"binary text":     sample(t, "binary text", "text/plain; charset=utf-8", "moved to \"doing\"\n"),
		"binary bytes":    sample(t, "binary bytes", "application/octet-stream", []byte{0, 255, '"'}),
		"structured text": sample(t, "structured text", "text/plain", "moved"),
		"structured xml":  sample(t, "structured xml", "application/octet-stream", []byte("<moved/>")),
		"batched":         sample(t, "batched", ce.ApplicationJSON, moved),
		"batched too":     sample(t, "batched too", ce.ApplicationJSON, moved),
	}
	for name, mode := range map[string]binding.Encoding{
		"structured": binding.EncodingStructured, "structured text": binding.EncodingStructured, "structured xml": binding.EncodingStructured,
		"binary": binding.EncodingBinary, "binary text": binding.EncodingBinary, "binary bytes": binding.EncodingBinary,
	} {
		ctx := binding.WithForceStructured(t.Context())
		if mode == binding.EncodingBinary {
			ctx = binding.WithForceBinary(t.Context())
		}
		for range 2 { // it is repeated
			var result *cehttp.Result
			if err := client.Send(ctx, sent[name]); !ce.IsACK(err) || !ce.ResultAs(err, &result) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	batch, err := cehttp.NewHTTPRequestFromEvents(t.Context(), server.URL+events, []ce.Event{sent["batched"], sent["batched too"]})
	if err != nil {
		t.Fatal(err)
	}
	batch.Header.Set("Authorization", "Bearer sender")
	resp, err := http.DefaultClient.Do(batch)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("a batch: %s", resp.Status)
	}

	for name, e := range sent {
		raw := s.want(200, "admin", "GET", events+"/"+event.LogID(e.Source(), e.ID())+"?raw=true", "")
		var got ce.Event
		if err := json.Unmarshal(raw.Body.Bytes(), &got); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got.ID() != e.ID() || got.Source() != e.Source() || got.Type() != e.Type() || got.Subject() != e.Subject() || !got.Time().Equal(e.Time()) ||
			got.DataContentType() != e.DataContentType() || got.DataSchema() != e.DataSchema() || got.Extensions()["team"] != "서울" ||
			got.Extensions()["actor"] != "key/k1" || got.Extensions()["notify"] != e.Extensions()["notify"] || !bytes.Equal(got.Data(), e.Data()) {
			t.Errorf("%s comes back as\n%s\nwant\n%s", name, got, e)
		}
	}
	if s.log.Len() != len(sent) {
		t.Errorf("%d events, want %d", s.log.Len(), len(sent))
	}
}
