package user

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"plaudit/shared/access"
	"plaudit/shared/event"
	"plaudit/shared/fault"
	"plaudit/shared/id"
)

// optionalMail lists the types of events that people receive mail about unless
// they switch it off: what somebody else did to their scores and links, and closed
// periods of their boards. OtherMail stands for every event of another system.
var optionalMail = []string{
	string(event.EntryAdjusted), string(event.EntryReversed), string(event.PlayerChanged), string(event.LinkProposed),
	string(event.BoardPeriodClosed), OtherMail,
}

// OtherMail is the type of mail about events of other systems.
const OtherMail = "other"

// requiredMail lists the types of events about which people always receive mail: those
// that may reveal an attack, because a thief would switch them off first, and those that
// end something of theirs for good.
var requiredMail = []string{
	string(event.UserLoginFailed), string(event.UserPasswordChanged), string(event.UserRoleChanged), string(event.UserEmailChanged),
	string(event.UserVerificationRequested), string(event.UserResetRequested),
	string(event.SessionReused), string(event.KeyCreated),
	string(event.PlayerErased), string(event.LinkEnded),
}

// MailState is why an address gets no more mail; empty if it does.
type MailState string

// The states, of which a mail system reports the first and a reader the second.
const (
	Bounced    MailState = "bounced"
	Complained MailState = "complained"
)

// MailStore is the part of Store for mail. A missing account is a fault of kind
// NotFound.
type MailStore interface {
	// SetMailState sets why the account's address gets no more mail, unless address names
	// another one (id.Address), and returns the state then. A state that differs inserts an
	// event into the outbox.
	SetMailState(ctx context.Context, account, address string, state MailState, actor string) (MailState, error)
	// MailSecret returns the account and its secret, which signs links. An account without
	// one gets one if create is true; else it counts as missing.
	MailSecret(ctx context.Context, account string, create bool) (User, uuid.UUID, error)
}

// MailLinkKind is what a link in a mail is for.
type MailLinkKind string

// The kinds.
const (
	VerifyLink      MailLinkKind = "verify"
	ResetLink       MailLinkKind = "reset"
	UnsubscribeLink MailLinkKind = "unsubscribe"
)

var mailLinkKinds = []MailLinkKind{VerifyLink, ResetLink, UnsubscribeLink}

// MailLink is a link in a mail, with the address that the mail goes to.
type MailLink struct{ URL, Email string }

// MailLink makes a link of the kind for a mail to the account. typ is the type of mail
// that the link switches off, and empty for other kinds. Faults: BadRequest with every
// field; NotFound; NoLinkDue.
//
// It is made when the mail is sent, so that its secret is neither in an event nor in a
// queue, and the time that it is valid begins then.
func (s *Service) MailLink(ctx context.Context, account string, kind MailLinkKind, typ string) (MailLink, error) {
	var faults fault.List
	switch {
	case kind == "":
		faults.Add("kind", "is required")
	case !slices.Contains(mailLinkKinds, kind):
		faults.Add("kind", "must be one of %s", joined(mailLinkKinds))
	}
	switch {
	case kind != UnsubscribeLink && typ != "":
		faults.Add("type", "is not allowed with this kind: leave it out")
	case kind == UnsubscribeLink && !slices.Contains(optionalMail, typ):
		faults.Add("type", "must be one of %s", joined(optionalMail))
	}
	if err := faults.Err(); err != nil {
		return MailLink{}, err
	}
	if !id.UUID(account) {
		return MailLink{}, notFound()
	}
	var path, token, email string
	var err error
	switch kind {
	case VerifyLink:
		path = "/verify?token="
		token, email, err = s.verifyLink(ctx, account)
	case ResetLink:
		path = "/reset?token="
		token, email, err = s.resetLink(ctx, account)
	case UnsubscribeLink:
		path = "/v1/unsubscribe/"
		token, email, err = s.unsubscribeLink(ctx, account, typ)
	}
	if err != nil {
		return MailLink{}, err
	}
	return MailLink{s.PublicURL + path + token, email}, nil
}

// NoLinkDue returns the fault for a link that nobody has asked for, or that is no longer
// needed.
func NoLinkDue() error {
	return fault.New(fault.NoLinkDue, "No such link is due for this account now: do not send the mail.")
}

func joined[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}

