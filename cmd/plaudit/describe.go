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
	"unicode/utf8"
)

// maxDetails is how many characters of an event's data a line shows.
const maxDetails = 500

// describeEvent returns a line for people: when by their own clock, who, what, on what,
// and the data in short.
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
	who := e.Actor
	if who == "" {
		who = e.Source
	}
	line := strings.Join([]string{
		e.RecordedTime.Local().Format("2006-01-02 15:04:05"), oneLine(who), oneLine(strings.TrimPrefix(e.Type, "plaudit.")), oneLine(e.Subject),
	}, "  ")
	details := describeData(e.Type, e.Data)
	if e.Binary != "" {
		details = fmt.Sprintf("%d bytes", base64.StdEncoding.DecodedLen(len(e.Binary))-strings.Count(e.Binary, "="))
	}
	if details != "" {
		line += "  " + cut(details)
	}
	return line, nil
}

// oneLine quotes a text that does not fit into a line.
func oneLine(text string) string {
	if quoted := strconv.Quote(text); quoted != `"`+text+`"` {
		return quoted
	}
	return text
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
			parts = append(parts, oneLine(name)+": "+compact(members[name]))
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
			parts = append(parts, oneLine(name)+" changed")
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
			parts = append(parts, fmt.Sprintf("%s %s → %s", oneLine(name), orNone(from), orNone(to)))
		case change != nil && len(change) == 0:
			parts = append(parts, oneLine(name)+" changed")
		default:
			parts = append(parts, oneLine(name)+": "+compact(fields[name]))
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
		return strconv.Quote(text)
	}
	var line bytes.Buffer
	if json.Compact(&line, value) != nil {
		return ""
	}
	return line.String()
}
