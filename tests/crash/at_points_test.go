package crash

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"plaudit/shared/crash"
)

type pass struct {
	point    crash.Point
	programs []string
}

// passes lists which programs pass a point, and so die there.
var passes = []pass{
	{crash.BeforeCommit, []string{"score-add", "board-admin", "users", "player-sync", "period-close"}},
	{crash.AfterCommit, []string{"score-add", "board-admin", "users", "player-sync", "period-close"}},
	{crash.AfterWake, []string{"score-add", "board-admin", "player-sync", "period-close"}},
	{crash.BeforePut, []string{"outbox-relay", "users"}},
	{crash.AfterPut, []string{"outbox-relay", "users"}},
	{crash.BeforeMark, []string{"outbox-relay", "users"}},
	{crash.AfterMark, []string{"outbox-relay", "users"}},
	{crash.IntakeBeforePut, []string{"audit-add"}},
	{crash.IntakeAfterPut, []string{"audit-add"}},
	{crash.IntakeAfterAll, []string{"audit-add"}},
	{crash.BeforeConsume, []string{"audit-publish", "player-sync"}},
	{crash.AfterConsume, []string{"audit-publish", "player-sync"}},
	{crash.BeforeSend, []string{"notify"}},
	{crash.AfterSend, []string{"notify"}},
}

// placed lists the files in which a point is, as often as it is there.
var placed = map[crash.Point][]string{
	crash.BeforeCommit:    {"postgres/postgres.go", "postgres/scores/outbox.go"},
	crash.AfterCommit:     {"postgres/postgres.go", "postgres/scores/outbox.go"},
	crash.AfterWake:       {"postgres/scores/outbox.go"},
	crash.BeforePut:       {"audit/relay.go"},
	crash.AfterPut:        {"audit/relay.go"},
	crash.BeforeMark:      {"audit/relay.go"},
	crash.AfterMark:       {"audit/relay.go"},
	crash.IntakeBeforePut: {"audit/intake.go"},
	crash.IntakeAfterPut:  {"audit/intake.go"},
	crash.IntakeAfterAll:  {"audit/intake.go"},
	crash.BeforeConsume:   {"boot/batch.go", "boot/batch.go"},
	crash.AfterConsume:    {"boot/batch.go", "boot/batch.go"},
	crash.BeforeSend:      {"notify/claim.go"},
	crash.AfterSend:       {"notify/claim.go"},
}

// Each point is in the product, nothing else is a point, and a process dies at each.
func TestEveryPointIsPlacedAndUsed(t *testing.T) {
	found := map[string][]string{}
	call := regexp.MustCompile(`crash\.At\(crash\.(\w+)\)`)
	for _, folder := range []string{"shared", "functions", "services"} {
		err := filepath.WalkDir(filepath.Join("../..", folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range call.FindAllSubmatch(text, -1) {
				found[string(m[1])] = append(found[string(m[1])], strings.TrimPrefix(strings.TrimPrefix(filepath.ToSlash(path), "../../"), "shared/"))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	points := crash.Points()
	for _, p := range points {
		name := nameOf(p)
		slices.Sort(found[name])
		if !slices.Equal(found[name], placed[p]) {
			t.Errorf("%s is in %v, want %v", name, found[name], placed[p])
		}
		if !slices.ContainsFunc(passes, func(e pass) bool { return e.point == p && len(e.programs) > 0 }) {
			t.Errorf("no process dies at %s", name)
		}
		delete(found, name)
	}
	if len(found) > 0 || len(placed) != len(points) || len(passes) != len(points) {
		t.Errorf("%v are not among the %d points; %d are placed, and processes die at %d", found, len(points), len(placed), len(passes))
	}
}

// nameOf returns the name of a point's constant.
func nameOf(p crash.Point) (name string) {
	for word := range strings.SplitSeq(string(p), "-") {
		name += strings.ToUpper(word[:1]) + word[1:]
	}
	return name
}

// A process dies at each point that it passes, under load.
func TestPoints(t *testing.T) {
	c := running(t)
	v := look(t)
	turn := 0
	for _, p := range passes {
		for _, program := range p.programs {
			t.Run(fmt.Sprintf("%s of %s", p.point, program), func(t *testing.T) {
				l := c.begin(t)
				turn++
				if program == "notify" {
					l.maxHeld = 1
				}
				c.choose(t, p.point, program, 1+turn%3)
				eventually(t, func() error {
					if p.point == crash.AfterWake {
						// As far as writers know, nobody polls, so that they wake the relay.
						v.exec(v.scores, `UPDATE relay_lease SET until = '-infinity'`)
					}
					if t.Failed() {
						return nil
					}
					if program == "period-close" {
						c.closePeriods() // instead of waiting for its schedule; the one that dies fails
					}
					return c.died()
				})
				l.some(20)
				l.stop().complete()
			})
			if t.Failed() {
				return // the next point would only show the same
			}
		}
	}
	check(t)
}

// choose has the program kill itself when one of its processes passes the point so often.
func (c *checkout) choose(t *testing.T, p crash.Point, program string, times int) {
	t.Helper()
	// In one step, so that nobody reads half of it.
	next := c.file("next")
	if err := os.WriteFile(next, fmt.Appendf(nil, "%s %d %s", p, times, program), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, c.file("choice")); err != nil {
		t.Fatal(err)
	}
}

// died returns an error until the chosen process has killed itself.
func (c *checkout) died() error {
	if _, err := os.Stat(c.file("choice")); err == nil {
		return errors.New("no process has died")
	}
	return nil
}
