package lambda

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	maxLine = 1 << 20 // longer lines are broken here
	// maxTail limits the log that an invocation with X-Amz-Log-Type: Tail returns.
	maxTail = 4 << 10
	// drainLimit is how long that invocation waits for the last of its output.
	drainLimit = 500 * time.Millisecond
)

// output reads a process's standard output and error, which are one pipe, so that
// the lines keep their order.
type output struct {
	service  *Service
	function string
	write    *os.File // the process's end
	marker   []byte   // written by drain, never shown
	done     chan struct{}

	mu      sync.Mutex
	tail    *tail
	closed  bool
	drained chan struct{} // closes when the reader meets the marker
}

func newOutput(s *Service, function string) (*output, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for the output of %s: %w", function, err)
	}
	o := &output{
		service: s, function: function, write: write, done: make(chan struct{}),
		marker: []byte("\x00drained " + uuid.NewString() + "\x00\n"),
	}
	go o.copy(read)
	return o, nil
}

// copy passes whole lines on until every writer has gone.
func (o *output) copy(read *os.File) {
	defer close(o.done)
	defer read.Close()
	lines := bufio.NewReaderSize(read, 64<<10)
	var line []byte
	for {
		chunk, err := lines.ReadSlice('\n')
		line = append(line, chunk...)
		if errors.Is(err, bufio.ErrBufferFull) && len(line) < maxLine {
			continue
		}
		if i := bytes.Index(line, o.marker); i >= 0 {
			o.line(line[:i])
			o.mu.Lock()
			if o.drained != nil {
				close(o.drained)
				o.drained = nil
			}
			o.mu.Unlock()
		} else {
			o.line(line)
		}
		line = line[:0]
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (o *output) line(line []byte) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	if len(line) == 0 {
		return
	}
	o.mu.Lock()
	tail := o.tail
	o.mu.Unlock()
	tail.add(line)
	o.service.write(o.function, line)
}

// capture copies the lines to come into t as well; nil ends that.
func (o *output) capture(t *tail) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tail = t
}

// drain waits until everything that the process has written is read.
func (o *output) drain() {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		select {
		case <-o.done:
		case <-time.After(drainLimit):
		}
		return
	}
	drained := make(chan struct{})
	o.drained = drained
	o.mu.Unlock()
	go func() { _, _ = o.write.Write(o.marker) }() // fails only when the process has ended
	select {
	case <-drained:
	case <-o.done:
	case <-time.After(drainLimit):
	}
}

// close closes this program's end of the pipe, so that the reader ends
// with the process.
func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.write.Close()
}

// tail is the log of one invocation. A nil tail takes nothing.
type tail struct {
	mu      sync.Mutex
	buf     []byte
	started bool
}

func (t *tail) add(line []byte) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(append(t.buf, line...), '\n')
	if over := len(t.buf) - maxTail; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
}

// start notes that the invocation begins; a second environment that it is
// taken to does not begin it again.
func (t *tail) start(id string) {
	if !t.started {
		t.started = true
		t.add([]byte("START RequestId: " + id + " Version: $LATEST"))
	}
}

func (t *tail) finish(id string, took, cold time.Duration, memory int) {
	if t == nil {
		return
	}
	t.add([]byte("END RequestId: " + id))
	report := fmt.Sprintf("REPORT RequestId: %s\tDuration: %.2f ms\tMemory Size: %d MB", id, milliseconds(took), memory)
	if cold > 0 {
		report += fmt.Sprintf("\tInit Duration: %.2f ms", milliseconds(cold))
	}
	t.add([]byte(report))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (t *tail) base64() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return base64.StdEncoding.EncodeToString(t.buf)
}
