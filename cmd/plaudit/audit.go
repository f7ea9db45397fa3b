package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/event"
)

// errIncomplete is returned for a log that differs from the databases.
var errIncomplete = errors.New("the audit log and the databases differ")

// auditLog is `plaudit audit tail|check|restore|retry`.
func auditLog(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	switch command {
	case "check":
		return auditCheck(ctx, args[1:], stdin, stdout, stderr)
	case "restore":
		return auditRestore(ctx, args[1:], stdin, stdout, stderr)
	case "retry":
		return auditRetry(ctx, args[1:], stdin, stdout, stderr)
	case "tail":
		return auditTail(ctx, args[1:], stdout, stderr)
	}
	fmt.Fprintln(stderr, "plaudit audit: the command is `plaudit audit tail`, `check`, `restore` or `retry`; see `plaudit --help`")
	return errUsage
}

// auditCheck prints a line for each finding, and its progress to stderr.
func auditCheck(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("audit check", flag.ContinueOnError)
	stack := placeFlags(flags)
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	check, err := stack.checker(ctx, stdin)
	if err != nil {
		return err
	}
	var sum audit.Report
	unlisted, listed := 0, 0
	err = check.pieces(ctx, map[string]any{"do": "audit-check"}, func(answer []byte, more bool) error {
		var r audit.Report
		if err := json.Unmarshal(answer, &r); err != nil {
			return err
		}
		for _, line := range r.Findings {
			fmt.Fprintln(stdout, line)
		}
		listed, unlisted = listed+len(r.Findings), unlisted+r.More
		sum.Rows, sum.Waiting, sum.Entries, sum.Events = sum.Rows+r.Rows, sum.Waiting+r.Waiting, sum.Entries+r.Entries, sum.Events+r.Events
		sum.Restore = sum.Restore || r.Restore
		if more {
			fmt.Fprintf(stderr, "checked %d rows, %d older entries and %d events; next: %s %s\n", sum.Rows, sum.Entries, sum.Events, r.Step, r.Position)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("check the audit log: %w", err)
	}
	if unlisted > 0 {
		fmt.Fprintf(stdout, "… and %d more\n", unlisted)
	}
	if sum.Waiting > 0 {
		fmt.Fprintf(stderr, "%d rows have yet to be sent; nothing is wrong with that unless they stay\n", sum.Waiting)
	}
	switch {
	case listed == 0:
		fmt.Fprintf(stdout, "the audit log is complete: %d rows, %d older entries and %d events match\n", sum.Rows, sum.Entries, sum.Events)
		return nil
	case sum.Restore:
		return fmt.Errorf("%w in %d places; `plaudit audit restore` brings back events and index items that are missing", errIncomplete, listed+unlisted)
	}
	return fmt.Errorf("%w in %d places; a restore solves none of them: see docs/operating.md", errIncomplete, listed+unlisted)
}

// auditRestore has events sent to the log again, and waits until they are there.
func auditRestore(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("audit restore", flag.ContinueOnError)
	stack := placeFlags(flags)
	var from, to instant
	flags.Var(&from, "from", "restore only events recorded from this `TIME` on, e.g. 2026-04-05T12:00:00Z")
	flags.Var(&to, "to", "restore only events recorded before this `TIME`")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to.Time) {
		return wrong(flags, stderr, errors.New("--from must be before --to"))
	}
	check, err := stack.checker(ctx, stdin)
	if err != nil {
		return err
	}
	marked, err := restore(ctx, check, from.Time, to.Time, restorePatience, stderr)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: what was marked is sent nevertheless; start again, and nothing is written twice: %w", ctx.Err())
		}
		return fmt.Errorf("restore the audit log: %w", err)
	}
	fmt.Fprintf(stdout, "%d events were sent again; check them with `plaudit audit check`\n", marked)
	return nil
}

// auditRetry has rows that could not be written sent again.
func auditRetry(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("audit retry", flag.ContinueOnError)
	stack := placeFlags(flags)
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	check, err := stack.checker(ctx, stdin)
	if err != nil {
		return err
	}
	queued, err := sendAgain(ctx, check, map[string]any{"do": "audit-retry"}, restorePatience, func(queued int, r audit.Restored) {
		fmt.Fprintf(stderr, "%d rows queued again; %d rows have yet to be sent\n", queued, r.Waiting)
	})
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: what was queued is sent nevertheless; start again for the rest: %w", ctx.Err())
		}
		return fmt.Errorf("queue the failed rows again: %w", err)
	}
	fmt.Fprintf(stdout, "%d rows were queued again; those that still cannot be written are set aside again, and `plaudit audit check` names them\n", queued)
	return nil
}

