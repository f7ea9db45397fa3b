package letter

import "strings"

// doc is a letter in its reader's language, before it is laid out as text and as
// HTML. Its texts are safe to show; the layouts only escape them.
type doc struct {
	lang    string
	subject string
	title   string
	blocks  []block
	foot    []string
	stop    link // unsubscribes; zero for none
}

// block is a part of a letter, from top to bottom.
type block interface {
	html() node
	text(*strings.Builder)
}

// para is a paragraph.
type para string

// facts is what changed, by name.
type facts []fact

// fact is a name and its value.
type fact struct {
	name  string
	value []string // lines
	of    string   // what the value belongs to, such as a period; "" for nothing in particular
	main  bool     // what the reader looks for first
}

// table is a list of things with the same columns. The last column is a number, and
// set to the right.
type table struct {
	title string
	head  []string
	rows  []row
	more  string // about the rows that were left out; "" for none
}

// row is a row of a table. Each cell has a line, and smaller lines below it.
type row struct {
	cells [][]string
	main  bool // the reader's own
}

// button is the link that the reader is asked to use.
type button struct{ link }

// link is a link to one of our own pages.
type link struct{ words, url string }
