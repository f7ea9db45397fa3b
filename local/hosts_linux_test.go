package main

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// With -hosts docker databases and AWS endpoint listen on the bridge too, and
// nothing else does; without it nothing listens anywhere but on 127.0.0.1.
func TestHosts(t *testing.T) {
	dir := project(t)
	hba := filepath.Join(dir, ".local", "postgres", "things", "pg_hba.conf")
	samEnv := filepath.Join(dir, ".local", "sam-env.json")

	dockerEngine(t, "'127.0.0.2 127.0.0.2/31'", "Debian")
	l := begin(t, dir, "-hosts", "docker")
	l.ready(t)
	ports := []string{port(t, l.run.AWS), port(t, l.run.Databases["things"].URL)}
	var want []string
	for _, p := range ports {
		want = append(want, "127.0.0.2:"+p)
	}
	slices.Sort(want)
	if got := elsewhere(t, l); !slices.Equal(got, want) {
		t.Errorf("beside 127.0.0.1 it listens on %v, want %v", got, want)
	}
	if rules, err := os.ReadFile(hba); err != nil || !strings.Contains(string(rules), "host all all 127.0.0.2/31 scram-sha-256\n") {
		t.Errorf("pg_hba.conf does not admit the bridge: %v\n%s", err, rules)
	}
	info, err := os.Stat(samEnv)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("sam-env.json: %v, %v", info, err)
	}
	content, err := os.ReadFile(samEnv)
	if err != nil {
		t.Fatal(err)
	}
	var variables map[string]map[string]string
	if err := json.Unmarshal(content, &variables); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"GREETING": "hello", "AWS_ENDPOINT_URL": "http://host.docker.internal:" + ports[0],
		"DSN": "postgres://hello@host.docker.internal:" + ports[1] + "/things",
	} {
		if got := variables["HelloFunction"][name]; got != want {
			t.Errorf("sam-env.json: %s is %q, want %q", name, got, want)
		}
	}
	for from, admitted := range map[string]bool{"127.0.0.3": true, "127.0.0.1": false} {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
		client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
		answer, err := client.Get("http://127.0.0.2:" + ports[0])
		if err == nil {
			answer.Body.Close()
		}
		if (err == nil) != admitted {
			t.Errorf("AWS endpoint on the bridge, from %s: %v", from, err)
		}
	}
	// A file that says otherwise than what runs would be worse than none.
	if err := l.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	l.ended(t)
	if _, err := os.Stat(samEnv); !os.IsNotExist(err) {
		t.Errorf("sam-env.json after the end: %v", err)
	}

	l = begin(t, dir)
	l.ready(t)
	if got := elsewhere(t, l); len(got) > 0 {
		t.Errorf("it listens on %v", got)
	}
	if rules, err := os.ReadFile(hba); err != nil || strings.Contains(string(rules), "127.0.0.2") {
		t.Errorf("pg_hba.conf still admits the bridge: %v\n%s", err, rules)
	}
	if _, err := os.Stat(samEnv); !os.IsNotExist(err) {
		t.Errorf("sam-env.json without -hosts: %v", err)
	}
}

func port(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Port() == "" {
		t.Fatalf("%s: %v", address, err)
	}
	return u.Port()
}

// elsewhere returns every address but 127.0.0.1 on which a process of the laptop
// cloud listens, with a function's process among them.
func elsewhere(t *testing.T, l *laptop) []string {
	t.Helper()
	if _, err := l.get("/hello"); err != nil {
		t.Fatal(err)
	}
	listening := append(listeners(t, "/proc/net/tcp"), listeners(t, "/proc/net/tcp6")...)
	inodes := map[string]bool{}
	for _, pid := range family(t, l.cmd.Process.Pid) {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			// One that was closed meanwhile listens no more.
			if target, err := os.Readlink(file); err == nil {
				inodes[strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")] = true
			}
		}
	}
	own := 0
	var out []string
	for _, s := range listening {
		if !inodes[s.inode] {
			continue
		}
		own++
		if s.address != "127.0.0.1" {
			out = append(out, net.JoinHostPort(s.address, s.port))
		}
	}
	if own < 4 { // database, AWS endpoint, load balancer, service
		t.Fatalf("only %d sockets are found", own)
	}
	slices.Sort(out)
	return out
}

type listener struct{ address, port, inode string }

// listeners reads the listening sockets of a table of the kernel's:
// https://docs.kernel.org/networking/proc_net_tcp.html
func listeners(t *testing.T, table string) []listener {
	t.Helper()
	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	var out []listener
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != "0A" { // TCP_LISTEN
			continue
		}
		address, port, _ := strings.Cut(fields[1], ":")
		number, err := strconv.ParseUint(port, 16, 16)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		raw, err := hex.DecodeString(address)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		// Words of this machine's byte order.
		for word := raw; len(word) >= 4; word = word[4:] {
			binary.BigEndian.PutUint32(word, binary.NativeEndian.Uint32(word))
		}
		out = append(out, listener{net.IP(raw).String(), fmt.Sprint(number), fields[9]})
	}
	return out
}

// family returns a process and all below it.
func family(t *testing.T, pid int) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	children := map[int][]int{}
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The name, in parentheses, may contain anything.
		_, after, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
		fields := strings.Fields(after)
		if len(fields) < 2 {
			t.Fatalf("%s: %s", file, stat)
		}
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		children[parent] = append(children[parent], child)
	}
	out := []int{pid}
	for i := 0; i < len(out); i++ {
		out = append(out, children[out[i]]...)
	}
	return out
}
