package eventbridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// input is what a target is sent instead of the event: the constant, what is at the
// path, or what the transformer makes; the event if all are unset.
type input struct {
	constant    []byte
	path        path
	transformer *transformer
}

// errInvalidJSON is the error of an input that is not JSON because of the event.
var errInvalidJSON = errors.New("the input for the target is not valid JSON")

// of returns the input for an event that a rule matched.
func (i input) of(event []byte, r *rule, received time.Time) ([]byte, error) {
	switch {
	case i.constant != nil:
		return i.constant, nil
	case i.path == nil && i.transformer == nil:
		return event, nil
	}
	value, err := decode(event)
	if err != nil {
		return nil, err
	}
	if i.transformer != nil {
		return i.transformer.render(event, value, r, received)
	}
	found, ok := i.path.in(value)
	if !ok {
		return nil, fmt.Errorf("%w: the event has nothing at InputPath", errInvalidJSON)
	}
	return encode(found), nil
}

func decode(text []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return value, decoder.Decode(&value)
}

// encode returns a decoded value as JSON that is no longer than it must be.
func encode(value any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // decoded JSON and structs of text only
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// path is a JSON path: names of objects' members, indexes of lists, or wildcards.
type path []step

type step struct {
	name  string
	index int // -1: name; -2: every member or item
}

const (
	byName   = -1
	everyone = -2
)

var stepPattern = regexp.MustCompile(`^(?:\.([A-Za-z0-9_/\-]+)|\.?\[([0-9]{1,9})\]|(\.\*|\.?\[\*\]))`)

// parsePath parses the paths that EventBridge knows: $, dots, indexes and wildcards.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
func parsePath(text string) (path, error) {
	rest, ok := strings.CutPrefix(text, "$")
	out := path{}
	for ok && rest != "" {
		m := stepPattern.FindStringSubmatch(rest)
		if m == nil {
			ok = false
			break
		}
		rest = rest[len(m[0]):]
		switch {
		case m[3] != "":
			out = append(out, step{index: everyone})
		case m[2] != "":
			n, err := strconv.Atoi(m[2])
			if err != nil {
				return nil, err
			}
			out = append(out, step{index: n})
		default:
			out = append(out, step{name: m[1], index: byName})
		}
	}
	if !ok || len(text) > 256 {
		return nil, fmt.Errorf("%q must be a JSON path such as $.detail.items[0].name, of at most 256 characters", text)
	}
	return out, nil
}

// in returns what is at the path in a decoded document.
func (p path) in(value any) (found any, ok bool) {
	for i, s := range p {
		if s.index == everyone {
			var out []any
			for _, one := range children(value) {
				if found, ok := p[i+1:].in(one); ok {
					out = append(out, found)
				}
			}
			return out, out != nil
		}
		if s.index >= 0 {
			list, _ := value.([]any)
			if s.index >= len(list) {
				return nil, false
			}
			value = list[s.index]
			continue
		}
		m, _ := value.(map[string]any)
		if value, ok = m[s.name]; !ok {
			return nil, false
		}
	}
	return value, true
}

func children(value any) []any {
	switch v := value.(type) {
	case []any:
		return v
	case map[string]any:
		var out []any
		for _, name := range slices.Sorted(maps.Keys(v)) {
			out = append(out, v[name])
		}
		return out
	}
	return nil
}

// transformer is an InputTransformer.
type transformer struct {
	paths    map[string]path
	template string
	isJSON   bool // not plain text
}

// variable is a placeholder of a template.
var variable = regexp.MustCompile(`<[A-Za-z0-9_.\-]+>`)

// The variables that need no path.
const (
	ruleARN       = "aws.events.rule-arn"
	ruleName      = "aws.events.rule-name"
	ingestionTime = "aws.events.event.ingestion-time"
	bareEvent     = "aws.events.event"
	wholeEvent    = "aws.events.event.json"
)

var predefined = []string{ruleARN, ruleName, ingestionTime, bareEvent, wholeEvent}

// Limits of a transformer.
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_InputTransformer.html
const (
	maxPaths    = 100
	maxTemplate = 8192
)

func parseTransformer(paths map[string]string, template string) (*transformer, []field) {
	t := &transformer{paths: map[string]path{}, template: template}
	t.isJSON = strings.HasPrefix(strings.TrimSpace(template), "{") || strings.HasPrefix(strings.TrimSpace(template), "[") || strings.HasPrefix(strings.TrimSpace(template), `"`)
	var wrong []field
	if len(paths) > maxPaths {
		wrong = append(wrong, field{"InputPathsMap", fmt.Errorf("it must have at most %d variables, not %d", maxPaths, len(paths))})
	}
	if template == "" || len(template) > maxTemplate {
		wrong = append(wrong, field{"InputTemplate", fmt.Errorf("it must have between 1 and %d characters", maxTemplate)})
	}
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		if strings.HasPrefix(strings.ToLower(name), "aws.") || !variable.MatchString("<"+name+">") {
			wrong = append(wrong, field{"InputPathsMap." + name, errors.New("a name must be letters, digits, dots, dashes and underscores, and those that begin with aws. are reserved")})
		}
		p, err := parsePath(paths[name])
		if err != nil {
			wrong = append(wrong, field{"InputPathsMap." + name, err})
		}
		t.paths[name] = p
	}
	values := map[string]value{}
	for _, name := range predefined {
		values[name] = value{json: []byte("null")}
	}
	for _, placeholder := range variable.FindAllString(template, -1) {
		name := strings.Trim(placeholder, "<>")
		if _, ok := values[name]; ok {
			continue
		}
		if _, ok := t.paths[name]; !ok {
			wrong = append(wrong, field{"InputTemplate", fmt.Errorf("the variable %s has no path in InputPathsMap", placeholder)})
		}
		values[name] = value{json: []byte("null")}
	}
	if t.isJSON && len(wrong) == 0 && !json.Valid([]byte(t.fill(values))) {
		wrong = append(wrong, field{"InputTemplate", errors.New("it must be JSON, in which variables without quotes are values, or text that begins with none of { [ and \"")})
	}
	return t, wrong
}

