package event

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// attributes are the names that Encode writes itself, so that no extension may have
// them.
var attributes = []string{
	"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema",
	"recordedtime", "logid", "actor", "notify", "traceparent", "subjectseq", "data", "data_base64",
}

// Encode returns the event as one JSON document without white space of its own: the
// attributes in a fixed order, then the extensions by name, then the data byte for byte. Equal
// events have equal documents. What is empty is left out.
func (e Event) Encode() ([]byte, error) {
	if e.JSON != nil && e.Binary != nil {
		return nil, errors.New("an event has either JSON or binary data")
	}
	w := writer{out: make([]byte, 0, 512+len(e.JSON)+2*len(e.Binary))}
	w.text("specversion", "1.0")
	w.text("id", e.ID)
	w.text("source", e.Source)
	w.text("type", string(e.Type))
	w.text("subject", e.Subject)
	w.time("time", e.Time)
	w.text("datacontenttype", e.DataContentType)
	w.text("dataschema", e.DataSchema)
	w.time("recordedtime", e.RecordedTime)
	w.text("logid", e.LogID)
	w.text("actor", e.Actor)
	w.text("notify", e.Notify)
	w.text("traceparent", e.TraceParent)
	if e.SubjectSeq != 0 {
		w.value("subjectseq", fmt.Append(nil, e.SubjectSeq))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Extensions)) {
		if slices.Contains(attributes, name) {
			return nil, fmt.Errorf("%q is an attribute and cannot be an extension", name)
		}
		switch v := e.Extensions[name].(type) {
		case string:
			w.quoted(name, v)
		case bool, int32:
			w.value(name, fmt.Append(nil, v))
		default:
			return nil, fmt.Errorf("the extension %q must be a string, a bool or an int32, not %T", name, v)
		}
	}
	if e.JSON != nil {
		if !jsontext.Value(e.JSON).IsValid() {
			return nil, errors.New("the data is not valid JSON")
		}
		w.value("data", e.JSON)
	}
	if e.Binary != nil {
		w.quoted("data_base64", base64.StdEncoding.EncodeToString(e.Binary))
	}
	if w.err != nil {
		return nil, w.err
	}
	return append(w.out, '}'), nil
}

type writer struct {
	out []byte
	err error
}

func (w *writer) value(name string, value []byte) {
	if len(w.out) == 0 {
		w.out = append(w.out, '{')
	} else {
		w.out = append(w.out, ',')
	}
	w.quote(name)
	w.out = append(append(w.out, ':'), value...)
}

func (w *writer) quoted(name, text string) {
	w.value(name, nil)
	w.quote(text)
}

func (w *writer) text(name, text string) {
	if text != "" {
		w.quoted(name, text)
	}
}

func (w *writer) time(name string, at time.Time) {
	if at.IsZero() {
		return
	}
	if year := at.UTC().Year(); (year < 0 || year > 9999) && w.err == nil {
		w.err = fmt.Errorf("%s is in the year %d, which RFC 3339 cannot write", name, year)
	}
	w.quoted(name, at.UTC().Format(time.RFC3339Nano))
}

func (w *writer) quote(text string) {
	out, err := jsontext.AppendQuote(w.out, text)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("encode an event: %w", err)
	}
	w.out = out
}

// Decode returns the event of a document that Encode returned.
func Decode(doc []byte) (Event, error) {
	e, err := decode(doc)
	if err != nil {
		return Event{}, fmt.Errorf("decode an event: %w", err)
	}
	return e, nil
}

func decode(doc []byte) (e Event, err error) {
	dec := jsontext.NewDecoder(bytes.NewReader(doc))
	if dec.PeekKind() != '{' {
		return e, errors.New("it is not a JSON object")
	}
	if _, err := dec.ReadToken(); err != nil {
		return e, err
	}
	texts := map[string]*string{
		"id": &e.ID, "source": &e.Source, "type": (*string)(&e.Type), "subject": &e.Subject, "datacontenttype": &e.DataContentType,
		"dataschema": &e.DataSchema, "logid": &e.LogID, "actor": &e.Actor, "notify": &e.Notify, "traceparent": &e.TraceParent,
	}
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			return e, err
		}
		name := token.String()
		if name == "data" {
			// Not ReadValue, which drops the white space before the value: the data ends
			// the document.
			at := dec.InputOffset()
			if _, err := dec.ReadValue(); err != nil {
				return e, err
			}
			rest := bytes.TrimSpace(doc[dec.InputOffset():])
			if string(rest) != "}" || e.Binary != nil {
				return e, errors.New("the data does not end the document, or is not the only data")
			}
			begin := bytes.IndexByte(doc[at:], ':')
			e.JSON = bytes.Clone(doc[int(at)+begin+1 : bytes.LastIndexByte(doc, '}')])
			return e, nil
		}
		if token, err = dec.ReadToken(); err != nil {
			return e, err
		}
		text := ""
		if token.Kind() == '"' {
			text = token.String()
		}
		switch to := texts[name]; {
		case name == "subjectseq" && token.Kind() == '0':
			e.SubjectSeq, err = token.Int()
		case slices.Contains(attributes, name) && token.Kind() != '"':
			err = fmt.Errorf("has the wrong type, %s", token.Kind())
		case to != nil:
			*to = text
		case name == "specversion":
			if text != "1.0" {
				err = errors.New("must be 1.0")
			}
		case name == "time":
			e.Time, err = parseTime(text)
		case name == "recordedtime":
			e.RecordedTime, err = parseTime(text)
		case name == "subjectseq":
			err = errors.New("must be an integer")
		case name == "data_base64":
			e.Binary, err = base64.StdEncoding.DecodeString(text)
		default:
			if e.Extensions == nil {
				e.Extensions = map[string]any{}
			}
			e.Extensions[name], err = extension(token)
		}
		if err != nil {
			return e, fmt.Errorf("%s: %w", name, err)
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return e, err
	}
	if len(bytes.TrimSpace(doc[dec.InputOffset():])) > 0 {
		return e, errors.New("something follows the document")
	}
	return e, nil
}

func parseTime(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	return at.UTC(), err
}

func extension(token jsontext.Token) (any, error) {
	switch token.Kind() {
	case '"':
		return token.String(), nil
	case 't', 'f':
		return token.Bool(), nil
	case '0':
		n, err := token.Int()
		if err == nil && (n < math.MinInt32 || n > math.MaxInt32) {
			err = errors.New("is out of range")
		}
		return int32(n), err
	}
	return nil, errors.New("must be a string, a boolean or an integer")
}
