package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plaudit/shared/boot/boottest"
)

// limitedTask starts a task that gets little more memory than its container has. A
// process without privileges cannot make a cgroup, and RLIMIT_AS also counts the
// addresses that Go reserves and never uses. RLIMIT_DATA counts what the process may
// write to. Go takes that in arenas of 64 MiB, of which it may not use all: the limit
// has room for two more, and the test reads how much memory was really used.
func limitedTask(t *testing.T) (p *boottest.Process, address string) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "limited")
	text := fmt.Sprintf("#!/bin/sh\nulimit -d %d\nexec %s\n", (memoryOfTask+2*64*mib)>>10, boottest.Build(t, "."))
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	p = boottest.Run(t, script, pairs(environment(t))...)
	address = p.Line("listening")["address"].(string)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get("http://" + address + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p, address
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready within a minute: %s", p.Output())
		}
	}
}

// memory returns a figure in /proc/PID/status, in bytes.
func memory(t *testing.T, p *boottest.Process, name string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		t.Fatalf("%v: %s", err, p.Output())
	}
	found := regexp.MustCompile(name + `:\s*(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Fatalf("no %s in %s", name, status)
	}
	kb, _ := strconv.Atoi(string(found[1]))
	return kb << 10
}

// sent is a connection on which a hostile client has sent something.
type sent struct{ net.Conn }

// attack opens a connection as the load balancer does for a client, and sends the text.
// The service may refuse it before all of it is sent.
func attack(t *testing.T, address, client, text string) *sent {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return nil
	}
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	io.WriteString(conn, strings.Replace(text, "\r\n", "\r\nHost: x\r\nX-Forwarded-For: "+client+"\r\nContent-Type: application/json\r\n", 1))
	return &sent{conn}
}

// answer returns the status of the answer, 0 if the connection was closed without one.
func (s *sent) answer() int {
	if s == nil {
		return 0
	}
	defer s.Close()
	resp, err := http.ReadResponse(bufio.NewReader(s), nil)
	if err != nil {
		return 0
	}
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// whole returns a request with a body.
func whole(method, path, body string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body)
}

// chunked returns a request with a body in chunks of some size.
func chunked(method, path, body string, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", method, path)
	for part := []byte(body); len(part) > 0; {
		n := min(size, len(part))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, part[:n])
		part = part[n:]
	}
	return b.String() + "0\r\n\r\n"
}

// repeated returns a text of about n bytes: before, item with numbers in place of %d,
// separated by commas, and after.
func repeated(n int, before, item, after string) string {
	var b bytes.Buffer
	b.WriteString(before)
	for i := 0; ; i++ {
		next := strings.ReplaceAll(item, "%d", strconv.Itoa(i))
		if b.Len()+len(next)+1+len(after) > n {
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(next)
	}
	return b.String() + after
}

// hostileBodies are the bodies of n bytes that take the most memory or time.
func hostileBodies(n int) map[string]string {
	return map[string]string{
		"unknown fields": repeated(n, "{", `"%d":1`, "}"),
		"deep nesting":   `{"email":` + strings.Repeat("[", n/2-10) + strings.Repeat("]", n/2-10) + "}",
		"repeated names": repeated(n, "{", `"email":1`, "}"),
		"a huge string":  `{"email":"` + strings.Repeat("a", n-20) + `"}`,
		"a huge name":    `{"` + strings.Repeat("a", n-20) + `":1}`,
		"escapes":        `{"email":"` + strings.Repeat(`\u0000`, n/6-4) + `"}`,
		"a huge list":    repeated(n, `{"email":[`, "1", "]}"),
		"a huge number":  `{"email":1` + strings.Repeat("0", n-20) + "}",
		"a huge map":     repeated(n, `{"mail":{`, `"%d":0`, "}}"),
	}
}

// amongOthers starts a task and lets others log in until the test ends. It returns a
// function that waits for some of them to succeed.
func amongOthers(t *testing.T) (address string, someLogins func()) {
	t.Helper()
	p, address := limitedTask(t)
	start := memory(t, p, "VmHWM")
	stop := make(chan struct{})
	var logins atomic.Int64
	var others sync.WaitGroup
	for i := range 4 {
		others.Go(func() {
			login := whole("POST", "/v1/sessions", `{"email":"admin@example.com","password":"first admin's password"}`)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status := attack(t, address, fmt.Sprint("198.51.100.", i), login).answer(); status != http.StatusCreated {
					t.Errorf("a login among hostile clients: %d, %s", status, last(p.Output()))
					return
				}
				logins.Add(1)
			}
		})
	}
	t.Cleanup(func() {
		close(stop)
		others.Wait()
		if t.Failed() {
			return
		}
		peak := memory(t, p, "VmHWM")
		t.Logf("%d logins; the task took %d MiB at the start, %d MiB at most", logins.Load(), start/mib, peak/mib)
		if peak > memoryOfTask {
			t.Errorf("the task took %d MiB, and its container has %d", peak/mib, memoryOfTask/mib)
		}
	})
	return address, func() {
		for before := logins.Load(); logins.Load() < before+8 && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
	}
}

// Clients who send the worst bodies, 64 at once, neither end a task nor keep others from
// logging in. The test counts no time: a task that takes more memory than its container
// has fails it, whatever the machine.
func TestNobodyStopsTheServiceByBodies(t *testing.T) {
	address, _ := amongOthers(t)
	kinds := map[string]string{}
	for name, body := range hostileBodies(998_000) {
		kinds[name] = whole("POST", "/v1/sessions", body)
		kinds[name+", in chunks"] = chunked("POST", "/v1/users", body, 10_000)
	}
	for name, body := range hostileBodies(3_999) {
		kinds[name+", of 4 KB"] = whole("POST", "/v1/tokens", body)
	}
	for name, body := range hostileBodies(15_999) {
		kinds[name+", of 16 KB"] = whole("POST", "/v1/users", body)
		kinds[name+", of 16 KB, in small chunks"] = chunked("POST", "/v1/users", body, 100)
	}
	kinds["longer than announced"] = whole("POST", "/v1/sessions", `{}`) + strings.Repeat("a", 998_000)
	kinds["chunks of a byte"] = chunked("POST", "/v1/sessions", strings.Repeat(" ", 100_000), 1)
	kinds["headers"] = repeated(15_000, "POST /v1/sessions HTTP/1.1\r\n", "%d:\r\n", "Content-Length: 2\r\n\r\n{}")
	kinds["headers without an end"] = strings.ReplaceAll(repeated(15_000, "POST /v1/sessions HTTP/1.1\r\n", "%d:\r\n", ""), ",", "")
	kinds["headers"] = strings.ReplaceAll(kinds["headers"], ",", "")
	kinds["a body for a GET"] = whole("GET", "/v1/users/me", strings.Repeat("a", 200_000))
	for name, text := range kinds {
		var clients sync.WaitGroup
		statuses := make([]atomic.Int64, 600)
		for i := range 64 {
			clients.Go(func() {
				statuses[attack(t, address, fmt.Sprint("203.0.113.", i), text).answer()].Add(1)
			})
		}
		clients.Wait()
		for status := range statuses {
			if n := statuses[status].Load(); n > 0 && status != 0 && (status < 400 || status >= 500 && status != http.StatusServiceUnavailable) {
				t.Errorf("%s: %d answers are %d", name, n, status)
			}
		}
		if t.Failed() {
			t.Fatalf("%s ended it", name)
		}
	}
}

// Nor do bodies that never arrive, of 64 clients, and of one who has 512 connections.
func TestNobodyStopsTheServiceBySlowBodies(t *testing.T) {
	address, someLogins := amongOthers(t)
	for name, text := range map[string]string{
		"slow large bodies": "POST /v1/sessions HTTP/1.1\r\nContent-Length: 999000\r\n\r\n" + strings.Repeat(" ", 950_000),
		"slow bodies":       "POST /v1/users HTTP/1.1\r\nContent-Length: 16000\r\n\r\n" + strings.Repeat(" ", 15_999),
		"slow chunks":       "POST /v1/users HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n \r\n",
		"slow for a GET":    "GET /v1/users/me HTTP/1.1\r\nContent-Length: 16000\r\n\r\n",
		"slow headers":      "POST /v1/sessions HTTP/1.1\r\n" + strings.ReplaceAll(repeated(15_000, "", "%d:\r\n", ""), ",", ""),
		"idle":              "",
	} {
		var held []*sent
		for i := range 256 {
			held = append(held, attack(t, address, fmt.Sprint("203.0.113.", i%64), text), attack(t, address, "192.0.2.1", text), attack(t, address, "192.0.2.1", text))
		}
		someLogins()
		for _, conn := range held {
			conn.Close()
		}
		if t.Failed() {
			t.Fatalf("%s ended it, or the logins", name)
		}
	}
}

// last returns the end of a text.
func last(text string) string { return text[max(0, len(text)-2000):] }
