// Package crash names the points at which a process can die, so that tests can kill it
// there: just before an effect, when nothing has happened, and just after it, when the
// answer is lost. The audit log must be complete after each.
package crash

// Point is a point on the way of a change from its writer to the log's consumers.
type Point string

// At does nothing. tests/crash builds the programs with another file in place of this
// one, in which it kills the process if the test has chosen the point.
func At(Point) {}

// Handled does nothing. In the build of tests/crash it notes that a consumer of the log
// has handled an event.
func Handled(logID string) {}
