package e2e

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"time"

	"plaudit/shared/event"
	"plaudit/shared/event/eventtest"
)

// personal collects names and other values of people that the tests use, which no event
// may contain.
var personal names

type names struct {
	mu    sync.Mutex
	known []string
}

func (n *names) note(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known = append(n.known, name)
}

// outboxRow is an event of an outbox.
type outboxRow struct{ source, id string }

// checkLog checks the log that all tests together have caused, as an auditor gets it: it
// has each event of both outboxes once and no other one of ours, each with data as
// docs/events describes them, numbered without a gap, and without personal data. It is
// called after all tests, which together cause events of every type.
func (l *checkout) checkLog(allTests bool) error {
	token, err := l.auditor()
	if err != nil {
		return err
	}
	rows, err := l.relayed()
	if err != nil {
		return err
	}
	lines, err := l.export(token, time.Now())
	if err != nil {
		return err
	}
	var faults []string
	fault := func(format string, args ...any) {
		if len(faults) < 20 {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	seen, types := map[string]bool{}, map[event.Type]int{}
	next, seqs := map[string]int64{}, map[string]int64{}
	for _, line := range lines {
		e, err := event.Decode(line)
		if err != nil {
			return fmt.Errorf("the export has %s: %w", line, err)
		}
		if seen[e.LogID] {
			fault("the export has %s twice", e.LogID)
		}
		seen[e.LogID] = true
		if again, err := e.Encode(); err != nil || !bytes.Equal(again, line) {
			fault("%s is encoded as %s (%v)", line, again, err)
		}
		if !strings.HasPrefix(e.Source, "/plaudit/") {
			continue
		}
		types[e.Type]++
		// The outbox has an entry's id instead of its type and subject.
		row := outboxRow{e.Source, e.ID}
		if about, ok := rows[row]; !ok || about != "" && about != string(e.Type)+" "+e.Subject {
			fault("the outbox has %q for %s", about, line)
		}
		delete(rows, row)
		if err := errors.Join(eventtest.Data(e.Type, e.JSON), eventtest.CloudEvent(e)); err != nil {
			fault("%v", err)
		}
		if e.DataSchema != event.Schema(e.Type) || e.DataContentType != "application/json" || e.TraceParent == "" || e.LogID != event.LogID(e.Source, e.ID) {
			fault("the attributes of %s", line)
		}
		// An export is in the order of recordedtime, and so are the events of a subject.
		if strings.HasPrefix(string(e.Type), "plaudit.entry.") {
			var data struct{ Seq int64 }
			if err := json.Unmarshal(e.JSON, &data); err != nil || e.SubjectSeq != 0 {
				fault("the numbers of %s: %v", line, err)
			}
			if seqs[e.Subject]++; data.Seq != seqs[e.Subject] {
				fault("entry %d of %s has the seq %d", seqs[e.Subject], e.Subject, data.Seq)
			}
		} else if next[e.Subject]++; e.SubjectSeq != next[e.Subject] {
			fault("event %d of %s, %s, has the subjectseq %d", next[e.Subject], e.Subject, e.Type, e.SubjectSeq)
		}
	}
	for row, about := range rows {
		fault("the log lacks %+v, %s", row, about)
	}
	for _, typ := range event.Types() {
		if allTests && types[typ] == 0 {
			fault("no test has caused an event of the type %s", typ)
		}
	}
	text := bytes.Join(lines, []byte("\n"))
	for _, name := range personal.known {
		if bytes.Contains(text, []byte(name)) {
			fault("an event contains %q", name)
		}
	}
	for _, found := range leaks.without(hostile).in(ofOurs(lines)) {
		fault("an event contains %s", found)
	}
	check := exec.Command(l.Program("plaudit"), "audit", "check")
	check.Dir = l.Root
	if out, err := check.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("is complete")) {
		fault("plaudit audit check: %v: %s", err, out)
	}
	if len(faults) > 0 {
		return errors.New("the audit log has faults, such as\n" + strings.Join(faults, "\n"))
	}
	return nil
}

// ofOurs returns the lines with events of ours: others may contain any text.
func ofOurs(lines [][]byte) []byte {
	var out bytes.Buffer
	for _, line := range lines {
		if bytes.Contains(line, []byte(`"source":"/plaudit/`)) {
			out.Write(append(line, '\n'))
		}
	}
	return out.Bytes()
}

// auditor returns an access token of a new auditor.
func (l *checkout) auditor() (token string, err error) {
	call := func(status int, method, path, token string, body any, field string) string {
		if err != nil {
			return ""
		}
		text, _ := json.Marshal(body)
		var a answer
		if a, err = try(method, path, token, string(text)); err != nil {
			return ""
		}
		var fields map[string]any
		if err = json.Unmarshal([]byte(a.body), &fields); err == nil && a.status != status {
			err = fmt.Errorf("%s %s: %d %s", method, path, a.status, a.body)
		}
		value, _ := fields[field].(string)
		return value
	}
	me := map[string]any{"email": unique("auditor") + "@example.com", "password": password}
	root := call(201, "POST", "/v1/sessions", "", l.Info.Admin, "access_token")
	id := call(201, "POST", "/v1/users", "", map[string]any{"email": me["email"], "password": password, "display_name": "Auditor"}, "id")
	call(200, "PATCH", "/v1/users/"+id, root, map[string]any{"role": "auditor"}, "role")
	return call(201, "POST", "/v1/sessions", "", me, "access_token"), err
}

// relayed waits until nothing waits in an outbox, and returns the type and the subject
// of their events; an empty text for an entry's.
func (l *checkout) relayed() (map[outboxRow]string, error) {
	rows := map[outboxRow]string{}
	for name, data := range l.Info.Databases {
		db, err := sql.Open("postgres", data.URL)
		if err != nil {
			return nil, err
		}
		defer db.Close()
		for try := 0; ; try++ {
			var waiting, failed int
			if err := db.QueryRow(`SELECT count(*) FILTER (WHERE sent_at IS NULL), (SELECT count(*) FROM outbox_failed) FROM outbox`).Scan(&waiting, &failed); err != nil {
				return nil, err
			}
			if failed > 0 {
				return nil, fmt.Errorf("%d rows of the %s database can never be written", failed, name)
			}
			if waiting == 0 {
				break
			}
			if try > 1200 {
				return nil, fmt.Errorf("%d rows of the %s database still wait after two minutes", waiting, name)
			}
			time.Sleep(100 * time.Millisecond)
		}
		found, err := db.Query(`SELECT id, coalesce(tag::text, ''), coalesce(type || ' ' || subject, '') FROM outbox WHERE kind = 'event'`)
		if err != nil {
			return nil, err
		}
		for found.Next() {
			r := outboxRow{source: "/plaudit/" + name}
			var number int64
			var tag, about string
			if err := found.Scan(&number, &tag, &about); err != nil {
				return nil, err
			}
			r.id = event.RowID(number, tag)
			rows[r] = about
		}
		if err := found.Err(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// export returns the log's events until at least a time.
func (l *checkout) export(token string, to time.Time) (lines [][]byte, err error) {
	for {
		lines = nil
		var until time.Time
		for path := "/v1/audit/export"; path != ""; {
			a, err := try("GET", path, token, "")
			if err != nil || a.status != http.StatusOK {
				return nil, fmt.Errorf("GET %s: %d %s %w", path, a.status, a.body, err)
			}
			for line := range strings.Lines(a.body) {
				lines = append(lines, []byte(strings.TrimSuffix(line, "\n")))
			}
			if until, err = time.Parse(time.RFC3339, a.header.Get("Export-Until")); err != nil {
				return nil, err
			}
			path = ""
			if next := nextLink.FindStringSubmatch(a.header.Get("Link")); next != nil {
				path = next[1]
			}
		}
		if !until.Before(to) {
			return lines, nil
		}
		time.Sleep(time.Until(to.Add(11 * time.Second)))
	}
}
