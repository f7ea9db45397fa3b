package boot

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plaudit/shared/boot/boottest"
	"plaudit/shared/trace"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestServeIdentifiesEachRequest(t *testing.T) {
	infos := make(chan trace.Info, 3)
	h := identified(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { infos <- trace.From(r.Context()) }))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	seen := map[string]bool{}
	for _, sent := range []string{parent, "", "00-zz"} {
		req, _ := http.NewRequest("GET", "http://"+l.Addr().String()+"/", nil)
		req.Header.Set("X-Request-Id", "forged")
		req.Header.Set("Traceparent", sent)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		info := <-infos
		if _, err := uuid.Parse(info.RequestID); err != nil || seen[info.RequestID] {
			t.Errorf("the request id is %q", info.RequestID)
		}
		seen[info.RequestID] = true
		if got := resp.Header.Get("X-Request-Id"); got != info.RequestID {
			t.Errorf("the response names %q, the context %q", got, info.RequestID)
		}
		if (info.Parent == sent) != (sent == parent) || info.Parent != trace.Parent(info.Parent) {
			t.Errorf("traceparent %q became %q", sent, info.Parent)
		}
	}
}

func TestServeGivesUpAfterTheDrain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	release := make(chan struct{})
	served := make(chan error, 1)
	go func() {
		served <- serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cancel()
			<-release
		}), 20*time.Millisecond)
	}()
	go http.Get("http://" + l.Addr().String())
	err = <-served
	close(release)
	if err == nil || !strings.Contains(err.Error(), "took longer than 20ms") {
		t.Errorf("it ends with %v", err)
	}
}

func TestServeOnATakenAddressIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = Serve(context.Background(), l.Addr().String(), http.NotFoundHandler())
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("%v", err)
	}
}

// The signal to stop arrives while a request is in flight.
func TestSIGTERMLetsARequestInFlightEnd(t *testing.T) {
	bin := boottest.Build(t, "./testdata/program")
	p := boottest.Run(t, bin, "MODE=serve", "DSN=x", "PASSWORD=", "LIMIT=1")
	url := "http://" + p.Line("listening")["address"].(string)
	body := make(chan string, 1)
	go func() {
		resp, err := http.Get(url + "/slow?token=hidden")
		if err != nil {
			body <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		body <- string(b)
	}()
	slow := p.Line("slow")
	p.Terminate()
	if got := <-body; got != "done" {
		t.Errorf("the client got %q", got)
	}
	if status := p.Wait(); status != 0 {
		t.Errorf("exit status %d:\n%s", status, p.Output())
	}
	request := p.Line("request")
	if request["request_id"] != slow["request_id"] || request["Function"] != "program" || request["_aws"] == nil {
		t.Errorf("the access line is %v", request)
	}
	if strings.Contains(p.Output(), "hidden") {
		t.Errorf("the query string is in the log:\n%s", p.Output())
	}
}

// Limits count by this address, so the client must not choose it.
func TestRemoteAddrIsWhatTheLoadBalancerSaw(t *testing.T) {
	var got string
	h := identified(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
	for forwarded, want := range map[string]string{"": "192.0.2.1:1234", "10.0.0.1, 203.0.113.7": "203.0.113.7:0", "me": "192.0.2.1:1234"} {
		r := httptest.NewRequest("GET", "/", nil)
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		if h.ServeHTTP(httptest.NewRecorder(), r); got != want {
			t.Errorf("%q: %s, want %s", forwarded, got, want)
		}
	}
}
