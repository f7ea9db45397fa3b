package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"plaudit/local/part"
)

// recorder is a part that records its start, and whether the AWS endpoint is
// served while it starts and stops.
type recorder struct {
	part.Part
	name  string
	fails bool
	url   string
	log   *record
}

type record struct {
	mu    sync.Mutex
	lines []string
}

func (l *record) add(line ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.Join(line, " "))
}

func (r recorder) served() string {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(r.url)
	if err != nil {
		return "without AWS"
	}
	response.Body.Close()
	return "with AWS"
}

func (r recorder) API() (string, http.Handler) { return "", nil }

func (r recorder) Start(context.Context) error {
	if r.fails {
		r.log.add("fail", r.name)
		return errors.New(r.name + " fails")
	}
	r.log.add("start", r.name)
	return nil
}

func (r recorder) Stop() { r.log.add("stop", r.name, r.served()) }

func startRecorded(t *testing.T, failing string) ([]string, error) {
	t.Helper()
	aws, err := net.Listen("tcp4", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer aws.Close()
	log := &record{}
	of := func(name string) part.List {
		return part.List{recorder{name: name, fails: name == failing, url: "http://" + aws.Addr().String(), log: log}}
	}
	c := &cloud{
		screen: &screen{terminal: &bytes.Buffer{}}, log: slog.New(slog.DiscardHandler), run: newRunFile(t.TempDir()), fatal: make(chan error, 1),
		parts: parts{served: []part.List{of("database"), of("engine")}, callers: []part.List{of("function"), of("balancer")}},
	}
	err = c.start(t.Context(), []net.Listener{aws})
	c.stopParts()
	return log.lines, err
}

// What calls AWS can do so until it has ended.
func TestPartsStopInReverseOrder(t *testing.T) {
	got, err := startRecorded(t, "")
	want := []string{
		"start database", "start engine", "start function", "start balancer",
		"stop balancer with AWS", "stop function with AWS", "stop engine without AWS", "stop database without AWS",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %q", err, got)
	}
}

func TestPartThatFailsIsStoppedToo(t *testing.T) {
	got, err := startRecorded(t, "function")
	want := []string{
		"start database", "start engine", "fail function",
		"stop function with AWS", "stop engine without AWS", "stop database without AWS",
	}
	if err == nil || err.Error() != "function fails" || !slices.Equal(got, want) {
		t.Errorf("%v, %q", err, got)
	}
}
