package letter

import "strings"

// otherSystem writes about an event of another system.
func (l Letter) otherSystem(w in, d *doc, rows int) {
	o := l.Other
	title, subject := foreign{headline(o.Type), maxName}, foreign{o.Subject, maxTitle}
	d.subject = w.subject("%s: %s", "%s: %s", title, subject)
	l.greet(w, d)
	f := facts{{name: w.say("About", "대상"), value: []string{subject.String()}, main: true}}
	for i, line := range o.Lines {
		if i == min(rows, maxLines) {
			f.add("…", w.say("and %s more values", "외 값 %s개", digits(uint64(len(o.Lines)-i))))
			break
		}
		none := w.say("(empty)", "(없음)")
		value := w.name(line.Value, maxValue, none).String()
		if line.From != nil {
			value = w.name(*line.From, maxValue, none).String() + " → " + value
		}
		f.add(w.name(line.Name, maxCell, w.say("Content", "내용")).String(), value)
	}
	l.said(w, &f, l.Note)
	f.add(w.say("Reported by", "보낸 시스템"), w.name(o.Source, maxName, "–").String())
	d.blocks = append(d.blocks, f)
}

// headline returns what an event's type says: Task moved of com.example.task.moved.
func headline(t string) string {
	parts := strings.FieldsFunc(t, func(r rune) bool { return r == '.' || r == '/' })
	parts = parts[max(0, len(parts)-2):]
	return upper(strings.NewReplacer("-", " ", "_", " ").Replace(strings.Join(parts, " ")))
}
