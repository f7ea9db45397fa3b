package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"plaudit/shared/event"
	"plaudit/shared/text"
)

// maxDetails is how many characters of an event's data a line shows.
const maxDetails = 500

// column separates the columns of a line. No text of an event has it.
const column = "  "

// describeEvent returns a line for people: when by their own clock, who, what, on what,
// and the data in short. The types of other systems' events are followed by their source,
// because they may have the names of ours.
func describeEvent(item json.RawMessage) (string, error) {
	var e struct {
		RecordedTime                 time.Time
		Actor, Source, Type, Subject string
		Data                         json.RawMessage
		Binary                       string `json:"data_base64"`
	}
	if err := json.Unmarshal(item, &e); err != nil {
		return "", err
	}
	who, what := e.Actor, word(e.Type)
	if who == "" {
		who = e.Source
	}
	if event.Ours(e.Source) {
		what = oneLine(strings.TrimPrefix(e.Type, "plaudit."))
	} else {
		what += " from " + word(e.Source)
	}
	line := strings.Join([]string{e.RecordedTime.Local().Format("2006-01-02 15:04:05"), oneLine(who), what, oneLine(e.Subject)}, column)
	details := describeData(e.Type, e.Data)
	if e.Binary != "" {
		details = fmt.Sprintf("%d bytes", base64.StdEncoding.DecodedLen(len(e.Binary))-strings.Count(e.Binary, "="))
	}
	if details != "" {
		line += column + cut(details)
	}
	return line, nil
}

// oneLine quotes a text that does not fit into a column as it is.
func oneLine(text string) string {
	if quoted := plain(strconv.Quote(text)); quoted != `"`+text+`"` || strings.TrimSpace(text) != text {
		return quoted
	}
	return text
}

// word quotes a text that is not one word, so that nobody takes it for the words around it.
func word(text string) string {
	if line := oneLine(text); line != text || text != "" && !strings.Contains(text, " ") {
		return line
	}
	return plain(strconv.Quote(text))
}

// plain returns a quoted text with escapes for characters that do not show, and for each
// space that follows another one, because two separate columns.
func plain(quoted string) string {
	var b strings.Builder
	last := rune(0)
	for _, r := range quoted {
		switch {
		case r != ' ' && !hidden(r), r == ' ' && last != ' ':
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		last = r
	}
	return b.String()
}

// hidden reports characters that do not show, or only change the one before.
func hidden(r rune) bool {
	return !text.Visible(r) && !unicode.IsMark(r) || unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

func cut(text string) string {
	if utf8.RuneCountInString(text) <= maxDetails {
		return text
	}
	return string([]rune(text)[:maxDetails]) + "…"
}

func describeData(kind string, data json.RawMessage) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || members == nil {
		return compact(data)
	}
	var parts []string
	if strings.HasPrefix(kind, "plaudit.entry.") {
		parts = describeEntry(members)
	} else {
		parts = describeChanges(members["changes"])
		delete(members, "changes")
		for _, name := range slices.Sorted(maps.Keys(members)) {
			parts = append(parts, word(name)+": "+compact(members[name]))
		}
	}
	return strings.Join(parts, ", ")
}

// describeChanges returns each change: from → to, or only the field's name if the event
// keeps the values to itself.
func describeChanges(changes json.RawMessage) (parts []string) {
	var names []string
	if json.Unmarshal(changes, &names) == nil {
		for _, name := range names {
			parts = append(parts, word(name)+" changed")
		}
		return parts
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(changes, &fields) != nil {
		if changes != nil {
			parts = append(parts, "changes: "+compact(changes))
		}
		return parts
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		var change map[string]json.RawMessage
		from, to := json.RawMessage(nil), json.RawMessage(nil)
		if json.Unmarshal(fields[name], &change) == nil {
			from, to = change["from"], change["to"]
		}
		switch {
		case from != nil || to != nil:
			parts = append(parts, fmt.Sprintf("%s %s → %s", word(name), orNone(from), orNone(to)))
		case change != nil && len(change) == 0:
			parts = append(parts, word(name)+" changed")
		default:
			parts = append(parts, word(name)+": "+compact(fields[name]))
		}
	}
	return parts
}

// describeEntry returns what an entry did to the player's scores.
func describeEntry(entry map[string]json.RawMessage) (parts []string) {
	if points := compact(entry["points"]); points != "" {
		if !strings.HasPrefix(points, "-") {
			points = "+" + points
		}
		parts = append(parts, points+" points")
	}
	for _, name := range []string{"reason", "note", "reverses"} {
		if value := compact(entry[name]); value != "" && value != "null" {
			parts = append(parts, name+" "+value)
		}
	}
	var standings []struct {
		Period string
		Score  *int64
	}
	if json.Unmarshal(entry["standings"], &standings) == nil {
		for _, s := range standings {
			score := "no score"
			if s.Score != nil {
				score = strconv.FormatInt(*s.Score, 10)
			}
			parts = append(parts, oneLine(s.Period)+": "+score)
		}
	}
	return parts
}

func orNone(value json.RawMessage) string {
	if text := compact(value); text != "" && text != "null" {
		return text
	}
	return "nothing"
}

// compact returns JSON in one line, with the characters of its texts as they are.
func compact(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil && len(value) > 0 && value[0] == '"' {
		return plain(strconv.Quote(text))
	}
	var line bytes.Buffer
	if json.Compact(&line, value) != nil {
		return ""
	}
	return plain(line.String())
}
