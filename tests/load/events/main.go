// Command events measures the event log of a running laptop cloud (`make run`): the time
// from an add to its event over HTTP, how many events the relay moves in a second when
// many wait, and what the parts use of the processors while nothing happens. Start it in
// the project's folder.
package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	_ "github.com/lib/pq"
)

func main() {
	adds := flag.Int("adds", 300, "how many adds are timed, one after the other")
	waiting := flag.Int("waiting", 10_000, "how many events wait for the relay")
	idle := flag.Duration("idle", 20*time.Second, "how long the idle laptop cloud is watched")
	flag.Parse()
	if err := run(*adds, *waiting, *idle); err != nil {
		fmt.Fprintln(os.Stderr, "events:", err)
		os.Exit(1)
	}
}

// laptop is .local/run.json, and an access token of its admin.
type laptop struct {
	URL       string
	Admin     map[string]string
	Databases map[string]struct {
		URL string
		PID int
	}
	token string
}

func run(adds, waiting int, idle time.Duration) error {
	text, err := os.ReadFile(".local/run.json")
	if err != nil {
		return fmt.Errorf("start `make run` first: %w", err)
	}
	var l laptop
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	var session struct {
		Token string `json:"access_token"`
	}
	if err := l.call("POST", "/v1/sessions", l.Admin, &session); err != nil {
		return err
	}
	l.token = session.Token
	board := fmt.Sprintf("events-%d", time.Now().UnixNano())
	if err := l.call("POST", "/v1/boards", map[string]any{"id": board}, nil); err != nil {
		return err
	}
	for _, measure := range []func() error{
		func() error { return l.latency(board, adds) },
		func() error { return l.throughput(board, waiting) },
		func() error { return l.idle(idle) },
	} {
		if err := measure(); err != nil {
			return err
		}
	}
	return nil
}

// latency times adds: from the request until a reader finds the event.
func (l *laptop) latency(board string, adds int) error {
	var answered, readable []time.Duration
	for i := range adds {
		player := "p" + strconv.Itoa(i)
		begun := time.Now()
		if err := l.call("POST", "/v1/boards/"+board+"/entries", map[string]any{"player": player, "points": 1}, nil); err != nil {
			return err
		}
		answered = append(answered, time.Since(begun))
		for {
			var page struct{ Items []json.RawMessage }
			if err := l.call("GET", "/v1/audit/events?subject=board/"+board+"/player/"+player, nil, &page); err != nil {
				return err
			}
			if len(page.Items) > 0 {
				break
			}
			if time.Since(begun) > time.Minute {
				return fmt.Errorf("the event of player %s has not arrived within a minute", player)
			}
		}
		readable = append(readable, time.Since(begun))
	}
	fmt.Printf("add to answer: %s\nadd to event:  %s\n", quantiles(answered), quantiles(readable))
	return nil
}

func quantiles(all []time.Duration) string {
	slices.Sort(all)
	at := func(q float64) time.Duration {
		return all[int(q*float64(len(all)-1))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %s, p99 %s, longest %s", at(0.5), at(0.99), at(1))
}

// throughput adds entries faster than the relay moves them, and times it until none
// waits.
func (l *laptop) throughput(board string, waiting int) error {
	db, err := sql.Open("postgres", l.Databases["scores"].URL)
	if err != nil {
		return err
	}
	defer db.Close()
	left := func() (n int, err error) {
		return n, db.QueryRow(`SELECT count(*) FROM outbox WHERE sent_at IS NULL`).Scan(&n)
	}
	begun := time.Now()
	for first := 0; first < waiting; first += 1000 {
		var entries []map[string]any
		for i := range min(1000, waiting-first) {
			entries = append(entries, map[string]any{"board": board, "player": fmt.Sprintf("q%d", i), "points": 1})
		}
		if err := l.call("POST", "/v1/entries/batch", map[string]any{"entries": entries}, nil); err != nil {
			return err
		}
	}
	before, err := left()
	if err != nil {
		return err
	}
	added := time.Since(begun)
	for n := before; n > 0; time.Sleep(50 * time.Millisecond) {
		if n, err = left(); err != nil {
			return err
		}
	}
	whole := time.Since(begun)
	fmt.Printf("%d events: added in %s, when %d waited; all in the log after %s: %.0f a second, %.0f once nothing is added\n",
		waiting, added.Round(time.Millisecond), before, whole.Round(time.Millisecond), float64(waiting)/whole.Seconds(), float64(before)/(whole-added).Seconds())
	return nil
}

// idle sums up what the laptop cloud's processes use while nobody calls it.
func (l *laptop) idle(watch time.Duration) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	folders := []string{root}
	for _, db := range l.Databases {
		folder, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", db.PID))
		if err != nil {
			return err
		}
		folders = append(folders, folder)
	}
	time.Sleep(30 * time.Second) // the relay's promise runs out
	before := cpu(folders)
	time.Sleep(watch)
	var sum float64
	used := map[string]float64{} // by program
	for process, ticks := range cpu(folders) {
		percent := float64(ticks-before[process]) / watch.Seconds() // 100 ticks a second
		used[process.program] += percent
		sum += percent
	}
	for program, percent := range used {
		if percent >= 0.1 {
			fmt.Printf("idle: %-24s %.1f %%\n", program, percent)
		}
	}
	fmt.Printf("idle: all together %.1f %% of one processor\n", sum)
	return nil
}

// process is a process that runs. One that ends while it is watched does not count.
type process struct{ pid, program string }

// cpu returns the processor time of the processes in folders, in ticks.
func cpu(folders []string) map[process]int {
	used := map[process]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is valid
	for _, file := range files {
		stat, err := os.ReadFile(file)
		dir, err2 := os.Readlink(filepath.Join(filepath.Dir(file), "cwd"))
		if err != nil || err2 != nil || !slices.ContainsFunc(folders, func(f string) bool { return strings.HasPrefix(dir+"/", f+"/") }) {
			continue
		}
		name, rest, _ := strings.Cut(string(stat), ") ")
		_, name, _ = strings.Cut(name, "(")
		if fields := strings.Fields(rest); len(fields) > 12 && filepath.Dir(file) != fmt.Sprintf("/proc/%d", os.Getpid()) {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			used[process{filepath.Base(filepath.Dir(file)), name}] = user + system
		}
	}
	return used
}

// call sends a request with a JSON body and reads its answer.
func (l *laptop) call(method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, l.URL+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if l.token != "" {
		req.Header.Set("Authorization", "Bearer "+l.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %.300s %v", method, path, resp.StatusCode, text, err)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
