package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"plaudit/shared/bus"
)

// service is EventBridge as far as refusals need it, which the engine never makes. It
// answers each call with what answer returns for its entries.
type service struct {
	answer func(call int, ids []string) (status int, codes map[string]string)

	mu    sync.Mutex
	calls [][]string // ids of the entries, by call
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Entries []struct{ Detail, EventBusName string }
	}
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &in); err != nil || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutEvents") {
		http.Error(w, "not PutEvents", http.StatusBadRequest)
		return
	}
	var ids []string
	for _, e := range in.Entries {
		var detail struct{ ID string }
		_ = json.Unmarshal([]byte(e.Detail), &detail)
		ids = append(ids, detail.ID)
	}
	s.mu.Lock()
	s.calls = append(s.calls, ids)
	call := len(s.calls)
	s.mu.Unlock()
	status, codes := http.StatusOK, map[string]string(nil)
	if s.answer != nil {
		status, codes = s.answer(call, ids)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	if status != http.StatusOK {
		fmt.Fprint(w, `{"__type": "InternalException", "message": "down"}`)
		return
	}
	var out []map[string]string
	for _, id := range ids {
		if code := codes[id]; code != "" {
			out = append(out, map[string]string{"ErrorCode": code, "ErrorMessage": "because"})
		} else {
			out = append(out, map[string]string{"EventId": "e-" + id})
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"Entries": out, "FailedEntryCount": len(codes)})
}

func open(t *testing.T, s *service) *bus.Bus {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return bus.New(aws.Config{
		Region: "ap-northeast-2", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("000000000000", "x", ""),
	}, "test")
}

// entries returns entries with the ids 1, 2 and so on, and details of so many bytes.
func entries(sizes ...int) []bus.Entry {
	var out []bus.Entry
	for i, n := range sizes {
		head := fmt.Sprintf(`{"id":"%d","pad":"`, i+1)
		out = append(out, bus.Entry{Source: "/test", Type: "t", Detail: []byte(head + strings.Repeat("x", max(0, n-len(head)-2)) + `"}`)})
	}
	return out
}

func TestCallsHaveTenEntriesAndOneMegabyte(t *testing.T) {
	s := &service{}
	sizes := append(slices.Repeat([]int{100}, 12), 600_000, 300_000, 200_000, 899_000, 50)
	for i, err := range open(t, s).Put(t.Context(), entries(sizes...)) {
		if err != nil {
			t.Errorf("entry %d: %v", i+1, err)
		}
	}
	want := "[[1 2 3 4 5 6 7 8 9 10] [11 12 13 14] [15] [16 17]]"
	// 200,000 and 899,000 bytes do not fit together.
	if got := fmt.Sprint(s.calls); got != want {
		t.Errorf("the calls are %s, want %s", got, want)
	}
}

func TestOnlyFailedEntriesAreSentAgain(t *testing.T) {
	s := &service{answer: func(call int, ids []string) (int, map[string]string) {
		switch call {
		case 1:
			return http.StatusOK, map[string]string{"2": "ThrottlingException", "3": "MalformedDetail", "4": "InternalFailure"}
		case 2:
			return http.StatusOK, map[string]string{"4": "ThrottlingException"}
		}
		return http.StatusOK, nil
	}}
	errs := open(t, s).Put(t.Context(), entries(50, 50, 50, 50))
	if got, want := fmt.Sprint(s.calls), "[[1 2 3 4] [2 4] [4]]"; got != want {
		t.Errorf("the calls are %s, want %s", got, want)
	}
	for i, err := range errs {
		if wrong := i == 2; (err != nil) != wrong || errors.Is(err, bus.ErrRefused) != wrong {
			t.Errorf("entry %d: %v", i+1, err)
		}
	}
}

func TestAnEntryOfMoreThan900KBIsRefusedAlone(t *testing.T) {
	s := &service{}
	errs := open(t, s).Put(t.Context(), entries(50, 900_100, 50))
	if errs[0] != nil || !errors.Is(errs[1], bus.ErrRefused) || errs[2] != nil || fmt.Sprint(s.calls) != "[[1 3]]" {
		t.Errorf("%v, calls %v", errs, s.calls)
	}
}

func TestAnOutageEndsWithTheContext(t *testing.T) {
	s := &service{answer: func(int, []string) (int, map[string]string) { return http.StatusInternalServerError, nil }}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if errs := open(t, s).Put(ctx, entries(50)); errs[0] == nil || errors.Is(errs[0], bus.ErrRefused) {
		t.Errorf("%v", errs)
	}
}

func TestSourcesAndTypesThatTheBusWouldRefuse(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Entries []struct{ Source, DetailType string }
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		for _, e := range in.Entries {
			got = append(got, fmt.Sprint(e.Source, " ", len([]rune(e.DetailType))))
		}
		fmt.Fprintf(w, `{"Entries": [%s]}`, strings.TrimSuffix(strings.Repeat(`{"EventId": "x"},`, len(in.Entries)), ","))
	}))
	defer server.Close()
	b := bus.New(aws.Config{
		Region: "ap-northeast-2", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("000000000000", "x", ""),
	}, "test")
	list := entries(50, 50, 50, 50)
	list[0].Source, list[1].Source, list[2].Source, list[3].Type = "aws.ec2", "AWS.x", strings.Repeat("한", 257), strings.Repeat("형", 200)
	for _, err := range b.Put(t.Context(), list) {
		if err != nil {
			t.Error(err)
		}
	}
	if want := []string{"other 1", "other 1", "other 1", "/test 128"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
