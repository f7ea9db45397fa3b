package letter

import "strings"

// layText lays the letter out as plain text: one line for each value, because mail
// clients wrap lines themselves and show text in a proportional font.
func (d doc) layText() string {
	var b strings.Builder
	b.WriteString(d.title + "\n\n")
	for _, block := range d.blocks {
		block.text(&b)
		b.WriteString("\n")
	}
	b.WriteString("--\n")
	for _, s := range d.foot {
		b.WriteString(s + "\n")
	}
	if d.stop.url != "" {
		b.WriteString(d.stop.words + ":\n" + d.stop.url + "\n")
	}
	return b.String()
}

func (p para) text(b *strings.Builder) { b.WriteString(string(p) + "\n") }

func (l button) text(b *strings.Builder) { b.WriteString(l.words + ":\n" + l.url + "\n") }

// text quotes a value of several lines, such as a note, so that none of them looks
// like a line of the letter.
func (f facts) text(b *strings.Builder) {
	for _, f := range f {
		b.WriteString(f.name + ":")
		if len(f.value) == 1 {
			b.WriteString(" " + f.value[0])
			if f.of != "" {
				b.WriteString(" (" + f.of + ")")
			}
			b.WriteString("\n")
			continue
		}
		b.WriteString("\n")
		for _, line := range f.value {
			b.WriteString("> " + line + "\n")
		}
	}
}

func (t table) text(b *strings.Builder) {
	b.WriteString(t.title + ":\n")
	for _, r := range t.rows {
		var parts []string
		for _, cell := range r.cells {
			parts = append(parts, cell...)
		}
		b.WriteString("- " + strings.Join(parts, " · ") + "\n")
	}
	if t.more != "" {
		b.WriteString(t.more + "\n")
	}
}
