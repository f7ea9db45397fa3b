package letter

import "strings"

// Render returns the mail, or an error that describes what the letter lacks to be
// truthful.
func (l Letter) Render() (Mail, error) {
	if err := l.check(); err != nil {
		return Mail{}, err
	}
	rows := maxRows
	for {
		d := l.compose(rows)
		m := Mail{Subject: d.subject, Text: d.layText(), HTML: d.layHTML()}
		if len(m.HTML) <= maxSize || rows == 0 {
			return m, nil
		}
		rows /= 2
	}
}

// maxRows is how many entries of a batch, scores, and lines of other systems' data a
// mail shows one by one.
const maxRows = 50

// maxSize is the maximum size of a mail's HTML, in bytes, as long as fewer rows make it
// smaller: Gmail does not show what is beyond 102 kB.
const maxSize = 90_000

// compose writes the letter in its reader's language. It has at most that many
// rows.
func (l Letter) compose(rows int) doc {
	w := in{ko: l.Locale == "ko", zone: l.Zone}
	d := doc{lang: l.Locale}
	switch l.Kind {
	case Adjusted, Reversed:
		if len(l.Entries) == 1 {
			l.corrected(w, &d, rows)
		} else {
			l.batch(w, &d, rows)
		}
	case PlayerChanged:
		l.playerChanged(w, &d)
	case PlayerErased:
		l.playerErased(w, &d)
	case LinkProposed:
		l.linkProposed(w, &d)
	case LinkEnded:
		l.linkEnded(w, &d)
	case PeriodClosed:
		l.periodClosed(w, &d)
	case Foreign:
		l.otherSystem(w, &d, rows)
	default:
		l.account(w, &d)
	}
	if d.title == "" {
		d.title = d.subject
	}
	l.foot(w, &d)
	return d
}

// foot says why the reader gets the mail and how to stop it.
func (l Letter) foot(w in, d *doc) {
	switch {
	case l.Unsubscribe != "":
		d.foot = append(d.foot, w.say("You receive this mail because the change concerns you.", "회원님과 관련된 변경이 있어 보내 드리는 메일입니다."))
		d.stop = link{w.say("Unsubscribe from mail like this", "이런 메일 수신 거부"), l.Unsubscribe}
	case l.Kind == Verify:
		d.foot = append(d.foot, w.say("This mail was sent because somebody entered this address.", "누군가 이 주소를 입력하여 발송된 메일입니다."))
	case l.Kind == Reset:
		d.foot = append(d.foot, w.say("This mail was sent because somebody asked for a new password.", "비밀번호 재설정 요청이 있어 발송된 메일입니다."))
	case l.Kind == PlayerErased || l.Kind == LinkEnded:
		d.foot = append(d.foot, w.say("Mail about your personal data cannot be switched off.", "개인정보에 관한 메일은 수신을 거부할 수 없습니다."))
	default:
		d.foot = append(d.foot, w.say("Mail that protects your account cannot be switched off.", "계정 보호를 위한 메일은 수신을 거부할 수 없습니다."))
	}
}

// subject writes a subject of at most maxSubject graphemes. It cuts the texts that
// other people wrote, the longest first.
func (w in) subject(en, ko string, args ...any) string {
	for limit := maxSubject; ; limit-- {
		s := w.say(en, ko, args...)
		if length(s) <= maxSubject && len(s) <= 16*maxSubject {
			return s
		}
		if limit == 1 { // our own words are too long
			return isolate(strings.NewReplacer("\u2068", "", "\u2069", "").Replace(clip(s, maxSubject)))
		}
		for i, a := range args {
			if f, ok := a.(foreign); ok {
				args[i] = foreign{f.text, min(f.max, limit)}
			}
		}
	}
}

const maxSubject = 70

// greet begins a letter. The name is the reader's own, which others cannot choose.
func (l Letter) greet(w in, d *doc) {
	if name := (foreign{l.Reader, maxName}).String(); name != "" {
		d.blocks = append(d.blocks, para(w.say("Hello %s,", "%s 님, 안녕하세요.", name)))
	}
}

func (d *doc) say(s string) { d.blocks = append(d.blocks, para(s)) }

// name returns a text of other people, or another if it shows nothing.
func (w in) name(s string, max int, or string) foreign {
	if f := (foreign{s, max}); f.String() != "" {
		return f
	}
	return foreign{or, max}
}

func (w in) board(b Board) foreign { return w.name(b.Title, maxTitle, b.ID) }

func (w in) player(s string) foreign {
	return w.name(s, maxName, w.say("without a name", "이름 없음"))
}

func (f *facts) add(name, value string) { *f = append(*f, fact{name: name, value: []string{value}}) }

// said adds who did it, when and why.
func (l Letter) said(w in, f *facts, why string) {
	l.by(w, f)
	f.add(w.say("When", "일시"), w.when(l.At))
	if lines := note(why); len(lines) > 0 {
		*f = append(*f, fact{name: w.say("Why", "사유"), value: lines})
	}
}

func (l Letter) by(w in, f *facts) {
	actor := foreign{l.Actor, maxName}.String()
	switch {
	case l.ByKey:
		f.add(w.say("By", "처리자"), w.say("a program with an API key", "API 키를 사용하는 프로그램"))
	case actor != "":
		f.add(w.say("By", "처리자"), actor)
	}
}

// change returns the change of a field that has a new value.
func (l Letter) change(field string) (Change, bool) {
	for _, c := range l.Changes {
		if c.Field == field && c.To != "" {
			return c, true
		}
	}
	return Change{}, false
}

// arrow writes what a value was and is.
func arrow(from, to string) string {
	if from == "" {
		return to
	}
	return from + " → " + to
}
