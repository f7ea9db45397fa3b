package eventbridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"plaudit/local/part"
)

// replay is a replay of an archive. It is JSON in the file replays.json.
type replay struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Archive     string    `json:"archive"`
	Bus         string    `json:"bus"`
	Filters     []string  `json:"filters,omitempty"` // ARNs of rules; none: every rule of the bus
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	State       string    `json:"state"`
	Reason      string    `json:"reason,omitempty"`
	Last        time.Time `json:"last,omitzero"` // time of the last event that was replayed
	Began       time.Time `json:"began"`
	Ended       time.Time `json:"ended,omitzero"`
}

// The states of a replay.
const (
	starting   = "STARTING"
	running    = "RUNNING"
	cancelling = "CANCELLING"
	completed  = "COMPLETED"
	cancelled  = "CANCELLED"
	failed     = "FAILED"
)

func (r replay) ended() bool {
	return r.State == completed || r.State == cancelled || r.State == failed
}

// maxReplays is how many replays are remembered.
const maxReplays = 1000

// replays are the replays, which are remembered between runs.
type replays struct {
	file string

	mu   sync.Mutex
	all  []*replay // the newest last
	work sync.WaitGroup
	end  chan struct{}
}

// load reads the replays of earlier runs. Those that had not ended have failed.
func (r *replays) load(file string) error {
	r.file, r.end = file, make(chan struct{})
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &r.all); err != nil {
		return fmt.Errorf("%s: %w; delete the file to forget the replays", file, err)
	}
	for _, one := range r.all {
		if !one.ended() {
			one.State, one.Reason, one.Ended = failed, "the laptop cloud ended during the replay", time.Now()
		}
	}
	return nil
}

func (r *replays) stop() {
	r.mu.Lock()
	if r.end != nil {
		close(r.end)
		r.end = nil
	}
	r.mu.Unlock()
	r.work.Wait()
}

// save writes the replays. mu is held.
func (r *replays) save() error {
	for len(r.all) > maxReplays && r.all[0].ended() {
		r.all = r.all[1:]
	}
	return part.ReplaceFile(r.file, encode(r.all))
}

// named returns a copy of a replay.
func (r *replays) named(name string) (replay, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.all {
		if one.Name == name {
			return *one, true
		}
	}
	return replay{}, false
}

// list returns copies of all replays.
func (r *replays) list() (out []replay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.all {
		out = append(out, *one)
	}
	return out
}

var (
	errReplayExists = errors.New("a replay of that name exists already")
	errReplayEnded  = errors.New("the replay has ended")
)

// start starts a replay.
func (s *Service) startReplay(in replay, a *archive) error {
	r := &s.replays
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end == nil {
		return errStopped
	}
	if slices.ContainsFunc(r.all, func(other *replay) bool { return other.Name == in.Name }) {
		return errReplayExists
	}
	in.State, in.Began = starting, time.Now()
	one := &in
	r.all = append(r.all, one)
	if err := r.save(); err != nil {
		r.all = r.all[:len(r.all)-1]
		return err
	}
	end := r.end
	r.work.Go(func() { s.replay(one, a, end) })
	return nil
}

// replayAhead is how many deliveries may wait while a replay adds more.
var replayAhead = 5000

// replay puts the events of an archive on its bus again.
func (s *Service) replay(one *replay, a *archive, end <-chan struct{}) {
	r := &s.replays
	r.mu.Lock()
	if one.State == starting {
		one.State = running
	}
	r.mu.Unlock()
	goesOn := func() bool {
		select {
		case <-end:
			return false
		default:
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		return one.State == running
	}
	var failure error
	err := a.between(one.From, one.To, func(event []byte, at time.Time) bool {
		for goesOn() && s.waits() > replayAhead {
			select {
			case <-end:
			case <-time.After(10 * time.Millisecond):
			}
		}
		if !goesOn() {
			return false
		}
		failure = s.take(one.Bus, []incoming{{text: withReplay(event, one.Name), received: time.Now()}}, one.Name, one.Filters)
		r.mu.Lock()
		one.Last = at
		r.mu.Unlock()
		return failure == nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-end:
		return // the next start finds that it has not ended
	default:
	}
	one.Ended = time.Now()
	switch err := errors.Join(err, failure); {
	case err != nil:
		one.State, one.Reason = failed, err.Error()
	case one.State == cancelling:
		one.State = cancelled
	default:
		one.State = completed
	}
	if err := r.save(); err != nil {
		s.laptop.Log.Error("the end of a replay is not saved", "replay", one.Name, "error", err)
	}
}

func (s *Service) waits() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.journal == nil {
		return 0
	}
	return s.journal.waits()
}

// withReplay returns an event with the name of the replay that sends it.
func withReplay(event []byte, name string) []byte {
	return []byte(strings.TrimSuffix(string(event), "}") + `,"replay-name":` + string(encode(name)) + "}")
}

// cancel ends a replay before its time.
func (r *replays) cancel(name string) (found bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.all {
		if one.Name != name {
			continue
		}
		if one.ended() {
			return true, errReplayEnded
		}
		one.State = cancelling
		return true, r.save()
	}
	return false, nil
}
