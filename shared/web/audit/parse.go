package audit

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"plaudit/shared/audit"
	"plaudit/shared/fault"
	"plaudit/shared/web"
)

// The media types of CloudEvents
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
const (
	oneEvent   = "application/cloudevents+json"
	manyEvents = "application/cloudevents-batch+json"
	plainJSON  = "application/json"
)

// read reads the events of a request in one of the modes of CloudEvents' HTTP binding
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md):
// structured, batched or binary. application/json without ce- headers is a structured
// event or a batch.
func read(r *http.Request) (in []audit.Submission, batch bool, err error) {
	media, params := "", map[string]string{}
	if types := r.Header.Values("Content-Type"); len(types) > 0 {
		if media, params, err = mime.ParseMediaType(types[0]); err != nil || len(types) > 1 {
			return nil, false, unsupported()
		}
	}
	structured := media == oneEvent || media == manyEvents
	if !structured && strings.HasPrefix(media, "application/cloudevents") {
		return nil, false, unsupported()
	}
	binary := !structured && isBinary(r.Header)
	if !structured && !binary && media != plainJSON {
		return nil, false, unsupported()
	}
	if c, ok := params["charset"]; ok && isJSON(media) && !strings.EqualFold(c, "utf-8") {
		return nil, false, fault.Field(fault.UnsupportedMediaType, "Content-Type", "JSON is always UTF-8. Leave out the charset, or set it to utf-8.")
	}
	body, err := web.Body(r)
	if err != nil {
		return nil, false, err
	}
	if binary {
		s, err := readBinary(r.Header, media, params, body)
		return []audit.Submission{s}, false, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, false, fault.Field(fault.BadRequest, "body", "is empty; it must be an event, or send ce- headers")
	}
	if err := web.CheckJSON(body); err != nil {
		return nil, false, err
	}
	switch kind := jsontext.Value(bytes.TrimSpace(body)).Kind(); {
	case kind == '{' && media != manyEvents:
		return []audit.Submission{readEvent(body, "")}, false, nil
	case kind == '[' && media != oneEvent:
		in, err := readBatch(body)
		return in, true, err
	case media == manyEvents:
		return nil, false, fault.Field(fault.BadRequest, "body", "must be a list of events")
	case media == oneEvent:
		return nil, false, fault.Field(fault.BadRequest, "body", "must be an object, which is one event; send a list as %s", manyEvents)
	}
	return nil, false, fault.Field(fault.BadRequest, "body", "must be an event or a list of events")
}

func unsupported() error {
	return fault.Field(fault.UnsupportedMediaType, "Content-Type", "Send an event as %s, a list of events as %s, either as %s, or data of any one type with the event's attributes in ce- headers.", oneEvent, manyEvents, plainJSON)
}

func isJSON(media string) bool {
	return media == plainJSON || media == "text/json" || strings.HasSuffix(media, "+json")
}

// readBatch reads a list that CheckJSON has accepted.
func readBatch(body []byte) (in []audit.Submission, err error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(body))
	dec.ReadToken()
	for dec.PeekKind() != ']' {
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		if len(in) == audit.MaxEvents {
			return nil, fault.Field(fault.BadRequest, "body", "must have at most %d events: send the rest in another request", audit.MaxEvents)
		}
		in = append(in, readEvent(value, fmt.Sprintf("[%d]", len(in))))
	}
	if len(in) == 0 {
		return nil, fault.Field(fault.BadRequest, "body", "must have at least one event")
	}
	return in, nil
}

// texts returns where an event has its attributes that are texts.
func texts(s *audit.Submission) map[string]*string {
	e := &s.Event
	return map[string]*string{
		"specversion": &s.SpecVersion, "id": &e.ID, "source": &e.Source, "type": (*string)(&e.Type), "subject": &e.Subject,
		"datacontenttype": &e.DataContentType, "dataschema": &e.DataSchema, "notify": &e.Notify, "traceparent": &e.TraceParent,
	}
}

// readEvent reads a value that CheckJSON has accepted. at is its field.
func readEvent(value jsontext.Value, at string) (s audit.Submission) {
	s.Field = func(attribute string) string {
		if attribute == "data" && s.Event.Binary != nil {
			attribute = "data_base64"
		}
		return strings.TrimPrefix(at+"."+attribute, ".")
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(value))
	if dec.PeekKind() != '{' {
		s.Faults.Add(at, "must be an object, which is one event")
		return s
	}
	dec.ReadToken()
	known := texts(&s)
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			break // CheckJSON has seen all of it
		}
		name := token.String()
		value, err := dec.ReadValue()
		if err != nil {
			break
		}
		kind, text := value.Kind(), ""
		if kind == '"' {
			unquoted, _ := jsontext.AppendUnquote(nil, value)
			text = string(unquoted)
		}
		to := known[name]
		switch {
		case name == "data":
			s.Event.JSON, s.DataSize = bytes.Clone(value), max(s.DataSize, len(value))
		case name == "data_base64":
			decoded, err := base64.StdEncoding.Strict().DecodeString(text)
			if kind != '"' || err != nil || strings.ContainsAny(text, "\r\n") {
				s.Faults.Add(s.Field(name), "must be a string in base64 (RFC 4648, section 4)")
				continue
			}
			s.Event.Binary, s.DataSize = decoded, max(s.DataSize, len(decoded))
		case kind == 'n': // means that the attribute is absent
		case (to != nil || name == "time") && kind != '"':
			s.Faults.Add(s.Field(name), "must be a string")
		case to != nil && text == "":
			s.Faults.Add(s.Field(name), "must not be empty: leave it out instead")
		case to != nil:
			*to = text
		case name == "time":
			setTime(&s, text)
		default:
			extend(&s, name, value)
		}
	}
	if s.Event.JSON != nil && s.Event.Binary != nil {
		s.Faults.Add(s.Field("data_base64"), "must not be sent together with data")
		s.Event.Binary = nil
	}
	return s
}

