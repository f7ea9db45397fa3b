package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"plaudit/shared/fault"
)

// MaxBody is how long a request's body may be, in bytes. The load balancer
// allows a function about as much with everything around it.
const MaxBody = 1_000_000

// Optional tells a field that is absent from one that is null.
type Optional[T any] struct {
	Set   bool // the field is there
	Null  bool // and it is null
	Value T
}

// present notes that the field is there and gives the place for its value.
func (o *Optional[T]) present(null bool) any {
	o.Set, o.Null = true, null
	return &o.Value
}

type optional interface{ present(null bool) any }

// decode reads a request's JSON body into a T. It takes exactly what T
// declares: an unknown or repeated field, a wrong type, a number with a
// fraction for an integer, text that is no UTF-8 or holds a NUL, and data
// after the end are faults that name the field, all of them together as far as
// the body can be read. A field that is absent stays zero.
func decode[T any](r *http.Request) (T, error) {
	var v T
	body, err := readBody(r)
	if err != nil {
		return v, err
	}
	if err := scan(body); err != nil {
		return v, err
	}
	var faults fault.List
	fill(reflect.ValueOf(&v).Elem(), body, "", &faults)
	return v, faults.Err()
}

func readBody(r *http.Request) ([]byte, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" || len(r.Header.Values("Content-Type")) != 1 {
		return nil, fault.Field(fault.UnsupportedMediaType, "Content-Type", "Send the body as `Content-Type: application/json`.")
	}
	if c, ok := params["charset"]; ok && !strings.EqualFold(c, "utf-8") {
		return nil, fault.Field(fault.UnsupportedMediaType, "Content-Type", "JSON is UTF-8; leave the charset out.")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" {
		return nil, fault.Field(fault.UnsupportedMediaType, "Content-Encoding", "Send the body without a content encoding.")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		return nil, fault.Field(fault.BadRequest, "body", "could not be read to its end")
	}
	if len(body) > MaxBody {
		return nil, fault.Field(fault.TooLarge, "body", "A body may have %d bytes.", MaxBody)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, fault.Field(fault.BadRequest, "body", "is empty, and must be a JSON object")
	}
	return body, nil
}

// scan reads the whole text once for what no field's type can allow: bad
// syntax, names that repeat, text that is no UTF-8 (lone surrogates too), NUL.
func scan(body []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		at := dec.StackPointer()
		tok, err := dec.ReadToken()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return syntaxFault(err, at)
		}
		if tok.Kind() == '"' && strings.ContainsRune(tok.String(), 0) {
			return fault.Field(fault.BadRequest, orBody(path(dec.StackPointer())), "must not hold the character NUL")
		}
		if dec.StackDepth() == 0 {
			// One value is the whole body.
			if _, err := dec.ReadToken(); err != io.EOF {
				return fault.Field(fault.BadRequest, "body", "goes on after the end of its JSON value")
			}
			return nil
		}
	}
}

func syntaxFault(err error, at jsontext.Pointer) error {
	var s *jsontext.SyntacticError
	if !errors.As(err, &s) {
		return fault.Field(fault.BadRequest, "body", "is not JSON")
	}
	if s.JSONPointer != "" {
		at = s.JSONPointer
	}
	field := orBody(path(at))
	if errors.Is(s.Err, jsontext.ErrDuplicateName) {
		return fault.Field(fault.BadRequest, field, "stands there twice")
	}
	if errors.Is(s.Err, io.ErrUnexpectedEOF) {
		return fault.Field(fault.BadRequest, field, "ends in the middle (byte %d)", s.ByteOffset)
	}
	return fault.Field(fault.BadRequest, field, "is not valid JSON at byte %d: %s", s.ByteOffset, strings.TrimPrefix(s.Err.Error(), "jsontext: "))
}

func orBody(p string) string {
	if p == "" {
		return "body"
	}
	return p
}