// SetMailState records that mail to the account's address has bounced or that its
// reader has complained, so that it gets no more, and returns the state now. address is
// id.Address of the one that the mail went to: if the account has another one since then,
// nothing changes. Faults: BadRequest with every field; NotFound.
func (s *Service) SetMailState(ctx context.Context, c access.Caller, account, address string, state MailState) (MailState, error) {
	var faults fault.List
	if state != Bounced && state != Complained {
		faults.Add("state", "must be %s or %s", Bounced, Complained)
	}
	if address != "" && !id.IsAddress(address) {
		faults.Add("address", id.AddressForm)
	}
	if err := faults.Err(); err != nil {
		return "", err
	}
	if !id.UUID(account) {
		return "", notFound()
	}
	return s.Store.SetMailState(ctx, account, address, state, c.Actor())
}

// A token that ends a type of mail consists of the account's id, a signature and the type,
// in base64url. It is stored nowhere and is valid as long as the account, because mails are
// kept for years. The signature has a secret of the account's own, so an erasure ends all
// of the account's tokens.
const signatureAt, typeAt = len(uuid.UUID{}), len(uuid.UUID{}) + sha256.Size

// subscriptionChanges is how often mail of an account is switched on or off by links in an
// hour.
const subscriptionChanges = 20

// maxUnsubscribe is the maximum length of such a token, in characters. It is more than
// the longest type needs.
const maxUnsubscribe = 200

func unsubscribeSignature(secret, account uuid.UUID, typ string) []byte {
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte("unsubscribe "))
	mac.Write(account[:])
	mac.Write([]byte(typ))
	return mac.Sum(nil)
}

func (s *Service) unsubscribeLink(ctx context.Context, account, typ string) (token, email string, err error) {
	u, secret, err := s.Store.MailSecret(ctx, account, true)
	if err != nil {
		return "", "", err
	}
	by, err := uuid.Parse(u.ID)
	if err != nil {
		return "", "", err
	}
	content := slices.Concat(by[:], unsubscribeSignature(secret, by, typ), []byte(typ))
	return base64.RawURLEncoding.EncodeToString(content), u.Email, nil
}

// Subscription is a type of mail of an account.
type Subscription struct {
	User User
	Type string
	On   bool
}

// Subscription returns the type of mail that a token ends. Every token that is not valid
// is the same fault of kind NotFound.
func (s *Service) Subscription(ctx context.Context, token string) (Subscription, error) {
	invalid := fault.Field(fault.NotFound, "token", "This link is not valid, or its account no longer exists. Change what mail you get with PATCH /v1/users/me.")
	content, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(token) > maxUnsubscribe || len(content) <= typeAt {
		return Subscription{}, invalid
	}
	account, typ := uuid.UUID(content[:signatureAt]), string(content[typeAt:])
	u, secret, err := s.Store.MailSecret(ctx, account.String(), false)
	if fault.Is(err, fault.NotFound) {
		return Subscription{}, invalid
	}
	if err != nil {
		return Subscription{}, err
	}
	if !hmac.Equal(content[signatureAt:typeAt], unsubscribeSignature(secret, account, typ)) || !slices.Contains(optionalMail, typ) {
		return Subscription{}, invalid
	}
	on, chosen := u.Mail[typ]
	return Subscription{u, typ, on || !chosen}, nil
}

// Subscribe switches the type of mail that a token ends off or on. It is all that a
// token opens, and the same again changes nothing. The fault is that of Subscription.
func (s *Service) Subscribe(ctx context.Context, token string, on bool) (Subscription, error) {
	sub, err := s.Subscription(ctx, token)
	if err != nil || sub.On == on {
		return sub, err
	}
	// Each change is an event, which nothing removes, and a mail with the link may be in many
	// hands.
	wait, err := s.Store.Count(ctx, Limit{Name: "subscription", Subject: sub.User.ID, Max: subscriptionChanges, Window: time.Hour})
	if err := refused("This mail was switched on and off too often. Wait before you change it again.", wait, err); err != nil {
		return Subscription{}, err
	}
	// The sender of the token need not be the account's owner: a mail can be forwarded.
	sub.User, err = s.Store.Update(ctx, sub.User.ID, Changes{Mail: map[string]bool{sub.Type: on}}, Self)
	if fault.Is(err, fault.NotFound) { // erased in the meantime
		return s.Subscription(ctx, token)
	}
	sub.On = on
	return sub, err
}
