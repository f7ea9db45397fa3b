package main

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"testing"

	"plaudit/shared/boot/boottest"
)

// The budget is the container's memory, and the comment that shows the sum is right.
func TestTheMemoryBudgetIsTheContainers(t *testing.T) {
	figure := func(file, form string) int {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(form).FindAllSubmatch(text, -1)
		if len(found) != 1 {
			t.Fatalf("%s has %d figures %s", file, len(found), form)
		}
		n, err := strconv.Atoi(string(found[0][1]))
		if err != nil {
			t.Fatal(err)
		}
		return n * mib
	}
	if got := figure("../../template.yaml", `\n +Memory: (\d+)\n`); got != memoryOfTask {
		t.Errorf("the container has %d MiB, and the budget is %d", got/mib, memoryOfTask/mib)
	}
	if memoryLimit != 336*mib {
		t.Errorf("the limit is %d MiB", memoryLimit/mib)
	}
	sum := 0
	for _, part := range []struct {
		name string
		want int
	}{{"program", baseMemory}, {"hashes", hashMemory}, {"bodies", bodies}, {"connections:", memoryLimit - baseMemory - hashMemory - bodies - relayMemory}, {"relay:", relayMemory}} {
		got := figure("config.go", `//\t`+part.name+`.* (\d+) MiB\n`)
		if got != part.want {
			t.Errorf("the comment has %d MiB for %s, want %d", got/mib, part.name, part.want/mib)
		}
		sum += got
	}
	if sum != memoryLimit {
		t.Errorf("the parts are %d MiB, the limit is %d", sum/mib, memoryLimit/mib)
	}
	if image, err := os.ReadFile("Dockerfile"); err != nil || regexp.MustCompile("GOMEMLIMIT").Match(image) {
		t.Errorf("the image sets a limit of its own (%v)", err)
	}
}

// The limit holds wherever the program runs, unless the environment sets another one.
func TestTheMemoryLimitIsSet(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for set, want := range map[int64]int64{math.MaxInt64: memoryLimit, 100 * mib: 100 * mib} {
		debug.SetMemoryLimit(set)
		if limitMemory(); debug.SetMemoryLimit(-1) != want {
			t.Errorf("a limit of %d becomes %d", set, debug.SetMemoryLimit(-1))
		}
	}
	// The real program does so, and starts with little.
	p := boottest.Run(t, boottest.Build(t, "."), pairs(environment(t))...)
	limit := p.Line("memory")["limit"]
	if fmt.Sprint(limit) != fmt.Sprint(float64(memoryLimit)) {
		t.Errorf("the program's limit is %v", limit)
	}
}
