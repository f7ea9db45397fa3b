package eventbridge

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"plaudit/local/part"
)

// delivery is an event on its way to one target.
type delivery struct {
	n        int64 // number in the journal
	event    *kept
	rule     string // ARN
	target   string // id
	attempts int    // that failed
	failure  failure
	dead     bool // no attempt is left: it is on its way to the dead-letter queue
}

// kept is an event in the journal.
type kept struct {
	text     []byte
	received time.Time
	hops     int // buses that it has passed
	open     int // deliveries that are not done
	size     int // of its line
}

// line is a line of the journal: an event with its deliveries, what was tried in vain,
// or what is done.
type line struct {
	Event    json.RawMessage `json:"event,omitempty"`
	Received time.Time       `json:"received,omitzero"`
	Hops     int             `json:"hops,omitempty"`
	To       []to            `json:"to,omitempty"`
	Tried    int64           `json:"tried,omitempty"`
	Attempts int             `json:"attempts,omitempty"`
	Failure  *failure        `json:"failure,omitempty"`
	Dead     bool            `json:"dead,omitempty"`
	Done     int64           `json:"done,omitempty"`
}

type to struct {
	N      int64  `json:"n"`
	Rule   string `json:"rule"`
	Target string `json:"target"`
}

// minCompaction is the size from which the journal is written again without what is
// done.
const minCompaction = 4 << 20

// journal is the file of the events that have yet to be delivered. What is written is
// safe from the end of the laptop cloud's process, however that comes. It is not forced
// to the disk: the engine, which holds the queues, keeps even less when the machine dies.
type journal struct {
	path string
	log  *slog.Logger

	mu   sync.Mutex
	file *os.File
	size int64
	live int64 // bytes of events with open deliveries
	last int64
	open map[int64]*delivery
}

// openJournal opens or makes a journal, and returns what it has to deliver, in order.
func openJournal(path string, log *slog.Logger) (*journal, []*delivery, error) {
	j := &journal{path: path, log: log, open: map[int64]*delivery{}}
	if err := j.read(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := j.compact(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return j, j.waiting(), nil
}

func (j *journal) waiting() []*delivery {
	out := make([]*delivery, 0, len(j.open))
	for _, d := range j.open {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b *delivery) int { return int(a.n - b.n) })
	return out
}

func (j *journal) read() error {
	file, err := os.Open(j.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewReader(file)
	for {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // what follows the last whole line was never answered
		}
		if err != nil {
			return err
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			j.log.Error("a line of the journal of EventBridge is damaged: an event may be lost, or delivered again", "file", j.path, "error", err)
			continue
		}
		j.apply(l, len(text))
	}
}

func (j *journal) apply(l line, size int) {
	switch {
	case l.Event != nil:
		e := &kept{text: l.Event, received: l.Received, hops: l.Hops, open: len(l.To), size: size}
		for _, t := range l.To {
			j.open[t.N] = &delivery{n: t.N, event: e, rule: t.Rule, target: t.Target}
			j.last = max(j.last, t.N)
		}
		if e.open > 0 {
			j.live += int64(size)
		}
	case l.Tried != 0:
		if d := j.open[l.Tried]; d != nil && l.Failure != nil {
			d.attempts, d.failure, d.dead = l.Attempts, *l.Failure, l.Dead
		}
	case l.Done != 0:
		if d := j.open[l.Done]; d != nil {
			delete(j.open, l.Done)
			if d.event.open--; d.event.open == 0 {
				j.live -= int64(d.event.size)
			}
		}
	}
}

// route is where an event must go.
type route struct{ rule, target string }

// incoming is an event with its routes.
type incoming struct {
	text     []byte
	received time.Time
	hops     int
	routes   []route
}

// add writes events, all or none, and returns their deliveries.
func (j *journal) add(events []incoming) ([]*delivery, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var text []byte
	var lines []line
	var sizes []int
	n := j.last
	for _, e := range events {
		if len(e.routes) == 0 {
			continue
		}
		l := line{Event: e.text, Received: e.received, Hops: e.hops}
		for _, r := range e.routes {
			n++
			l.To = append(l.To, to{n, r.rule, r.target})
		}
		one := append(encode(l), '\n')
		text, lines, sizes = append(text, one...), append(lines, l), append(sizes, len(one))
	}
	if len(lines) == 0 {
		return nil, nil
	}
	if err := j.write(text); err != nil {
		return nil, err
	}
	var out []*delivery
	for i, l := range lines {
		j.apply(l, sizes[i])
		for _, t := range l.To {
			out = append(out, j.open[t.N])
		}
	}
	return out, nil
}

// tried notes an attempt that failed. It alone changes a delivery.
func (j *journal) tried(d *delivery, attempts int, f failure, dead bool) error {
	return j.note(line{Tried: d.n, Attempts: attempts, Failure: &f, Dead: dead})
}

// done notes that a delivery is over.
func (j *journal) done(d *delivery) error { return j.note(line{Done: d.n}) }

func (j *journal) note(l line) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := append(encode(l), '\n')
	err := j.write(text)
	j.apply(l, len(text)) // so that a full disk does not repeat what is done before the next start
	if err != nil {
		return err
	}
	if len(j.open) == 0 { // events of SES hold addresses, which must not stay
		j.size = 0
		return j.file.Truncate(0)
	}
	if j.size >= minCompaction && j.live < j.size/2 {
		return j.compact()
	}
	return nil
}

// write appends whole lines, or nothing.
func (j *journal) write(text []byte) error {
	if j.file == nil {
		return errStopped
	}
	if _, err := j.file.Write(text); err != nil {
		return errors.Join(err, j.file.Truncate(j.size)) // half a line would spoil the next one
	}
	j.size += int64(len(text))
	return nil
}

// compact writes the journal again with what is open.
func (j *journal) compact() error {
	var out bytes.Buffer
	byEvent := map[*kept]*line{}
	var events []*kept
	waiting := j.waiting()
	for _, d := range waiting {
		l := byEvent[d.event]
		if l == nil {
			l = &line{Event: d.event.text, Received: d.event.received, Hops: d.event.hops}
			byEvent[d.event] = l
			events = append(events, d.event)
		}
		l.To = append(l.To, to{d.n, d.rule, d.target})
	}
	for _, e := range events {
		out.Write(append(encode(byEvent[e]), '\n'))
	}
	for _, d := range waiting {
		if d.attempts > 0 || d.dead {
			out.Write(append(encode(line{Tried: d.n, Attempts: d.attempts, Failure: &d.failure, Dead: d.dead}), '\n'))
		}
	}
	if err := part.ReplaceFile(j.path, out.Bytes()); err != nil {
		return err
	}
	file, err := os.OpenFile(j.path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if j.file != nil {
		j.file.Close()
	}
	j.file, j.size = file, int64(out.Len())
	return nil
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.file.Close()
	j.file = nil
	return err
}

// waits returns how many deliveries are open.
func (j *journal) waits() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.open)
}