// value is what stands for a variable. text is set for text, json for everything.
type value struct {
	text *string
	json []byte
}

func valueOf(v any) value {
	out := value{json: encode(v)}
	if text, ok := v.(string); ok {
		out.text = &text
	}
	return out
}

// render returns the template with the values of an event.
func (t *transformer) render(event []byte, decoded any, r *rule, received time.Time) ([]byte, error) {
	values := map[string]value{
		ruleARN: valueOf(r.arn), ruleName: valueOf(r.name), ingestionTime: valueOf(received.UTC().Format(time.RFC3339)),
		wholeEvent: {json: event},
	}
	if m, ok := decoded.(map[string]any); ok {
		m = maps.Clone(m)
		delete(m, "detail")
		values[bareEvent] = valueOf(m)
	}
	for name, p := range t.paths {
		if found, ok := p.in(decoded); ok {
			values[name] = valueOf(found)
		}
	}
	out := []byte(t.fill(values))
	if t.isJSON && !json.Valid(out) {
		return nil, fmt.Errorf("%w: a value of the event breaks the InputTemplate", errInvalidJSON)
	}
	return out, nil
}

// fill puts values into the template. Outside of quotes of a JSON template a value is
// JSON, and null if there is none. In quotes and in plain text it is text without
// escapes, as in the service, of lists and objects in quotes JSON without its quotes,
// and nothing if there is none.
func (t *transformer) fill(values map[string]value) string {
	var out strings.Builder
	quoted := false
	for rest := t.template; rest != ""; {
		if rest[0] == '<' {
			if at := variable.FindStringIndex(rest); at != nil && at[0] == 0 {
				v, ok := values[rest[1:at[1]-1]]
				rest = rest[at[1]:]
				switch {
				case t.isJSON && !quoted && !ok:
					out.WriteString("null")
				case t.isJSON && !quoted:
					out.Write(v.json)
				case !ok:
				case v.text != nil:
					out.WriteString(*v.text)
				case t.isJSON:
					out.Write(bytes.ReplaceAll(v.json, []byte(`"`), nil))
				default:
					out.Write(v.json)
				}
				continue
			}
		}
		n := 1
		switch {
		case rest[0] == '"':
			quoted = !quoted
		case rest[0] == '\\' && quoted && len(rest) > 1:
			n = 2
		}
		out.WriteString(rest[:n])
		rest = rest[n:]
	}
	return out.String()
}
