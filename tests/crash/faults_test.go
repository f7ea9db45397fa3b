package crash

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"plaudit/local/ministack/enginetest"
)

// DynamoDB refuses requests because there are too many, takes a part of a batch only, or
// takes a request and its answer is lost. And the log begins empty here: it is restored.
func TestDynamoDBIsThrottled(t *testing.T) {
	c := running(t)
	c.stop()
	f := &faults{of: map[string]*atomic.Int64{}}
	for _, kind := range []string{throttled, incomplete, lost} {
		f.of[kind] = &atomic.Int64{}
	}
	c.start(t, "-aws-endpoint", f.proxy(t, enginetest.Start(t)))
	l := c.begin(t)
	l.some(20)
	f.on.Store(true)
	for kind, n := range f.of {
		for n.Load() < 10 && !t.Failed() {
			l.some(10)
		}
		t.Logf("%s: %d", kind, n.Load())
	}
	f.on.Store(false)
	l.stop().complete()
	check(t)

	// The engine from before lacks all of this. Other systems' events are lost with theirs.
	c.stop()
	c.start(t)
	l = c.begin(t)
	l.some(20)
	l.stop().complete()
	check(t)
}

// The kinds of faults.
const (
	throttled  = "requests refused"
	incomplete = "batches taken in part"
	lost       = "answers lost"
)

// faults is a proxy in front of DynamoDB that injects faults.
type faults struct {
	on atomic.Bool
	of map[string]*atomic.Int64
}

func (f *faults) proxy(t *testing.T, engine string) (address string) {
	t.Helper()
	target, err := url.Parse(engine)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		action, ours := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB_20120810.")
		if !f.on.Load() || !ours {
			pass.ServeHTTP(w, r)
			return
		}
		switch n := rand.IntN(10); {
		case n < 3:
			f.of[throttled].Add(1)
			refuse(w)
		case n < 5 && action == "BatchWriteItem":
			f.part(w, r, pass)
		case n < 6 && (action == "PutItem" || action == "BatchWriteItem"):
			f.of[lost].Add(1)
			pass.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler) // closes the connection
		default:
			pass.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func refuse(w http.ResponseWriter) {
	name := []string{"ProvisionedThroughputExceededException", "ThrottlingException"}[rand.IntN(2)]
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(http.StatusBadRequest)
	io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#`+name+`","message":"slow down"}`)
}

// part passes on some items of a BatchWriteItem, and answers that the others were not
// processed.
func (f *faults) part(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	var in map[string]json.RawMessage
	var items map[string][]json.RawMessage
	if json.Unmarshal(body, &in) != nil || json.Unmarshal(in["RequestItems"], &items) != nil {
		http.Error(w, "not a BatchWriteItem", http.StatusBadRequest)
		return
	}
	kept, left := map[string][]json.RawMessage{}, map[string][]json.RawMessage{}
	for table, puts := range items {
		n := len(puts) / 2
		if n > 0 {
			kept[table] = puts[:n]
		}
		left[table] = puts[n:]
	}
	if len(kept) == 0 {
		refuse(w)
		return
	}
	in["RequestItems"], _ = json.Marshal(kept)
	body, _ = json.Marshal(in)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	answer := httptest.NewRecorder()
	pass.ServeHTTP(answer, r)
	if answer.Code != http.StatusOK {
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
		return
	}
	f.of[incomplete].Add(1)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	json.NewEncoder(w).Encode(map[string]any{"UnprocessedItems": left})
}
