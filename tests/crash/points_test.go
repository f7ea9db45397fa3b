package crash

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"plaudit/shared/crash"
)

// passes lists which programs pass a point, and so die there.
var passes = []struct {
	point    crash.Point
	programs []string
}{
	{crash.BeforeCommit, []string{"score-add", "board-admin", "users", "player-sync"}},
	{crash.AfterCommit, []string{"score-add", "board-admin", "users", "player-sync"}},
	{crash.AfterWake, []string{"score-add", "board-admin", "player-sync"}},
	{crash.BeforePut, []string{"outbox-relay", "users"}},
	{crash.AfterPut, []string{"outbox-relay", "users"}},
	{crash.BeforeMark, []string{"outbox-relay", "users"}},
	{crash.AfterMark, []string{"outbox-relay", "users"}},
	{crash.IntakeBeforePut, []string{"audit-add"}},
	{crash.IntakeAfterPut, []string{"audit-add"}},
	{crash.IntakeAfterAll, []string{"audit-add"}},
	{crash.BeforeConsume, []string{"audit-publish", "player-sync"}},
	{crash.AfterConsume, []string{"audit-publish", "player-sync"}},
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
				c.choose(t, p.point, program, 1+turn%3)
				eventually(t, func() error {
					if p.point == crash.AfterWake {
						// As far as writers know, nobody polls, so that they wake the relay.
						v.exec(v.scores, `UPDATE relay_lease SET until = '-infinity'`)
					}
					if t.Failed() {
						return nil
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
