package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
)

// A part reaches the person at the terminal by an attribute of its log line. The file
// gets the line; the terminal its text, with escapes in place of characters that a
// terminal obeys.
func TestMessagesForThePersonAtTheTerminal(t *testing.T) {
	const line = `{"time":"2026-04-05T09:30:00Z","level":"INFO","message":"open this\n  curl -X PUT http://x/\u001b[2Jy\r","terminal":true,"function":"web"}`
	for _, c := range []struct {
		name, line, terminal string
		calm, verbose        bool
	}{
		{"a message", line, "web open this\n  curl -X PUT http://x/\\u001b[2Jy\\u000d\n", false, false},
		{"a message during the start", line, "web open this\n  curl -X PUT http://x/\\u001b[2Jy\\u000d\n", true, false},
		{"a message with -verbose", line, "web " + line + "\nweb open this\n  curl -X PUT http://x/\\u001b[2Jy\\u000d\n", false, true},
		{"another line", `{"level":"INFO","message":"request"}`, "", false, false},
		{"a line that only quotes one", `{"level":"INFO","message":"{\"terminal\":true}"}`, "", false, false},
		{"the attribute of a group", `{"level":"INFO","message":"x","group":{"terminal":true}}`, "", false, false},
		{"a message that is not for the terminal", `{"level":"INFO","message":"x","terminal":false}`, "", false, false},
		{"a warning", `{"level":"WARN","message":"x"}`, `web {"level":"WARN","message":"x"}` + "\n", false, false},
		{"a broken line", `{"terminal":true`, "", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var terminal bytes.Buffer
			s := &screen{terminal: &terminal, all: c.verbose}
			if err := s.openLog(t.TempDir()); err != nil {
				t.Fatal(err)
			}
			s.calm.Store(c.calm)
			out := s.logOutput("web")
			for _, part := range []string{c.line[:7], c.line[7:], "\n"} {
				if _, err := io.WriteString(out, part); err != nil {
					t.Fatal(err)
				}
			}
			if terminal.String() != c.terminal {
				t.Errorf("the terminal shows %q, want %q", &terminal, c.terminal)
			}
			file, err := os.ReadFile(s.path)
			if err != nil || string(file) != "web "+c.line+"\n" {
				t.Errorf("the file has %q, %v", file, err)
			}
			if info, err := os.Stat(s.path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file's mode: %v, %v", info.Mode(), err)
			}
		})
	}
	// What a database logs is text, which may quote anything.
	var terminal bytes.Buffer
	s := &screen{terminal: &terminal}
	if _, err := io.Copy(s.output("things-database", never), strings.NewReader(line+"\n")); err != nil || terminal.Len() > 0 {
		t.Errorf("a database's line is shown: %s, %v", &terminal, err)
	}
}

// Neither the terminal nor one that shows laptop.log obeys what parts log.
func TestLogIsHarmless(t *testing.T) {
	var terminal bytes.Buffer
	s := &screen{terminal: &terminal}
	if err := s.openLog(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	part := s.output("part", func([]byte) bool { return true })
	part.Write([]byte("서울\t\x1b[2J\u009b2J\x9b\u202e\u2028\ufffd\r\n{\"a\":\"\u0085\"}\n"))
	file, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	want := `part 서울` + "\t" + `\u001b[2J\u009b2J\x9b\u202e\u2028` + "\ufffd" + `\u000d` + "\n" + `part {"a":"\u0085"}` + "\n"
	if got := terminal.String(); got != want || string(file) != want {
		t.Errorf("the terminal shows %q, and the file has %q, want %q", got, file, want)
	}
}
