package crash

// The points, in the order in which a change passes them.
const (
	BeforeCommit    Point = "before-commit"     // a writer of the outbox, before its transaction commits
	AfterCommit     Point = "after-commit"      // the transaction is committed, and nobody knows
	AfterWake       Point = "after-wake"        // the relay is woken, and nobody has an answer
	BeforePut       Point = "before-put"        // the relay, before it writes an event into the log
	AfterPut        Point = "after-put"         // the event is there, and its index items are not
	BeforeMark      Point = "before-mark"       // all of a batch is written, and the rows are not marked as sent
	AfterMark       Point = "after-mark"        // they are, and the run has not ended
	IntakeBeforePut Point = "intake-before-put" // audit-add, before it writes an event
	IntakeAfterPut  Point = "intake-after-put"  // the event is there, and its index items are not
	IntakeAfterAll  Point = "intake-after-all"  // they are too, and the client has no answer
	BeforeConsume   Point = "before-consume"    // a consumer of a stream, before its effect
	AfterConsume    Point = "after-consume"     // the effect is there, and the batch has no answer
	BeforeSend      Point = "before-send"       // notify has claimed a mail, and has not sent it
	AfterSend       Point = "after-send"        // the mail is sent, and this is not recorded
)

// Points returns every point above.
func Points() []Point {
	return []Point{
		BeforeCommit, AfterCommit, AfterWake, BeforePut, AfterPut, BeforeMark, AfterMark,
		IntakeBeforePut, IntakeAfterPut, IntakeAfterAll, BeforeConsume, AfterConsume,
		BeforeSend, AfterSend,
	}
}
