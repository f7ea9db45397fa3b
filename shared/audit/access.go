package audit

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"plaudit/shared/access"
	"plaudit/shared/event"
	"plaudit/shared/fault"
	"plaudit/shared/id"
)

// The rights are counted from the log alone. What a board's owners and a player's user
// may read therefore follows a change of owners, and of a link, as soon as its event is
// listed. The newest event counts, even if it does not name anybody, and even if the log
// lacks it: a right that ends must not be found in an older event.

// readsAll reports whether the caller may read every event.
func readsAll(c access.Caller) bool {
	return (c.Rights() == access.Admin || c.Rights() == access.Auditor) && c.Scoped(access.ScopeRead, "") && !limited(c)
}

// limited reports whether the caller is an API key for some boards only. It reads
// nothing that is not a board's.
func limited(c access.Caller) bool { return len(c.Boards) > 0 }

// mayRead returns a fault if the caller's token rules out every event.
func mayRead(c access.Caller) error {
	if !c.Scoped(access.ScopeRead, "") {
		return fault.New(fault.Forbidden, "This API key needs the scope %s.", access.ScopeRead)
	}
	return nil
}

// mayList returns a fault unless the caller may read every event that the filter
// selects. It does not depend on whether a board or a player exists. It reports whether
// the caller may read them because they are the caller's own acts: then nothing was
// checked of the subject, and no event of others must be looked at.
func (r *Reader) mayList(ctx context.Context, c access.Caller, f Filter) (own bool, err error) {
	if err := mayRead(c); err != nil || readsAll(c) {
		return false, err
	}
	if ownActor(c, f.Actor) {
		return true, nil
	}
	if f.Subject != "" {
		if ok, err := r.readsSubject(ctx, c, f.Subject); err != nil || ok {
			return false, err
		}
	}
	const way = "name a board of yours (subject=board/<id>/*), a player of yours (subject=board/<id>/player/<id>), yourself (subject=user/<id>) or what you did (actor=user/<id>)"
	switch {
	case f.Subject != "":
		return false, fault.Field(fault.Forbidden, "subject", "Only admins, auditors, the board's owners and the player's or account's own user may read these events: %s.", way)
	case f.Actor != "":
		return false, fault.Field(fault.Forbidden, "actor", "Only admins and auditors may list what others did: %s.", way)
	case f.Type != "":
		return false, fault.Field(fault.Forbidden, "type", "Only admins and auditors may list the events of a type alone: %s.", way)
	}
	return false, fault.Field(fault.BadRequest, "subject", "must be present: %s; only admins and auditors may list all events", way)
}

// readsEvent reports whether the caller may read one event.
func (r *Reader) readsEvent(ctx context.Context, c access.Caller, e event.Event) (bool, error) {
	if readsAll(c) || ownActor(c, e.Actor) {
		return true, nil
	}
	return r.readsSubject(ctx, c, e.Subject)
}

// ownActor reports whether the caller is this actor.
func ownActor(c access.Caller, actor string) bool {
	return actor != "" && actor == c.Actor() && !limited(c)
}

// readsSubject reports whether the caller may read the events of a subject or of a root.
func (r *Reader) readsSubject(ctx context.Context, c access.Caller, subject string) (bool, error) {
	root, all := strings.CutSuffix(subject, anyBelow)
	if root == event.User(c.User) {
		return !limited(c), nil
	}
	board, ok := strings.CutPrefix(event.Root(root), event.Board(""))
	if !ok || !id.Board(board) || !c.Scoped(access.ScopeRead, board) {
		return false, nil
	}
	if c.Rights() == access.Admin || c.Rights() == access.Auditor {
		return true, nil
	}
	latest, err := r.latest(ctx, event.Board(board))
	if err != nil || latest == nil {
		return false, err
	}
	owners, _ := latest.Extensions["owners"].(string)
	if slices.Contains(strings.Split(owners, ","), c.User) {
		return true, nil
	}
	// A draft is seen by nobody else, its players included.
	if draft, _ := latest.Extensions["draft"].(bool); draft || all || root == event.Board(board) {
		return false, nil
	}
	if latest, err = r.latest(ctx, root); err != nil || latest == nil {
		return false, err
	}
	user, _ := latest.Extensions["user"].(string)
	return user == c.User, nil
}

// latest returns the newest event of a subject of ours; nil if there is none, or if the
// index has it and the log does not.
func (r *Reader) latest(ctx context.Context, subject string) (*event.Event, error) {
	q := Query{Dimension: BySubject, Value: subject, Limit: 1, NoGaps: true}
	for range rounds {
		events, next, err := r.Log.List(ctx, q)
		if errors.Is(err, ErrGap) {
			slog.ErrorContext(ctx, "the rights of a subject are unknown", "subject", subject, "error", err)
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if len(events) > 0 {
			return &events[0].Event, nil
		}
		if next == (Place{}) {
			break
		}
		q.After = next
	}
	return nil, nil
}
