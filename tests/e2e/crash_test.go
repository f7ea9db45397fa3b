package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"plaudit/shared/postgres/pgtest"
)

// processes lists the ids of the processes whose command line contains a text.
func processes(t *testing.T, text string) []int {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range found {
		line, _ := os.ReadFile(file) // it may have ended meanwhile
		if strings.Contains(string(line), text) {
			pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
			if pid != os.Getpid() {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// eventually waits until ok returns true. Its limit only keeps a test from
// hanging.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 12000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within two minutes: %s", what)
}

// A function that is killed while it is idle is replaced, and no client notices.
func TestKilledFunctionIsReplaced(t *testing.T) {
	want(t, 200, "GET", "/v1/boards/demo", "", "")
	pids := processes(t, filepath.Join(stack.Root, ".local/bin/stack/score-query"))
	if len(pids) == 0 {
		t.Fatal("score-query has no process")
	}
	for _, pid := range pids {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	eventually(t, "the killed processes are gone", func() bool {
		for _, pid := range pids {
			if alive(pid) {
				return false
			}
		}
		return true
	})
	want(t, 200, "GET", "/v1/boards/demo", "", "")
}

func TestKilledUsersServiceComesBack(t *testing.T) {
	pid := stack.Info.PIDs["users"]
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("users, pid %d: %v", pid, err)
	}
	eventually(t, "users is ready again", func() bool {
		a, err := try("GET", "/readyz", "", "")
		return err == nil && a.status == 200
	})
	admin(t)
}

// Scores keep working while login does not: verifying a token needs no database.
func TestScoresGoOnWithoutTheUsersDatabase(t *testing.T) {
	token := admin(t)
	freeze(t, stack.Info.Databases["users"].PID, func() {
		want(t, 200, "GET", "/v1/boards/demo/standings", token, "")
		want(t, 201, "POST", "/v1/boards/demo/entries", token, `{"player": "frozen", "reason": "dnf"}`)
		a := send(t, "POST", "/v1/sessions", "", `{"email": "a@example.com", "password": "0123456789"}`)
		if a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "database-unavailable") {
			t.Errorf("login with a frozen database: %d %s", a.status, a.body)
		}
	})
	eventually(t, "login works again", func() bool {
		return send(t, "POST", "/v1/sessions", "", fmt.Sprintf(`{"email": %q, "password": %q}`, stack.Info.Admin.Email, stack.Info.Admin.Password)).status == 201
	})
}

func TestLoginGoesOnWithoutTheScoresDatabase(t *testing.T) {
	token := admin(t)
	freeze(t, stack.Info.Databases["scores"].PID, func() {
		admin(t)
		a := send(t, "POST", "/v1/boards/demo/entries", token, `{"player": "frozen", "reason": "dnf"}`)
		if a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "database-unavailable") {
			t.Errorf("an add with a frozen database: %d %s", a.status, a.body)
		}
	})
	eventually(t, "adds work again", func() bool {
		return send(t, "POST", "/v1/boards/demo/entries", token, `{"player": "frozen", "reason": "dnf"}`).status == 201
	})
}

// freeze stops every process of a database while f runs.
func freeze(t *testing.T, postmaster int, during func()) {
	t.Helper()
	defer pgtest.Freeze(t, postmaster)()
	during()
}

// It kills the stack and starts it again, for the tests that follow.
func TestZKilledLaptopLeavesNothingAndKeepsData(t *testing.T) {
	token := admin(t)
	board := unique("kept")
	want(t, 201, "POST", "/v1/boards", token, fmt.Sprintf(`{"id": %q, "title": "Kept"}`, board))
	want(t, 201, "POST", "/v1/boards/"+board+"/entries", token, `{"player": "a", "points": 5}`, "Idempotency-Key", "k")

	second := exec.Command(stack.Program("local"))
	second.Dir = stack.Root
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), stack.Info.URL) {
		t.Errorf("a second start returned %v: %s", err, out)
	}

	pids := []int{stack.Info.Databases["users"].PID, stack.Info.Databases["scores"].PID}
	for _, pid := range stack.Info.PIDs {
		pids = append(pids, pid)
	}
	pids = append(pids, processes(t, stack.Root)...)
	if err := stack.Proc.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no process is left", func() bool {
		for _, pid := range pids {
			if alive(pid) {
				return false
			}
		}
		return len(processes(t, stack.Root)) == 0
	})

	if err := stack.start(); err != nil {
		t.Fatal(err)
	}
	// The token is still valid, and the entry still counts once.
	want(t, 200, "POST", "/v1/boards/"+board+"/entries", token, `{"player": "a", "points": 5}`, "Idempotency-Key", "k")
	if got := want(t, 200, "GET", "/v1/boards/"+board+"/standings/a", "", "").text(t, "score"); got != "5" {
		t.Errorf("the score is %s", got)
	}
}
