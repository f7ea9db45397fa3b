package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxLog is the size at which laptop.log becomes laptop.log.old.
const maxLog = 64 << 20

// screen is the terminal and .local/laptop.log. The file gets every line of
// every part; the terminal gets warnings, errors and messages for the person at the
// terminal, or every line with -verbose.
type screen struct {
	terminal io.Writer
	all      bool
	path     string
	// calm keeps warnings off the terminal during the start, when parts call
	// others that have not started yet.
	calm atomic.Bool

	mu   sync.Mutex
	file *os.File
	size int64
}

// openLog begins a new log file.
func (s *screen) openLog(folder string) error {
	s.path = filepath.Join(folder, "laptop.log")
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	s.file, s.size = f, 0
	return err
}

// line reports that a part is running, and how long its start took.
func (s *screen) line(part, detail string, took time.Duration) {
	s.say("%-20s %s (%.1f s)", part, detail, took.Seconds())
}

// patiently reports now and then that something is still running, until stop is
// called: after 5, 15 and 30 seconds, then every 30.
func (s *screen) patiently(what string) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	began := time.Now()
	go func() {
		defer close(ended)
		pauses := []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second}
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-time.After(pauses[min(i, len(pauses)-1)]):
				s.say("%s: %.0f s so far", what, time.Since(began).Seconds())
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// say writes a line to the terminal and the file.
func (s *screen) say(format string, args ...any) {
	s.write(fmt.Appendf(nil, format+"\n", args...), true)
}

// tell writes a text to the terminal alone.
func (s *screen) tell(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.terminal.Write(harmless([]byte(text))) // as in write
}

// write writes a line. Parts may log what clients send: the terminal must not obey it,
// nor one that shows the file.
func (s *screen) write(line []byte, show bool) {
	line = harmless(line)
	s.mu.Lock()
	defer s.mu.Unlock()
	if show || s.all {
		_, _ = s.terminal.Write(line) // a closed terminal must not end the parts
	}
	if s.file == nil {
		return
	}
	n, _ := s.file.Write(line)
	if s.size += int64(n); s.size < maxLog {
		return
	}
	s.file.Close()
	s.file = nil
	if os.Rename(s.path, s.path+".old") == nil {
		s.file, _ = os.OpenFile(s.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		s.size = 0
	}
}

// harmless returns the text with escapes in place of control characters other than line
// feeds and tabs, of characters that embed or override a direction of text, and of bytes
// that are not UTF-8. In JSON the escapes of characters mean the same.
func harmless(line []byte) []byte {
	harmful := func(r rune) bool {
		return r != '\n' && r != '\t' && unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError ||
			'\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
	}
	if bytes.IndexFunc(line, harmful) < 0 {
		return line
	}
	safe := make([]byte, 0, 2*len(line))
	for rest := line; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			safe = fmt.Appendf(safe, `\x%02x`, rest[0])
		case r != utf8.RuneError && harmful(r):
			safe = fmt.Appendf(safe, `\u%04x`, r)
		default:
			safe = append(safe, rest[:n]...)
		}
		rest = rest[n:]
	}
	return safe
}

// logger returns the laptop cloud's own log: every level goes to the file, and
// from level on to the terminal.
func (s *screen) logger(level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.String(slog.TimeKey, a.Value.Time().Format("15:04:05.000"))
		}
		return a
	}}
	hidden := slog.NewTextHandler(writerFunc(func(p []byte) { s.write(p, false) }), options)
	shown := slog.NewTextHandler(writerFunc(func(p []byte) { s.write(p, true) }), options)
	return slog.New(levels{Handler: hidden, shown: shown, from: func() slog.Level {
		if s.calm.Load() {
			return max(level, slog.LevelError)
		}
		return level
	}})
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// output returns a writer for a part's output, which puts name before each line.
// name is empty for parts that do that themselves. Lines for which notable
// returns true go to the terminal too.
func (s *screen) output(name string, notable func(line []byte) bool) io.Writer {
	return &lines{screen: s, name: name, notable: notable}
}

// logOutput is output for parts that log JSON. The terminal gets warnings and errors,
// and the text of messages for the person at the terminal.
func (s *screen) logOutput(name string) io.Writer {
	return &lines{screen: s, name: name, notable: s.troubled, message: message}
}

type lines struct {
	screen  *screen
	name    string
	notable func(line []byte) bool
	message func(line []byte) (text string, ok bool) // may be nil
	mu      sync.Mutex
	rest    []byte
}

// maxLine is the length at which a line is cut.
const maxLine = 256 << 10

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 && len(l.rest) < maxLine {
			return len(p), nil
		}
		if end < 0 {
			end = maxLine - 1
		}
		text := l.rest[:end]
		line := make([]byte, 0, len(l.name)+end+2)
		if l.name != "" {
			line = append(append(line, l.name...), ' ')
		}
		line = append(append(line, text...), '\n')
		l.screen.write(line, l.notable(text))
		if l.message != nil {
			if message, ok := l.message(text); ok {
				from, _, _ := bytes.Cut(line, []byte("{"))
				l.screen.tell(string(from) + message + "\n")
			}
		}
		l.rest = append([]byte(nil), l.rest[end+1:]...)
	}
}

// never is for parts whose lines go to the file only.
func never([]byte) bool { return false }

// message returns the message of a line of JSON that a part logged for the person at
// the terminal, which is one with the attribute `terminal: true`. It may have several
// lines.
func message(line []byte) (text string, ok bool) {
	start := bytes.IndexByte(line, '{')
	if start < 0 || !bytes.Contains(line, []byte(`"terminal":true`)) {
		return "", false
	}
	var record struct {
		Message  string `json:"message"`
		Terminal bool   `json:"terminal"`
	}
	if json.Unmarshal(line[start:], &record) != nil || !record.Terminal {
		return "", false
	}
	return record.Message, true
}

// troubled is for parts that log JSON. It returns true for warnings, errors, and
// lines that are not JSON, such as those of a panic.
func (s *screen) troubled(line []byte) bool {
	if s.calm.Load() {
		return false
	}
	start := bytes.IndexByte(line, '{')
	if start < 0 {
		return true
	}
	for _, level := range []string{`"level":"ERROR"`, `"level":"WARN"`} {
		if bytes.Contains(line[start:], []byte(level)) {
			return true
		}
	}
	return false
}
