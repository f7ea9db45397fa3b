package user

import "plaudit/shared/event"

// optionalMail lists the types of events that people receive mail about unless
// they switch it off: what somebody else did to their scores and links, and closed
// periods of their boards. OtherMail stands for every event of another system.
var optionalMail = []string{
	string(event.EntryAdjusted), string(event.EntryReversed), string(event.PlayerChanged), string(event.LinkProposed),
	"plaudit.board.period-closed", OtherMail,
}

// OtherMail is the type of mail about events of other systems.
const OtherMail = "other"

// requiredMail lists the types of events about which people always receive mail: those
// that may reveal an attack, because a thief would switch them off first, and those that
// end something of theirs for good.
var requiredMail = []string{
	string(event.UserLoginFailed), string(event.UserPasswordChanged), string(event.UserRoleChanged), "plaudit.user.email-changed",
	string(event.UserVerificationRequested), "plaudit.user.reset-requested",
	string(event.SessionReused), string(event.KeyCreated),
	string(event.PlayerErased), string(event.LinkEnded),
}