// path turns a JSON pointer into the form in which faults name fields:
// `entries[1].reason`. A number is taken for an index, which a pointer does
// not tell from a name; names that are numbers are rare and still readable.
func path(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		if token != "" && strings.Trim(token, "0123456789") == "" {
			fmt.Fprintf(&b, "[%s]", token)
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(token)
	}
	return b.String()
}

func child(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[jsontext.Value]()
)

// fill puts one JSON value, which scan has passed, into v.
func fill(v reflect.Value, raw jsontext.Value, at string, faults *fault.List) {
	null := raw.Kind() == 'n'
	if o, ok := v.Addr().Interface().(optional); ok {
		place := o.present(null)
		if !null {
			fill(reflect.ValueOf(place).Elem(), raw, at, faults)
		}
		return
	}
	if v.Type() == rawType {
		v.SetBytes(bytes.Clone(raw))
		return
	}
	if null {
		faults.Add(orBody(at), "must not be null")
		return
	}
	switch {
	case v.Kind() == reflect.Struct && v.Type() != timeType:
		fillStruct(v, raw, at, faults)
	case v.Kind() == reflect.Map:
		fillMap(v, raw, at, faults)
	case v.Kind() == reflect.Slice:
		fillSlice(v, raw, at, faults)
	default:
		if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
			faults.Add(orBody(at), "%s", mustBe(v, raw))
		}
	}
}

// mustBe says what a plain value should have been.
func mustBe(v reflect.Value, raw jsontext.Value) string {
	switch {
	case v.Type() == timeType:
		return "must be a time such as 2026-04-05T09:30:00Z (RFC 3339)"
	case v.Kind() == reflect.String:
		return "must be a string"
	case v.Kind() == reflect.Bool:
		return "must be true or false"
	case v.CanInt() && raw.Kind() == '0' && strings.Trim(string(raw), "-0123456789") == "":
		return "is out of range"
	case v.CanInt():
		return "must be a whole number, without fraction or exponent"
	}
	return "has a wrong type"
}

func fillStruct(v reflect.Value, raw jsontext.Value, at string, faults *fault.List) {
	members(raw, '{', "an object", at, faults, func(name string, value jsontext.Value) {
		field, ok := fieldNamed(v, name)
		if !ok {
			faults.Add(child(at, name), "is not a field of this request")
			return
		}
		fill(field, value, child(at, name), faults)
	})
}

// fieldNamed finds the field of a struct, or of one that is embedded in it, by
// its name in JSON.
func fieldNamed(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			if found, ok := fieldNamed(v.Field(i), name); ok {
				return found, true
			}
		} else if tag, _, _ := strings.Cut(field.Tag.Get("json"), ","); tag == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func fillMap(v reflect.Value, raw jsontext.Value, at string, faults *fault.List) {
	v.Set(reflect.MakeMap(v.Type()))
	members(raw, '{', "an object", at, faults, func(name string, value jsontext.Value) {
		item := reflect.New(v.Type().Elem()).Elem()
		fill(item, value, child(at, name), faults)
		v.SetMapIndex(reflect.ValueOf(name), item)
	})
}

func fillSlice(v reflect.Value, raw jsontext.Value, at string, faults *fault.List) {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	members(raw, '[', "a list", at, faults, func(_ string, value jsontext.Value) {
		item := reflect.New(v.Type().Elem()).Elem()
		fill(item, value, fmt.Sprintf("%s[%d]", at, v.Len()), faults)
		v.Set(reflect.Append(v, item))
	})
}

// members goes through an object or a list. The text is known to be good, so
// that reading it cannot fail.
func members(raw jsontext.Value, kind jsontext.Kind, what, at string, faults *fault.List, each func(name string, value jsontext.Value)) {
	if raw.Kind() != kind {
		faults.Add(orBody(at), "must be %s", what)
		return
	}
	dec := jsontext.NewDecoder(bytes.NewReader(raw))
	dec.ReadToken()
	for dec.PeekKind() != ']' && dec.PeekKind() != '}' {
		var name string
		if kind == '{' {
			tok, _ := dec.ReadToken()
			name = tok.String()
		}
		value, _ := dec.ReadValue()
		each(name, value)
	}
}
