package ministack

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The engine answers every origin, and has a request that deletes everything.
func TestOnlyTheSecretOpensTheEngine(t *testing.T) {
	e := begin(t, config(newGroup(t), t.TempDir(), &said{}))
	if status := bucket(t, http.MethodPut, e.URL()); status != http.StatusOK {
		t.Fatal(status)
	}
	origin := map[string]string{"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
	for _, c := range []struct {
		name, method, path string
		header             map[string]string
	}{
		{"the reset", http.MethodPost, "/_ministack/reset", origin},
		{"the reset by another path", http.MethodPost, "//_ministack/reset", origin},
		{"a preflight", http.MethodOptions, "/_ministack/reset", map[string]string{"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}},
		{"a read of a bucket", http.MethodGet, "/kept", map[string]string{"Host": "evil.example"}},
		{"an image", http.MethodGet, "/?Action=ListQueues&X-Amz-Credential=a/20261121/eu-west-1/sqs/aws4_request", map[string]string{"Sec-Fetch-Site": "cross-site"}},
		{"a program", http.MethodPost, "/", map[string]string{"X-Amz-Target": "DynamoDB_20120810.ListTables"}},
		{"a WebSocket", http.MethodGet, "/", map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}},
		{"a part of the secret", http.MethodPost, "/" + e.secret[:5] + "/_ministack/reset", nil},
		{"the secret as the beginning of a word", http.MethodPost, "/" + e.secret + "x/_ministack/reset", nil},
	} {
		r, err := http.NewRequest(c.method, "http://"+e.Address()+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range c.header {
			r.Header.Set(name, value)
		}
		r.Host = c.header["Host"]
		response, err := direct.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden || len(body) > 0 || response.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v %q", c.name, response.StatusCode, response.Header, body)
		}
	}
	if status := bucket(t, http.MethodHead, e.URL()); status != http.StatusOK {
		t.Errorf("the bucket is gone: %d", status)
	}
	command, err := commandOf(t.Context(), e.PID())
	if err != nil || !isEngine(command) || strings.Contains(command, e.secret) {
		t.Errorf("the command line is %q, %v", command, err)
	}
}

// MiniStack ends as if nothing had happened if it cannot write.
func TestAStateThatIsNotSavedIsReported(t *testing.T) {
	data := t.TempDir()
	e := begin(t, config(newGroup(t), data, &said{}))
	if status := bucket(t, http.MethodPut, e.URL()); status != http.StatusOK {
		t.Fatal(status)
	}
	// It cannot open a file of this name.
	obstacle := filepath.Join(data, "state", "s3.json.tmp")
	if err := os.MkdirAll(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	err := e.Stop()
	if err == nil || !strings.Contains(err.Error(), "HAS NOT SAVED ITS STATE") || !strings.Contains(err.Error(), "free some space") {
		t.Fatalf("Stop returns %v", err)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	s := &said{}
	e = begin(t, config(newGroup(t), data, s))
	if !strings.Contains(s.all(), "ended without saving its state") {
		t.Errorf("the next start says %q", s.all())
	}
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	s = &said{}
	begin(t, config(newGroup(t), data, s))
	if s.all() != "" {
		t.Errorf("after an orderly end the start says %q", s.all())
	}
}

// MiniStack takes an object that it cannot write, and forgets it when it ends.
func TestObjectsThatAreNotSavedAreReported(t *testing.T) {
	data := t.TempDir()
	e := begin(t, config(newGroup(t), data, &said{}))
	if status := bucket(t, http.MethodPut, e.URL()); status != http.StatusOK {
		t.Fatal(status)
	}
	// It cannot open a file of this name.
	if err := os.Mkdir(filepath.Join(data, "s3", "000000000000", "kept", "object.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPut, e.URL()+"/kept/object", strings.NewReader("text"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := direct.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if err := e.Stop(); err == nil || !strings.Contains(err.Error(), "NOT SAVED SOME OBJECTS") {
		t.Errorf("the put is answered %d, and Stop returns %v", response.StatusCode, err)
	}
	s := &said{}
	e = begin(t, config(newGroup(t), data, s))
	if status := bucket(t, http.MethodHead, e.URL()); status != http.StatusOK || s.all() != "" {
		t.Errorf("all else was saved: %d; it says %q", status, s.all())
	}
}

func TestADamagedStateIsNotReplaced(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(text []byte) []byte
	}{
		{"empty", func([]byte) []byte { return nil }},
		{"cut off", func(text []byte) []byte { return text[:len(text)-2] }},
		{"zeros", func(text []byte) []byte { return make([]byte, len(text)) }},
		{"a hole", func(text []byte) []byte { copy(text[len(text)/2:], make([]byte, 5)); return text }},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := t.TempDir()
			group := newGroup(t)
			e := begin(t, config(group, data, &said{}))
			if status := bucket(t, http.MethodPut, e.URL()); status != http.StatusOK {
				t.Fatal(status)
			}
			if err := e.Stop(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(data, "state", "s3.json")
			damage := func() []byte {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				damaged := c.damage(text)
				// In place of the file, not in it: the good copy is the same file.
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, damaged, 0o600); err != nil {
					t.Fatal(err)
				}
				return damaged
			}
			damage()
			s := &said{}
			e = begin(t, config(group, data, s))
			if status := bucket(t, http.MethodHead, e.URL()); status != http.StatusOK || !strings.Contains(s.all(), "continues with the copy of") {
				t.Errorf("with a good copy the bucket is %d; it says %q", status, s.all())
			}
			if err := e.Stop(); err != nil {
				t.Fatal(err)
			}

			damaged := damage()
			if err := os.RemoveAll(filepath.Join(data, "state.good")); err != nil {
				t.Fatal(err)
			}
			if _, err := Start(t.Context(), config(group, data, &said{})); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "move the file away") {
				t.Errorf("without a copy Start returns %v", err)
			}
			if text, err := os.ReadFile(file); err != nil || string(text) != string(damaged) {
				t.Errorf("the damaged file has changed, %v", err)
			}
		})
	}
}

func TestTheUserIsWarnedOfAFullDisk(t *testing.T) {
	for _, c := range []struct {
		free, size uint64
		warns      bool
	}{
		{1 << 30, 0, false},
		{spareSpace, 0, false},
		{spareSpace - 1, 0, true},
		{spareSpace + 200<<20, 100 << 20, false},
		{spareSpace + 200<<20 - 1, 100 << 20, true},
	} {
		if got := spaceWarning("/data", c.free, c.size); (got != "") != c.warns {
			t.Errorf("%d free for %d: %q", c.free, c.size, got)
		}
	}
}

func TestAnEngineThatKeepsEndingStartsLessAndLessOften(t *testing.T) {
	var got []time.Duration
	pause := nextPause(0, steadyAfter)
	for _, lived := range []time.Duration{0, time.Second, 0, 0, 0, 0, 0, steadyAfter, 0} {
		pause = nextPause(pause, lived)
		got = append(got, pause/time.Second)
	}
	want := []time.Duration{1, 2, 4, 8, 16, 30, 30, 0, 1}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("the pauses are %v, want %v", got, want)
		}
	}
}

// Images of containers often lack ps.
func TestLinuxNeedsNoPs(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // other systems have ps
	}
	t.Setenv("PATH", "")
	if command, err := commandOf(t.Context(), os.Getpid()); err != nil || !strings.HasPrefix(command, os.Args[0]) {
		t.Errorf("this program's command line is %q, %v", command, err)
	}
	for command, want := range map[string]bool{
		"python -I -m ministack":         true, // of the last release
		"python -I -c " + launcher:       true,
		"vim local/ministack/install.go": false,
	} {
		if isEngine(command) != want {
			t.Errorf("%.40q is taken for an engine: %v", command, !want)
		}
	}
}
