package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The largest batch fits in the function's memory, and so does the worst one, whatever
// the machine: the kernel counts the memory.
func TestTheLargestBatchFits(t *testing.T) {
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)\n  ScoreAddFunction:.*?MemorySize: (\d+)\n`).FindSubmatch(template)
	if found == nil {
		t.Fatal("template.yaml has no memory for score-add")
	}
	mb, _ := strconv.Atoi(string(found[1]))

	stack := newStack(t)
	_, admin := stack.start("../board-admin", "board_admin")
	if a := admin("POST", "/v1/boards", `{"id":"race"}`); a.StatusCode != 201 {
		t.Fatalf("a board: %+v", a)
	}
	p, add := stack.start(".", "score_add", fmt.Sprint("AWS_LAMBDA_FUNCTION_MEMORY_SIZE=", mb))
	peak := func() int {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
		if err != nil {
			t.Fatal(err)
		}
		kb, _ := strconv.Atoi(string(regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(status)[1]))
		return kb >> 10
	}
	idle := peak()
	items := make([]string, 1000)
	for i := range items {
		attributes := make([]string, 16)
		for j := range attributes {
			attributes[j] = fmt.Sprintf(`"attribute %02d":"value %04d"`, j, i)
		}
		item := fmt.Sprintf(`{"board":"race","player":"p%d","points":1,"note":"§","profile":{"display_name":"Runner %d","country":"KR","attributes":{%s}}}`, i, i, strings.Join(attributes, ","))
		items[i] = strings.Replace(item, "§", strings.Repeat("n", 996-len(item)), 1)
	}
	body := `{"entries":[` + strings.Join(items, ",") + `]}`
	if len(body) < 990_000 {
		t.Fatalf("the largest batch has only %d bytes", len(body))
	}
	for range 3 {
		if a := add("POST", "/v1/entries/batch", body); a.StatusCode != 201 {
			t.Fatalf("the largest batch: %d %.300s", a.StatusCode, a.Body)
		}
	}
	for _, worst := range []string{
		`{` + strings.Repeat(`"a":1,`, 166_000) + `}`,
		`{"entries":[{"metadata":{` + numbered(85_000) + `}}]}`,
		`{"entries":[{"profile":{"attributes":{` + numbered(85_000) + `}}}]}`,
		strings.Repeat(`[`, 998_000),
	} {
		for range 5 {
			if a := add("POST", "/v1/entries/batch", worst); a.StatusCode != 400 {
				t.Fatalf("%.30s: %d %.300s", worst, a.StatusCode, a.Body)
			}
		}
	}
	t.Logf("%d MiB before, %d MiB at most", idle, peak())
	if peak() > mb*3/4 {
		t.Errorf("it took %d MiB of %d", peak(), mb)
	}
}

// numbered returns n members of an object.
func numbered(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf(`"%d":""`, i)
	}
	return strings.Join(members, ",")
}
