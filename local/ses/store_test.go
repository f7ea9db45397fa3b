package ses

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMailsStayBetweenRuns(t *testing.T) {
	folder := t.TempDir()
	l := start(t, stack, folder)
	first := l.send(t, simpleMail())
	second := l.send(t, simpleMail())
	// What is answered is on disk: nothing is written at the end.
	again := start(t, stack, folder)
	mails := again.messages(t, "")
	if len(mails) != 2 || mails[0].ID != second || mails[1].ID != first || mails[0].Tags["user"][0] != "u1" {
		t.Errorf("mails %+v", mails)
	}
	third := again.send(t, simpleMail())
	if mails := again.messages(t, "?limit=1"); mails[0].ID != third {
		t.Errorf("the newest is %s, want %s", mails[0].ID, third)
	}
	if err := Remove(folder); err != nil {
		t.Fatal(err)
	}
	if got := start(t, stack, folder).messages(t, ""); len(got) > 0 {
		t.Errorf("mails after Remove: %+v", got)
	}
}

func mailAt(s *store, id string) envelope {
	return envelope{ID: id, At: s.next(), To: []string{"ann@example.org"}, Recipients: map[string]Status{"ann@example.org": Delivered}}
}

func ids(s *store) (out []string) {
	found, _ := s.list("", "", maxMails)
	for _, one := range found {
		out = append(out, one.ID)
	}
	return out
}

func TestTheOldestMailsLeave(t *testing.T) {
	folder := t.TempDir()
	s, err := openStore(folder, 3, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := s.add(mailAt(s, fmt.Sprint(i)), []byte("Subject: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(folder)
	if got := ids(s); err != nil || len(files) != 3 || !slices.Equal(got, []string{"4", "3", "2"}) {
		t.Errorf("mails %q, %d files, %v", got, len(files), err)
	}
	if err := s.clear(); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(folder); err != nil || len(files) > 0 || s.count() > 0 {
		t.Errorf("after clear %v, %v", files, err)
	}
}

func TestMailsOfManyAtOnceAreInOrder(t *testing.T) {
	folder := t.TempDir()
	s, err := openStore(folder, 30, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	for i := range 50 {
		work.Go(func() {
			if err := s.add(mailAt(s, fmt.Sprint(i)), nil); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	again, err := openStore(folder, 30, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ids(s), ids(again); len(got) != 30 || !slices.Equal(got, want) {
		t.Errorf("mails %q, after a new start %q", got, want)
	}
}

func TestDamagedFilesAreReportedAndSkipped(t *testing.T) {
	folder := t.TempDir()
	log := &buffer{}
	s, err := openStore(folder, 10, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.add(mailAt(s, "good"), nil); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"1-empty.mail": "", "2-half.mail": `{"id": "x"`, "3-wrong.mail": "{\"id\": 1}\n", "4-temporary.mail.12345": "{}\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, err := openStore(folder, 10, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(again); !slices.Equal(got, []string{"good"}) || strings.Count(log.String(), "level=WARN") != 3 {
		t.Errorf("mails %q, log %s", got, log)
	}
	if files, err := filepath.Glob(filepath.Join(folder, "*temporary*")); err != nil || len(files) > 0 {
		t.Errorf("a write that did not end is still there: %q, %v", files, err)
	}
}

// A clock that was set back does not put new mail among the old one.
func TestNewMailIsLaterThanAllOther(t *testing.T) {
	s := &store{last: time.Now().Add(time.Hour)}
	before := s.last
	if next := s.next(); !next.After(before) {
		t.Errorf("%v is not after %v", next, before)
	}
}
