package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

// tailEvery is the time between two looks at the log.
const tailEvery = time.Second

// maxLate is how late an event may come into the list, counted from its recordedtime, to
// be printed for sure. Lists are by recordedtime, so one that a relay brings late is
// before others that were printed; nothing but looking back finds it.
const maxLate = 15 * time.Minute

// looks are how far back looks go: each goes back a bit, every few further, and every
// minute as far as maxLate. The first that applies counts.
var looks = []struct {
	every int
	back  time.Duration
}{{60, maxLate}, {15, time.Minute}, {1, 2 * time.Second}}

// auditTail prints events as they come, until ctx ends.
func auditTail(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("audit tail", flag.ContinueOnError)
	file := flags.String("run", ".local/run.json", "`FILE` that `make run` writes: the stack whose admin is logged in if URL and TOKEN are not set")
	filters := map[string]*string{
		"subject": flags.String("subject", "", "only events on this `SUBJECT`, e.g. board/demo; or on all below a root, e.g. 'board/demo/*'"),
		"actor":   flags.String("actor", "", "only events of this `ACTOR`, e.g. user/<id>"),
		"type":    flags.String("type", "", "only events of this `TYPE`, e.g. plaudit.entry.reversed"),
	}
	since := flags.Duration("since", 10*time.Minute, "begin with the events of the last `TIME`")
	plain := flags.Bool("json", false, "print each event as one line of JSON")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	if *since < 0 {
		return wrong(flags, stderr, errors.New("--since must not be negative"))
	}
	t := &tail{
		query: url.Values{"order": {"asc"}, "limit": {"100"}}, from: time.Now().Add(-*since), seen: map[string]time.Time{},
		out: stdout, errs: stderr, line: describeEvent, api: &client{http: &http.Client{Timeout: 15 * time.Second}},
	}
	if *plain {
		t.line = func(item json.RawMessage) (string, error) {
			var line bytes.Buffer
			err := json.Compact(&line, item)
			return line.String(), err
		}
	}
	for name, value := range filters {
		if *value != "" {
			t.query.Set(name, *value)
		}
	}
	switch server, token := os.Getenv("URL"), os.Getenv("TOKEN"); {
	case server != "" && token == "":
		return wrong(flags, stderr, errors.New("URL is set, but TOKEN is not: set TOKEN to an access token of that server (POST /v1/sessions), or unset URL to follow the log of `make run` as its admin"))
	case server == "" && token != "":
		return wrong(flags, stderr, errors.New("TOKEN is set, but URL is not: set URL to the server that issued the token, or unset TOKEN to follow the log of `make run` as its admin"))
	case token != "":
		t.api.url, t.api.token = server, token
	default:
		t.runFile = *file
		if err := t.logIn(ctx); err != nil {
			return err
		}
	}
	err := t.follow(ctx)
	if ctx.Err() != nil {
		return nil // Ctrl-C is how it ends
	}
	return err
}

type tail struct {
	api     *client
	query   url.Values
	from    time.Time            // of the first look
	seen    map[string]time.Time // recordedtime of those that were printed lately, by logid
	out     io.Writer
	errs    io.Writer
	line    func(json.RawMessage) (string, error)
	runFile string // of the laptop whose admin this is; "" if TOKEN says who it is
	newest  time.Time
	done    time.Time // what was newest when the last look by maxLate began
	down    bool      // the last look failed
}

// logIn finds the laptop's stack and logs its admin in.
func (t *tail) logIn(ctx context.Context) error {
	run, err := readRunFile(t.runFile)
	if err != nil {
		return err
	}
	t.api.url, t.api.token = run.URL, ""
	return t.api.login(ctx, run.Admin)
}

// errAgain is an error that may be gone at the next look.
type errAgain struct{ error }

