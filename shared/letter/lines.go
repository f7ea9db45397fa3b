package letter

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// Lines returns what the data of another system's event tells, in the order of the
// data: a line for each value, with the names of the objects around it, and one line
// for an object of only from and to, which is a change. Data that is not JSON is one
// line of text.
func Lines(data []byte) []Line {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := value(dec, 0)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		return []Line{{Value: string(data)}}
	}
	return v.lines("", nil)
}

// maxDepth is how many objects and lists of the data a letter looks into.
const maxDepth = 32

// maxData is how many lines are made of the data, and maxDataName how long the name of one
// is, in bytes. A letter shows less. A name is repeated for each value in its object.
const maxData, maxDataName = 1000, 1000

var errTooDeep = errors.New("too many nested values")

// tree is a JSON value: fields of an object, items of a list, or a text.
type tree struct {
	names []string // of an object
	items []tree   // of an object and a list
	text  string   // of another value; "" for null
	kind  json.Delim
}

func value(dec *json.Decoder, depth int) (tree, error) {
	token, err := dec.Token()
	if err != nil {
		return tree{}, err
	}
	open, ok := token.(json.Delim)
	switch {
	case !ok:
		return tree{text: scalar(token)}, nil
	case depth == maxDepth:
		return tree{}, errTooDeep
	}
	n := tree{kind: open}
	for dec.More() {
		if open == '{' {
			name, err := dec.Token()
			if err != nil {
				return tree{}, err
			}
			n.names = append(n.names, name.(string))
		}
		item, err := value(dec, depth+1)
		if err != nil {
			return tree{}, err
		}
		n.items = append(n.items, item)
	}
	_, err = dec.Token() // the end of the object or list
	return n, err
}

// scalar returns a number as it is written in the data.
func scalar(token json.Token) string {
	switch v := token.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return ""
}

func (n tree) lines(name string, to []Line) []Line {
	if from, now, ok := n.change(); ok {
		was := from.flat()
		return append(to, Line{Name: name, From: &was, Value: now.flat()})
	}
	if n.kind != '{' {
		return append(to, Line{Name: name, Value: n.flat()})
	}
	for i, inner := range n.names {
		if len(to) >= maxData {
			break
		}
		switch {
		case name != "":
			if inner = name + " / " + inner; len(inner) > maxDataName {
				inner = strings.ToValidUTF8(inner[:maxDataName], "")
			}
		case inner == "changes" && n.items[i].kind == '{':
			inner = "" // its fields are what changed
		}
		to = n.items[i].lines(inner, to)
	}
	return to
}

// change returns what changed if the value is an object of only from and to.
func (n tree) change() (from, to tree, ok bool) {
	if n.kind != '{' || len(n.names) != 2 {
		return tree{}, tree{}, false
	}
	switch {
	case n.names[0] == "from" && n.names[1] == "to":
		return n.items[0], n.items[1], true
	case n.names[0] == "to" && n.names[1] == "from":
		return n.items[1], n.items[0], true
	}
	return tree{}, tree{}, false
}

// flat returns the value on one line.
func (n tree) flat() string {
	if n.kind == 0 {
		return n.text
	}
	parts := make([]string, len(n.items))
	for i, item := range n.items {
		parts[i] = item.flat()
		if n.kind == '{' {
			parts[i] = n.names[i] + ": " + parts[i]
		}
	}
	return strings.Join(parts, ", ")
}
