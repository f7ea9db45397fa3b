package eventbridge

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func event(n int) incoming {
	return incoming{
		text: fmt.Appendf(nil, `{"n":%d,"text":"<%s>"}`, n, strings.Repeat("x", 1000)), received: time.Date(2026, 1, 1, 0, 0, n, 5, time.UTC),
		routes: []route{{"rule", "a"}, {"rule", "b"}},
	}
}

func TestTheJournalKeepsWhatIsNotDone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deliveries.log")
	log := &bytes.Buffer{}
	open := func() (*journal, []*delivery) {
		j, waiting, err := openJournal(path, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		return j, waiting
	}
	j, waiting := open()
	if len(waiting) != 0 {
		t.Fatal(waiting)
	}
	all, err := j.add([]incoming{event(1), {text: []byte(`{}`)}, event(2)})
	if err != nil || len(all) != 4 {
		t.Fatal(all, err)
	}
	if err := j.done(all[0]); err != nil {
		t.Fatal(err)
	}
	if err := j.tried(all[1], 7, failure{Code: throttling, Message: "slow down"}, false); err != nil {
		t.Fatal(err)
	}
	if err := j.tried(all[2], 186, failure{Code: timedOut}, true); err != nil {
		t.Fatal(err)
	}
	// The process is killed: nothing is closed, and the last line is not whole.
	check := func(waiting []*delivery) {
		t.Helper()
		if len(waiting) != 3 {
			t.Fatalf("%d wait", len(waiting))
		}
		first, dead, last := waiting[0], waiting[1], waiting[2]
		if first.target != "b" || first.attempts != 7 || first.failure.Message != "slow down" || first.dead || string(first.event.text) != string(event(1).text) || !first.event.received.Equal(event(1).received) {
			t.Errorf("%+v", first)
		}
		if dead.target != "a" || !dead.dead || dead.attempts != 186 || last.attempts != 0 || last.event != dead.event || last.rule != "rule" {
			t.Errorf("%+v, %+v", dead, last)
		}
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("damaged\n" + `{"done":`); err != nil {
		t.Fatal(err)
	}
	file.Close()
	j, waiting = open()
	check(waiting)
	if !strings.Contains(log.String(), "damaged") {
		t.Error("a damaged line is not logged")
	}
	if err := j.compact(); err != nil {
		t.Fatal(err)
	}
	j, waiting = open()
	check(waiting)
	next, err := j.add([]incoming{event(3)})
	if err != nil || next[0].n <= waiting[2].n {
		t.Errorf("the number %d is used twice: %v", next[0].n, err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.add([]incoming{event(4)}); err == nil {
		t.Error("a closed journal takes events")
	}
}

func TestTheJournalDoesNotGrowWithWhatIsDone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deliveries.log")
	j, _, err := openJournal(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stays, err := j.add([]incoming{event(0)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10000 {
		all, err := j.add([]incoming{event(i)})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			if err := j.done(d); err != nil {
				t.Fatal(err)
			}
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > minCompaction+4096 || info.Size() != j.size {
		t.Errorf("%d bytes, counted %d: %v", info.Size(), j.size, err)
	}
	defer func() {
		for _, d := range stays {
			if err := j.done(d); err != nil {
				t.Fatal(err)
			}
		}
		if info, err := os.Stat(path); err != nil || info.Size() != 0 {
			t.Errorf("%d bytes of events that are delivered: %v", info.Size(), err)
		}
		if again, err := j.add([]incoming{event(1)}); err != nil || len(again) != 2 {
			t.Error(again, err)
		}
		if _, waiting, err := openJournal(path, slog.New(slog.DiscardHandler)); err != nil || len(waiting) != 2 {
			t.Errorf("%d wait, %v", len(waiting), err)
		}
	}()
	if len(j.open) != 2 || j.open[stays[0].n] != stays[0] || j.live != int64(stays[0].event.size) {
		t.Errorf("%d wait, %d bytes", len(j.open), j.live)
	}
}
