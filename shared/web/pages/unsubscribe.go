package pages

import (
	"net/http"
	"strings"

	"plaudit/shared/fault"
	"plaudit/shared/problem"
	"plaudit/shared/user"
	"plaudit/shared/web"
)

// unsubscribe serves the links that end a type of mail. Mail programs send the POST by
// themselves when their reader asks them to (https://www.rfc-editor.org/rfc/rfc8058), and
// scanners of mail follow links, so a GET changes nothing.
type unsubscribe struct{ users *user.Service }

// The fields of the form. The first is that of RFC 8058, which the page's button sends
// too; the second switches the mail on again.
const (
	oneClickField, oneClick = "List-Unsubscribe", "One-Click"
	mailField, mailOn       = "mail", "on"
)

func (u unsubscribe) show(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	sub, err := u.users.Subscription(r.Context(), web.Param(r, "token"))
	if err != nil {
		return err
	}
	return u.reply(w, sub)
}

func (u unsubscribe) change(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	form, err := web.ReadOneClick(r, oneClickField, mailField)
	if err != nil {
		return err
	}
	switch off, on := form.Has(oneClickField), form.Has(mailField); {
	case off == on:
		form.Faults.Add(oneClickField, "must be %s; or send %s=%s instead, to get the mail again", oneClick, mailField, mailOn)
	case off && form.Value(oneClickField) != oneClick:
		form.Faults.Add(oneClickField, "must be %s", oneClick)
	case on && form.Value(mailField) != mailOn:
		form.Faults.Add(mailField, "must be %s", mailOn)
	}
	if err := form.Err(); err != nil {
		return err
	}
	sub, err := u.users.Subscribe(r.Context(), web.Param(r, "token"), form.Has(mailField))
	if err != nil {
		return err
	}
	return u.reply(w, sub)
}

// unsubscribeTexts are the texts of the page in one language.
type unsubscribeTexts struct {
	Lang string
	// The title, what the page says and its button, while the mail is on and while it is
	// off. %s is a type of mail.
	OnTitle, On, Off string
	OffTitle         string
	ToOff, ToOn      string
	Always           string
	types            map[string]string
}

var unsubscribeIn = map[string]unsubscribeTexts{
	"en": {
		Lang:    "en",
		OnTitle: "Stop this mail?", On: "You get mail about %s.", ToOff: "Unsubscribe",
		OffTitle: "Unsubscribed", Off: "You no longer get mail about %s.", ToOn: "Get this mail again",
		Always: "Mail that protects your account is always sent.",
		types: map[string]string{
			"plaudit.entry.adjusted":       "penalties and bonuses",
			"plaudit.entry.reversed":       "cancelled entries",
			"plaudit.player.changed":       "changes of your status",
			"plaudit.player.link-proposed": "proposals to link a player to you",
			"plaudit.board.period-closed":  "final results",
			user.OtherMail:                 "changes in other systems",
		},
	},
	"ko": {
		Lang:    "ko",
		OnTitle: "이 메일을 그만 받으시겠습니까?", On: "현재 ‘%s’ 메일을 받고 있습니다.", ToOff: "수신 거부",
		OffTitle: "수신 거부됨", Off: "이제 ‘%s’ 메일을 보내지 않습니다.", ToOn: "다시 받기",
		Always: "계정을 보호하기 위한 메일은 항상 발송됩니다.",
		types: map[string]string{
			"plaudit.entry.adjusted":       "점수 조정",
			"plaudit.entry.reversed":       "기록 취소",
			"plaudit.player.changed":       "상태 변경",
			"plaudit.player.link-proposed": "참가자 연결 제안",
			"plaudit.board.period-closed":  "최종 결과",
			user.OtherMail:                 "다른 시스템의 변경 사항",
		},
	},
}

func (u unsubscribe) reply(w http.ResponseWriter, sub user.Subscription) error {
	t := unsubscribeIn[sub.User.Locale]
	page := view{Lang: t.Lang, Title: t.OnTitle, Form: &form{Hidden: hidden{oneClickField, oneClick}, Button: t.ToOff}}
	says := t.On
	if !sub.On {
		page.Title, says, page.Form = t.OffTitle, t.Off, &form{Hidden: hidden{mailField, mailOn}, Button: t.ToOn}
	}
	page.Texts = paragraphs(strings.Replace(says, "%s", t.types[sub.Type], 1), t.Always)
	return page.write(w, http.StatusOK)
}

// fail renders a fault. Who reads it is not known, so a page is in both languages.
// Programs, which do not ask for HTML, get the problem.
func (u unsubscribe) fail(w http.ResponseWriter, r *http.Request, p problem.Problem) error {
	w.Header().Add("Vary", "Accept")
	if !strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "text/html") {
		return p.Write(w)
	}
	en, ko := "Your request could not be carried out. "+p.Detail, "요청을 처리하지 못했습니다."
	switch {
	case p.Status == http.StatusNotFound:
		en = "This link is not valid: it is incomplete, or its account no longer exists."
		ko = "유효하지 않은 링크입니다. 주소의 일부가 빠졌거나 계정이 삭제되었습니다."
	case p.Status == problem.Status(fault.TooManyRequests) || p.Status >= http.StatusInternalServerError:
		en = "This does not work at the moment. Please try again later."
		ko = "지금은 처리할 수 없습니다. 잠시 후 다시 시도해 주세요."
	}
	return view{Lang: "en", Title: "Plaudit", Texts: []paragraph{{Text: en}, {Lang: "ko", Text: ko}}}.write(w, p.Status)
}
