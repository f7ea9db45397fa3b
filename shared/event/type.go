package event

import "strings"

// Type is an event's type. Those that begin with `plaudit.` are ours alone.
type Type string

// The types of our own events. The functions of the scores database write some
// of them; a test of shared/postgres/migrate holds those to this list.
const (
	BoardCreated              Type = "plaudit.board.created"
	BoardUpdated              Type = "plaudit.board.updated"
	BoardPeriodClosed         Type = "plaudit.board.period-closed"
	PlayerChanged             Type = "plaudit.player.changed"
	PlayerErased              Type = "plaudit.player.erased"
	LinkProposed              Type = "plaudit.player.link-proposed"
	LinkAccepted              Type = "plaudit.player.link-accepted"
	LinkEnded                 Type = "plaudit.player.link-ended" // also: declined, or withdrawn
	EntryAdded                Type = "plaudit.entry.added"
	EntryAdjusted             Type = "plaudit.entry.adjusted"
	EntryImported             Type = "plaudit.entry.imported"
	EntryReversed             Type = "plaudit.entry.reversed"
	UserCreated               Type = "plaudit.user.created"
	UserUpdated               Type = "plaudit.user.updated"
	UserErased                Type = "plaudit.user.erased"
	UserRoleChanged           Type = "plaudit.user.role-changed"
	UserPasswordChanged       Type = "plaudit.user.password-changed"
	UserLoginFailed           Type = "plaudit.user.login-failed"
	UserVerificationRequested Type = "plaudit.user.verification-requested"
	UserEmailVerified         Type = "plaudit.user.email-verified"
	UserEmailChanged          Type = "plaudit.user.email-changed"
	UserResetRequested        Type = "plaudit.user.reset-requested"
	SessionReused             Type = "plaudit.session.reused"
	SessionRevoked            Type = "plaudit.session.revoked"
	KeyCreated                Type = "plaudit.key.created"
	KeyDeleted                Type = "plaudit.key.deleted"
)

// Types returns every type above.
func Types() []Type {
	return []Type{
		BoardCreated, BoardUpdated, BoardPeriodClosed, PlayerChanged, PlayerErased, LinkProposed, LinkAccepted, LinkEnded,
		EntryAdded, EntryAdjusted, EntryImported, EntryReversed,
		UserCreated, UserUpdated, UserErased, UserRoleChanged, UserPasswordChanged, UserLoginFailed,
		UserVerificationRequested, UserEmailVerified, UserEmailChanged, UserResetRequested,
		SessionReused, SessionRevoked, KeyCreated, KeyDeleted,
	}
}

// OfEntry returns the type of an entry's event by the entry's kind.
func OfEntry(kind string) Type {
	switch kind {
	case "adjustment":
		return EntryAdjusted
	case "import":
		return EntryImported
	case "reversal":
		return EntryReversed
	}
	return EntryAdded
}

// The sources of our own events. Nobody else's may begin with /plaudit/.
const (
	Scores = "/plaudit/scores"
	Users  = "/plaudit/users"
)

// Ours reports whether only we may write events of that source.
func Ours(source string) bool { return strings.HasPrefix(source, "/plaudit/") }

// Board returns the subject of a board's events.
func Board(board string) string { return "board/" + board }

// Player returns the subject of a player's events, entries included.
func Player(board, player string) string { return Board(board) + "/player/" + player }

// User returns the subject of an account's events. It is also the actor's form.
func User(id string) string { return "user/" + id }

// Root returns the first two segments of a subject: of a player's that is its board's.
func Root(subject string) string {
	first, rest, ok := strings.Cut(subject, "/")
	if !ok {
		return subject
	}
	second, _, _ := strings.Cut(rest, "/")
	return first + "/" + second
}

// Notified returns the user to tell by mail about an event of a player, "" for
// none. user is the player's user, "" if there is none: they are told what others
// do to their points, their status, their link and their data. person is who acts: of an API key,
// its owner. Results and imports are not told. Of the changes of a player, callers must
// pass only those of the status; of the links that end, only those that were accepted.
func Notified(t Type, person, user string) string {
	switch t {
	case EntryAdjusted, EntryReversed, PlayerChanged, PlayerErased, LinkProposed, LinkEnded:
		if user != "" && person != user {
			return user
		}
	}
	return ""
}
