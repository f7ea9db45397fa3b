package eventbridge

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"plaudit/local/pattern"
)

// archive keeps the events of a bus: a file for each day on which they were received, a
// line for each event.
type archive struct {
	id, name string
	source   string // ARN of the bus
	text     string // of the pattern
	pattern  *pattern.Pattern
	days     int // 0: events stay without end
	folder   func() string

	mu    sync.Mutex
	day   string   // of the file
	file  *os.File // nil: none is open
	size  int64    // of the file
	count int64    // events
	bytes int64
	made  time.Time
}

const dayForm = "2006-01-02"

func (s *Service) archiveFolder(name string) string {
	return filepath.Join(s.folder(), "archives", name)
}

// openArchives makes the archives' folders, and reports archives that the template does
// not have (any more).
func (s *Service) openArchives() error {
	for _, a := range s.archives {
		if err := os.MkdirAll(a.folder(), 0o700); err != nil {
			return err
		}
		if err := a.look(time.Now()); err != nil {
			return fmt.Errorf("archive %s: %w", a.name, err)
		}
	}
	found, err := os.ReadDir(filepath.Join(s.folder(), "archives"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, f := range found {
		if !slices.ContainsFunc(s.archives, func(a *archive) bool { return a.name == f.Name() }) {
			s.laptop.Say(fmt.Sprintf("warning: the template has no archive %s; the laptop keeps it, with its events", f.Name()))
		}
	}
	return nil
}

// files returns the days of the archive's files, in order.
func (a *archive) files() (days []string, err error) {
	found, err := os.ReadDir(a.folder())
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		if day, ok := strings.CutSuffix(f.Name(), ".log"); ok {
			if _, err := time.Parse(dayForm, day); err == nil {
				days = append(days, day)
			}
		}
	}
	return days, nil
}

func (a *archive) path(day string) string { return filepath.Join(a.folder(), day+".log") }

// look removes what is too old, and counts what the archive has.
func (a *archive) look(now time.Time) error {
	days, err := a.files()
	if err != nil {
		return err
	}
	a.count, a.bytes, a.made = 0, 0, now
	for _, day := range days {
		at, err := time.Parse(dayForm, day)
		if err != nil {
			return err
		}
		if a.days > 0 && now.UTC().Sub(at.AddDate(0, 0, 1)) > time.Duration(a.days)*24*time.Hour {
			if err := os.Remove(a.path(day)); err != nil {
				return err
			}
			continue
		}
		if at.Before(a.made) {
			a.made = at
		}
		if err := a.each(day, func(text []byte) bool {
			a.count, a.bytes = a.count+1, a.bytes+int64(len(text))
			return true
		}); err != nil {
			return err
		}
	}
	return nil
}

// takes reports whether the archive keeps an event of a bus.
func (a *archive) takes(busARN string, event pattern.Document) bool {
	return a.source == busARN && (a.pattern == nil || a.pattern.Matches(event))
}

// add keeps events, all or none.
func (a *archive) add(now time.Time, events [][]byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.begin(now); err != nil {
		return err
	}
	var text []byte
	for _, e := range events {
		text = append(append(text, e...), '\n')
	}
	if _, err := a.file.Write(text); err != nil {
		return errors.Join(err, a.file.Truncate(a.size))
	}
	a.size, a.count, a.bytes = a.size+int64(len(text)), a.count+int64(len(events)), a.bytes+int64(len(text))
	return nil
}

// begin opens the file of the day, behind its last whole line.
func (a *archive) begin(now time.Time) error {
	day := now.UTC().Format(dayForm)
	if a.file != nil && a.day == day {
		return nil
	}
	if a.file != nil {
		if err := a.file.Close(); err != nil {
			return err
		}
		a.file = nil
		if err := a.look(now); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(a.path(day), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	size, err := wholeLines(file)
	if err == nil {
		err = file.Truncate(size)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	a.file, a.day, a.size = file, day, size
	return nil
}

// wholeLines returns the size of a file up to the end of its last whole line.
func wholeLines(file *os.File) (int64, error) {
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	buffer := make([]byte, 64<<10)
	for end > 0 {
		n := min(end, int64(len(buffer)))
		if _, err := file.ReadAt(buffer[:n], end-n); err != nil {
			return 0, err
		}
		if i := strings.LastIndexByte(string(buffer[:n]), '\n'); i >= 0 {
			return end - n + int64(i) + 1, nil
		}
		end -= n
	}
	return 0, nil
}

// each calls do with each event of a day, until it returns false.
func (a *archive) each(day string, do func(event []byte) bool) error {
	file, err := os.Open(a.path(day))
	if errors.Is(err, os.ErrNotExist) {
		return nil // it has become too old
	}
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, 1<<20)
	for {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !do(text[:len(text)-1]) {
			return nil
		}
	}
}

// between calls do with each event whose time is from the first instant to the last one,
// both included, until it returns false.
func (a *archive) between(from, to time.Time, do func(event []byte, at time.Time) bool) error {
	days, err := a.files()
	if err != nil {
		return err
	}
	goOn := true
	for _, day := range days {
		err := a.each(day, func(event []byte) bool {
			var in struct {
				Time time.Time `json:"time"`
			}
			if err := json.Unmarshal(event, &in); err != nil || in.Time.Before(from) || in.Time.After(to) {
				return true // a damaged line is not an event
			}
			goOn = do(event, in.Time)
			return goOn
		})
		if err != nil || !goOn {
			return err
		}
	}
	return nil
}

// totals returns how many events the archive has, and their bytes.
func (a *archive) totals() (count, bytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count, a.bytes
}

func (a *archive) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return nil
	}
	err := a.file.Close()
	a.file = nil
	return err
}
