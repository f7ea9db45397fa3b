package lambda

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestOutputComesLineByLineWithTheFunctionsName(t *testing.T) {
	s, _ := newService(t)
	out := &buffer{}
	s.Output = out
	long := strings.Repeat("z", 200_000)
	var calls sync.WaitGroup
	for _, name := range []string{"score-add", "score-query"} {
		f := add(t, s, Config{Name: name})
		for i := range 4 {
			calls.Go(func() {
				succeed(t, f, fmt.Sprintf(`{"do":"print","n":200,"text":"by %d"}`, i))
			})
		}
	}
	f := add(t, s, Config{Name: "long"})
	calls.Go(func() { succeed(t, f, `{"do":"print","n":1,"text":"`+long+`"}`) })
	calls.Wait()
	eventually(t, "every line is there", func() bool { return strings.Count(out.String(), "\n") == 2*4*200*2+2 })
	line := regexp.MustCompile(`^(score-add|score-query) (out|err) \d+ by [0-3]$`)
	for text := range strings.Lines(out.String()) {
		text = strings.TrimSuffix(text, "\n")
		if text != "long out 0 "+long && text != "long err 0 "+long && !line.MatchString(text) {
			t.Fatalf("line %.100q", text)
		}
	}
}

func TestALineWithoutItsEndIsShownWhenTheProcessEnds(t *testing.T) {
	s, _ := newService(t)
	out := &buffer{}
	s.Output = out
	o, err := newOutput(s, "f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.write.WriteString("first\n\nhalf a line"); err != nil {
		t.Fatal(err)
	}
	o.close()
	<-o.done
	if got := out.String(); got != "f first\nf half a line\n" {
		t.Errorf("got %q", got)
	}
}

func TestAVeryLongLineIsBroken(t *testing.T) {
	s, _ := newService(t)
	out := &buffer{}
	s.Output = out
	o, err := newOutput(s, "f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.write.WriteString(strings.Repeat("x", 3*maxLine+5) + "\n"); err != nil {
		t.Fatal(err)
	}
	o.close()
	<-o.done
	if got := out.String(); strings.Count(got, "\n") != 4 || strings.Count(got, "x") != 3*maxLine+5 {
		t.Errorf("%d lines, %d bytes", strings.Count(got, "\n"), len(got))
	}
}