// follow looks at the log again and again.
func (t *tail) follow(ctx context.Context) error {
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	for n := 0; ; {
		var back time.Duration
		for _, l := range looks {
			if n%l.every == 0 {
				back = l.back
				break
			}
		}
		err := t.look(ctx, back)
		var again errAgain
		switch {
		case errors.As(err, &again):
			if !t.down && ctx.Err() == nil {
				fmt.Fprintf(t.errs, "waiting for %s: %v\n", t.api.url, err)
			}
			t.down = true
		case err != nil:
			return err
		default:
			if t.down {
				t.down = false
				fmt.Fprintf(t.errs, "%s answers again\n", t.api.url)
			}
			n++ // a look that failed is repeated
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// look prints the events that were not printed yet, and forgets old ones.
func (t *tail) look(ctx context.Context, back time.Duration) error {
	newest, from := t.newest, t.newest.Add(-back)
	if back == maxLate {
		// Counted from the last such look, so that no event falls between the two,
		// however long the second one had to wait for the server.
		from = t.done.Add(-back)
	}
	if from.Before(t.from) {
		from = t.from
	}
	query := url.Values{}
	for name, values := range t.query {
		query[name] = values
	}
	query.Set("from", from.UTC().Format(time.RFC3339Nano))
	for {
		var page struct {
			Items []json.RawMessage
			Next  *string
		}
		if err := t.get(ctx, query, &page); err != nil {
			return err
		}
		for _, item := range page.Items {
			if err := t.print(item); err != nil {
				return err
			}
		}
		if page.Next == nil {
			break
		}
		query.Set("cursor", *page.Next)
	}
	if back == maxLate {
		t.done = newest
		for id, at := range t.seen {
			if at.Before(t.done.Add(-maxLate)) {
				delete(t.seen, id)
			}
		}
	}
	return nil
}

func (t *tail) print(item json.RawMessage) error {
	var e struct {
		LogID        string
		RecordedTime time.Time
	}
	if err := json.Unmarshal(item, &e); err != nil {
		return fmt.Errorf("read an event: %w", err)
	}
	if _, known := t.seen[e.LogID]; known {
		return nil
	}
	line, err := t.line(item)
	if err != nil {
		return fmt.Errorf("read the event %s: %w", e.LogID, err)
	}
	if _, err := fmt.Fprintln(t.out, line); err != nil {
		return err
	}
	t.seen[e.LogID] = e.RecordedTime
	if e.RecordedTime.After(t.newest) {
		t.newest = e.RecordedTime
	}
	return nil
}

// get reads a page of the list of events. A server that cannot answer is an errAgain.
func (t *tail) get(ctx context.Context, query url.Values, into any) error {
	status, answer, err := t.api.call(ctx, http.MethodGet, "/v1/audit/events?"+query.Encode(), nil, nil)
	switch {
	case err != nil:
		return errAgain{err}
	case status == http.StatusUnauthorized:
		return t.renew(ctx)
	case status == http.StatusTooManyRequests || status >= 500:
		return errAgain{fmt.Errorf("it answers %d", status)}
	case status != http.StatusOK:
		return refusal(status, answer)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("GET /v1/audit/events returned something else than a list: %w", err)
	}
	return nil
}

// renew logs the laptop's admin in again, because access tokens live 15 minutes. A token
// of somebody else is theirs to renew: another account reads other events.
func (t *tail) renew(ctx context.Context) error {
	if t.runFile == "" {
		return errors.New("TOKEN has expired or is not valid: log in again (POST /v1/sessions; as the laptop's admin, eval \"$(plaudit login)\"), set TOKEN to the new access token, and start again with a --since that covers the pause")
	}
	if err := t.logIn(ctx); err != nil {
		return errAgain{err}
	}
	return errAgain{errors.New("the token had expired")}
}

// refusal returns the server's own words.
func refusal(status int, answer []byte) error {
	var problem struct{ Detail, Field string }
	if json.Unmarshal(answer, &problem) != nil || problem.Detail == "" {
		return fmt.Errorf("GET /v1/audit/events returned %d %s", status, http.StatusText(status))
	}
	if problem.Field != "" {
		return fmt.Errorf("%s: %s", problem.Field, problem.Detail)
	}
	return errors.New(problem.Detail)
}
