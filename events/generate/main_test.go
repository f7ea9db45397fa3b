package main

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"plaudit/events"
	"plaudit/local/elb"
)

// The committed events are those of the samples, except for the tokens.
func TestCommittedEventsAreTheSamples(t *testing.T) {
	folder, config := t.TempDir(), filepath.Join(t.TempDir(), "samconfig.toml")
	if err := os.WriteFile(config, []byte("  'SampleJwks=',\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(folder, config); err != nil {
		t.Fatal(err)
	}
	made, committed := contents(t, folder), contents(t, "..")
	for _, file := range slices.Sorted(maps.Keys(made)) {
		if !reflect.DeepEqual(made[file], committed[file]) {
			t.Errorf("events/%s differs from the output of `go run ./events/generate`", file)
		}
		delete(committed, file)
	}
	for file := range committed {
		t.Errorf("events/%s does not belong to a sample", file)
	}
}

// contents returns the README and every event without its token.
func contents(t *testing.T, folder string) map[string]any {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{"README.md": string(readme)}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var event map[string]any
		if err := json.Unmarshal(text, &event); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if headers, ok := event["multiValueHeaders"].(map[string]any); ok {
			if _, ok := headers["authorization"]; ok {
				headers["authorization"] = "a token"
			}
		}
		name, err := filepath.Rel(folder, file)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = event
	}
	return out
}

// recorder is a function that stores its last event.
type recorder struct{ event []byte }

func (r *recorder) Invoke(_ context.Context, event []byte, _ string) ([]byte, string, error) {
	r.event = slices.Clone(event)
	return []byte(`{"statusCode": 200, "multiValueHeaders": {}, "body": ""}`), "", nil
}

// Each event, turned back into a request and sent through the load balancer,
// becomes the same event.
func TestEventsHaveTheLoadBalancersShape(t *testing.T) {
	function := &recorder{}
	group := &elb.TargetGroup{Name: "samples", ARN: "arn:aws:elasticloadbalancing:ap-northeast-2:000000000000:targetgroup/samples/0", Type: "lambda", MultiValueHeaders: true, Function: function}
	balancer, err := elb.New(elb.Config{
		Listener:           elb.Listener{Protocol: "HTTP", Port: 8080, Default: elb.Action{Type: "forward", TargetGroup: group}},
		DropInvalidHeaders: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- balancer.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(client.CloseIdleConnections)
	for _, s := range samples {
		t.Run(s.function+"/"+s.name, func(t *testing.T) {
			want, err := events.Read(filepath.Join("..", filepath.FromSlash(s.file())))
			if err != nil {
				t.Fatal(err)
			}
			req, err := want.Request(t.Context(), "http://"+l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			fields := func(text []byte) (fields map[string]any) {
				t.Helper()
				if err := json.Unmarshal(text, &fields); err != nil {
					t.Fatal(err)
				}
				headers, _ := fields["multiValueHeaders"].(map[string]any)
				for _, other := range []string{"host", "x-amzn-trace-id"} {
					if headers[other] == nil {
						t.Errorf("the header %s is missing: %s", other, text)
					}
					delete(headers, other)
				}
				delete(fields, "requestContext")
				return fields
			}
			committed, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(s.file())))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := fields(function.event), fields(committed); !reflect.DeepEqual(got, want) {
				t.Errorf("the load balancer passes\n%v\nbut the sample is\n%v", got, want)
			}
		})
	}
}