// instant is a flag with a time.
type instant struct{ time.Time }

func (i *instant) String() string { return "" }

func (i *instant) Set(text string) (err error) {
	if i.Time, err = time.Parse(time.RFC3339, text); err != nil {
		return errors.New("must be a time such as 2026-04-05T12:00:00Z")
	}
	return nil
}

// errStuck is returned for a restore or a retry of which nothing has been sent for a while.
var errStuck = errors.New("nothing has been sent for a while; read the logs of outbox-relay and of the users service. What waits is sent as soon as they can, and the command can be repeated")

// restore returns how many events it had sent again, with its progress on stderr. It
// fails if nothing is sent for the time of patience.
func restore(ctx context.Context, check checker, from, to time.Time, patience time.Duration, stderr io.Writer) (marked int, err error) {
	request := map[string]any{"do": "audit-restore"}
	if !from.IsZero() {
		request["from"] = from
	}
	if !to.IsZero() {
		request["to"] = to
	}
	fmt.Fprintln(stderr, "events of other systems (POST /v1/audit/events) are in no outbox, and cannot be restored")
	return sendAgain(ctx, check, request, patience, func(marked int, r audit.Restored) {
		for _, source := range slices.Sorted(maps.Keys(r.Oldest)) { // of the first piece
			if from.IsZero() || from.Before(r.Oldest[source]) {
				fmt.Fprintf(stderr, "rows leave the outbox of %s after OUTBOX_DAYS: events recorded before %s cannot be restored\n", database(source), r.Oldest[source].UTC().Format(time.RFC3339))
			}
		}
		fmt.Fprintf(stderr, "%d events marked, of which %d have yet to be sent\n", marked, r.Waiting)
	})
}

// sendAgain has db-check do a restore or a retry, and returns how many rows it had sent
// again. It calls progress when a piece has made some. It fails if nothing is sent for the
// time of patience.
func sendAgain(ctx context.Context, check checker, request map[string]any, patience time.Duration, progress func(marked int, r audit.Restored)) (marked int, err error) {
	last, moved := audit.Restored{Waiting: -1}, time.Now()
	err = check.pieces(ctx, request, func(answer []byte, more bool) error {
		var r audit.Restored
		if err := json.Unmarshal(answer, &r); err != nil {
			return err
		}
		marked += r.Marked
		if r.Marked != 0 || r.Waiting != last.Waiting {
			moved = time.Now()
			progress(marked, r)
		}
		last = r
		if !more || r.Marked > 0 {
			return nil
		}
		if time.Since(moved) > patience {
			return errStuck
		}
		return sleep(ctx, waiting)
	})
	return marked, err
}

func database(source string) string {
	switch source {
	case event.Scores:
		return "the scores database"
	case event.Users:
		return "the users database"
	}
	return source
}

// setupPatience is how long setup waits for relays, which may not run before it ends.
const setupPatience = 20 * time.Second

// restorePatience is longer than a relay that was not woken needs until its schedule.
const restorePatience = 3 * time.Minute

// restoreIfEmptier restores the log if some events of the outboxes are missing in it, as
// after the loss of a table, or of the engine on a laptop.
func restoreIfEmptier(ctx context.Context, check checker, stderr io.Writer) error {
	text, err := invoke(ctx, check.functions, check.name, map[string]any{"do": "audit-sample"})
	if err != nil {
		return err
	}
	var found audit.Sample
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		return err
	}
	if found.Missing == 0 {
		fmt.Fprintf(stderr, "the audit log has all of %d events that were looked for\n", found.Checked)
		return nil
	}
	fmt.Fprintf(stderr, "the audit log lacks %d of %d events that were looked for, and is restored\n", found.Missing, found.Checked)
	marked, err := restore(ctx, check, time.Time{}, time.Time{}, setupPatience, stderr)
	switch {
	case errors.Is(err, errStuck):
		fmt.Fprintf(stderr, "the audit log is not complete yet: %v\n", err)
		return nil
	case err != nil:
		return err
	}
	fmt.Fprintf(stderr, "the audit log was restored: %d events were sent again\n", marked)
	return nil
}
