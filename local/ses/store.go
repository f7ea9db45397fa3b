package ses

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"plaudit/local/part"
)

// maxMails is how many mails the inbox keeps; the oldest ones leave.
const maxMails = 10_000

// Status is what became of a mail for one recipient.
type Status string

// What becomes of a mail. Of one with several recipients, the last one in this order
// that is true of any recipient.
const (
	Delivered  Status = "delivered"
	Complained Status = "complained" // delivered, and the recipient called it spam
	Suppressed Status = "suppressed" // accepted, not delivered, and bounced
	Bounced    Status = "bounced"    // accepted, and refused by the recipient's server
)

var statuses = []Status{Delivered, Complained, Suppressed, Bounced}

// envelope is what SES knows of a mail beside its message.
type envelope struct {
	ID         string              `json:"id"` // the MessageId of the answer
	At         time.Time           `json:"at"`
	From       string              `json:"from"` // an address, as all of them here
	To         []string            `json:"to"`   // everybody who gets it, To, Cc and Bcc
	Tags       map[string][]string `json:"tags"`
	Set        string              `json:"configuration_set,omitempty"`
	Recipients map[string]Status   `json:"recipients"`
}

func (e envelope) status() Status {
	last := 0
	for _, status := range e.Recipients {
		last = max(last, slices.Index(statuses, status))
	}
	return statuses[last]
}

// store keeps mails in a folder: each is a file with the envelope as a line of JSON,
// and then the message as it was sent. The names sort by time. An index of the
// envelopes is in memory.
type store struct {
	folder string
	limit  int
	log    *slog.Logger

	mu    sync.Mutex
	last  time.Time // of the newest mail
	index []indexed // the oldest first
}

type indexed struct {
	file string
	envelope
}

const suffix = ".mail"

// openStore reads the mails of earlier runs. A file that cannot be read is left where
// it is, with a warning.
func openStore(folder string, limit int, log *slog.Logger) (*store, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(folder) // sorted by name
	if err != nil {
		return nil, err
	}
	s := &store{folder: folder, limit: limit, log: log}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), suffix) {
			if strings.Contains(f.Name(), suffix+".") { // a write that did not end
				err = errors.Join(err, os.Remove(filepath.Join(folder, f.Name())))
			}
			continue
		}
		envelope, _, readErr := s.read(f.Name())
		if readErr != nil {
			log.Warn("a mail of the inbox cannot be read", "file", filepath.Join(folder, f.Name()), "error", readErr)
			continue
		}
		s.index = append(s.index, indexed{f.Name(), envelope})
		s.last = envelope.At
	}
	return s, err
}

func (s *store) read(file string) (envelope, []byte, error) {
	var e envelope
	content, err := os.ReadFile(filepath.Join(s.folder, file))
	if err != nil {
		return e, nil, err
	}
	line, message, ok := bytes.Cut(content, []byte("\n"))
	if !ok {
		return e, nil, errors.New("it is not complete")
	}
	return e, message, json.Unmarshal(line, &e)
}

// next returns the time of a mail that is added now, which is later than that of
// every other mail.
func (s *store) next() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UTC().Truncate(time.Microsecond)
	if !now.After(s.last) {
		now = s.last.Add(time.Microsecond)
	}
	s.last = now
	return now
}

// add writes a mail, whose time is of next. It returns when the mail is on disk.
func (s *store) add(e envelope, message []byte) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	file := fmt.Sprintf("%019d-%s%s", e.At.UnixNano(), e.ID, suffix)
	if err := part.ReplaceFile(filepath.Join(s.folder, file), append(append(line, '\n'), message...)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at, _ := slices.BinarySearchFunc(s.index, file, func(one indexed, file string) int { return strings.Compare(one.file, file) })
	s.index = slices.Insert(s.index, at, indexed{file, e})
	for len(s.index) > s.limit {
		if err := os.Remove(filepath.Join(s.folder, s.index[0].file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("an old mail of the inbox is not deleted", "error", err)
		}
		s.index = slices.Delete(s.index, 0, 1)
	}
	return nil
}

func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.index)
}

// list returns at most limit mails, the newest first, of those that went to an
// address, or of all if to is "". Those of before and newer ones are left out, if it
// is not "". It reports whether there are older ones.
func (s *store) list(to, before string, limit int) (found []indexed, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := len(s.index)
	if before != "" {
		if end = slices.IndexFunc(s.index, func(one indexed) bool { return one.ID == before }); end < 0 {
			return nil, false
		}
	}
	for _, one := range slices.Backward(s.index[:end]) {
		if to != "" && !slices.ContainsFunc(one.To, func(address string) bool { return strings.EqualFold(address, to) }) {
			continue
		}
		if len(found) == limit {
			return found, true
		}
		found = append(found, one)
	}
	return found, false
}

func (s *store) find(id string) (indexed, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.index, func(one indexed) bool { return one.ID == id })
	if i < 0 {
		return indexed{}, false
	}
	return s.index[i], true
}

// clear deletes every mail.
func (s *store) clear() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.index) > 0 {
		if err := os.Remove(filepath.Join(s.folder, s.index[0].file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.index = s.index[1:]
	}
	return nil
}