func setTime(s *audit.Submission, text string) {
	var ok bool
	if s.Event.Time, ok = web.ParseTime(text); !ok {
		s.Faults.Add(s.Field("time"), "must be a time such as 2026-04-05T09:30:00Z (RFC 3339)")
	}
}

// extend adds an attribute that is not a CloudEvent's own. Its value is a string, a
// boolean or an integer of 32 bits
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#type-system).
func extend(s *audit.Submission, name string, value jsontext.Value) {
	var v any
	switch value.Kind() {
	case '"':
		text, _ := jsontext.AppendUnquote(nil, value)
		v = string(text)
	case 't', 'f':
		v = value.Kind() == 't'
	case '0':
		n, err := strconv.ParseInt(string(value), 10, 32)
		if err != nil {
			s.Faults.Add(s.Field(name), "must be a string, true, false or a whole number of 32 bits: put other values into data")
			return
		}
		v = int32(n)
	default:
		s.Faults.Add(s.Field(name), "must be a string, true, false or a whole number of 32 bits: put other values into data")
		return
	}
	keep(s, name, v)
}

// keep keeps an extension. It keeps one more than there may be, so that the check of
// their number fails.
func keep(s *audit.Submission, name string, v any) {
	if len(s.Event.Extensions) > audit.MaxExtensions {
		return
	}
	if s.Event.Extensions == nil {
		s.Event.Extensions = map[string]any{}
	}
	s.Event.Extensions[name] = v
}

// prefix begins the names of headers that are attributes.
const prefix = "Ce-"

func isBinary(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// readBinary reads an event whose attributes are headers and whose data is the body. All
// of its extensions are texts, because headers have no types.
func readBinary(h http.Header, media string, params map[string]string, body []byte) (s audit.Submission, err error) {
	s.Field = func(attribute string) string {
		switch attribute {
		case "data":
			return "body"
		case "datacontenttype":
			return "Content-Type"
		}
		return strings.ToLower(prefix) + attribute
	}
	known := texts(&s)
	delete(known, "datacontenttype")
	for _, name := range slices.Sorted(maps.Keys(h)) {
		attribute, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		attribute = strings.ToLower(attribute)
		field := s.Field(attribute)
		if len(h[name]) > 1 {
			s.Faults.Add(field, "appears more than once")
			continue
		}
		text, ok := headerText(h[name][0])
		to := known[attribute]
		switch {
		case !ok:
			s.Faults.Add(field, "must be percent-encoded UTF-8: write %% as %%25")
		case attribute == "datacontenttype" || attribute == "data" || attribute == "data_base64":
			s.Faults.Add("ce-"+attribute, "is not sent as a header: the body is the data, and Content-Type its type")
		case text == "":
			s.Faults.Add(field, "must not be empty: leave it out instead")
		case attribute == "time":
			setTime(&s, text)
		case to != nil:
			*to = text
		default:
			keep(&s, attribute, text)
		}
	}
	s.Event.DataContentType, s.DataSize = h.Get("Content-Type"), len(body)
	switch {
	case len(body) == 0:
	case isJSON(media):
		if len(body) <= audit.MaxData {
			if err := web.CheckJSON(body); err != nil {
				return s, err
			}
		}
		s.Event.JSON = body
	case strings.HasPrefix(media, "text/") && isUTF8(params) && utf8.Valid(body):
		if bytes.IndexByte(body, 0) >= 0 {
			s.Faults.Add(s.Field("data"), "must not contain NUL, because it is text: remove it, or send the data as application/octet-stream")
		}
		s.Event.JSON, err = jsontext.AppendQuote(nil, string(body))
	default:
		s.Event.Binary = body
	}
	return s, err
}

func isUTF8(params map[string]string) bool {
	c, ok := params["charset"]
	return !ok || strings.EqualFold(c, "utf-8") || strings.EqualFold(c, "us-ascii")
}

// headerText decodes an attribute in a header: it may be quoted, and everything but
// printable ASCII is percent-encoded.
func headerText(value string) (string, bool) {
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		var plain strings.Builder
		for i := 1; i < n-1; i++ {
			if value[i] == '\\' && i+1 < n-1 {
				i++
			}
			plain.WriteByte(value[i])
		}
		value = plain.String()
	}
	text, err := url.PathUnescape(value)
	return text, err == nil && utf8.ValidString(text)
}
