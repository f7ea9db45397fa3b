package main

import (
	"bytes"
	"os"
	"testing"
)

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
