package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"plaudit/shared/crash"
)

// Processes are killed at any time, not only at the points.
func TestKilledAtAnyTime(t *testing.T) {
	c := running(t)
	l := c.begin(t)
	l.maxHeld = 2 // mails may be in two processes
	programs := filepath.Join(c.Root, ".local", "bin", "stack") + "/"
	for _, name := range []string{"score-add", "outbox-relay", "audit-publish", "users", "board-admin", "audit-add", "player-sync", "period-close", "notify", "outbox-relay", "score-add", "users"} {
		var pids []int
		eventually(t, func() error {
			if pids = processes(programs + name); len(pids) == 0 && !t.Failed() {
				return fmt.Errorf("%s has no process", name)
			}
			return nil
		})
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		l.some(15)
	}
	l.stop().complete()
	check(t)
}

// While DynamoDB does not answer, adds go on, and their events arrive later.
func TestDynamoDBIsDown(t *testing.T) {
	c := running(t)
	l := c.begin(t)
	l.some(20)
	engine := c.Info.PIDs["engine"]
	if err := syscall.Kill(engine, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(engine, syscall.SIGCONT)
	v := look(t)
	// The relay cannot extend its promise, so that adds try to wake it, and wait for that.
	v.exec(v.scores, `UPDATE relay_lease SET until = '-infinity'`)
	began := time.Now()
	for before := l.first.Load(); (l.first.Load() < before+60 || time.Since(began) < outage(t)) && !t.Failed(); {
		time.Sleep(10 * time.Millisecond)
	}
	if err := syscall.Kill(engine, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	l.some(20)
	l.stop().complete()
	check(t)
}

// outage returns how long DynamoDB is down at least. `make crash` takes a minute.
func outage(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("CRASH_OUTAGE")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CRASH_OUTAGE: %v", err)
	}
	return d
}

// Whatever ends the laptop cloud, it continues where it was.
func TestTheLaptopCloudIsKilled(t *testing.T) {
	c := running(t)
	for range 2 {
		l := c.begin(t)
		l.maxHeld = 2
		l.some(60)
		if err := c.Proc.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		c.gone(t)
		c.start(t)
		l.some(20)
		l.stop().complete()
	}
	check(t)
}

func TestTheLaptopCloudIsInterrupted(t *testing.T) {
	c := running(t)
	l := c.begin(t)
	l.some(60)
	if err := c.Proc.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-c.Proc.Done()
	c.gone(t)
	c.start(t)
	l.some(20)
	l.stop().complete()
	check(t)
}

// A clock that jumps back loses nothing, and breaks no order.
func TestTheClockJumpsBack(t *testing.T) {
	c := running(t)
	v := look(t)
	l := c.begin(t)
	l.some(40)
	clock := func(body string) {
		v.exec(v.scores, body)
		v.exec(v.users, body)
	}
	now := v.clock()
	clock(strings.Replace(now, "clock_timestamp()", "clock_timestamp() - interval '1 hour'", 1))
	defer clock(now)
	l.some(40)
	// The relay dies, whose promise then seems to be in force for an hour.
	c.choose(t, crash.BeforePut, "outbox-relay", 1)
	eventually(t, c.died)
	l.some(40)
	l.stop().complete()
	clock(now)
	l = c.begin(t)
	l.some(40)
	l.stop().complete()
	check(t)
}

// clock returns the statement that makes the function of which the databases ask the time.
func (v *view) clock() (statement string) {
	v.t.Helper()
	if err := v.scores.Get(&statement, `SELECT pg_get_functiondef('plaudit_now()'::regprocedure)`); err != nil {
		v.t.Fatal(err)
	}
	if strings.Count(statement, "clock_timestamp()") != 1 {
		v.t.Fatalf("plaudit_now is %s", statement)
	}
	return statement
}
