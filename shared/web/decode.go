package web

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"plaudit/shared/fault"
)

// maxBody is the longest body of a request, in bytes. The load balancer's limit for
// a function's whole event is about the same.
const maxBody = 1_000_000

// maxList bounds the memory of a list. One more item is kept, so that a check of the
// list's length still fails.
const maxList = 1000

// maxDepth is how deeply values may be nested.
const maxDepth = 64

// Optional is a field of a request that may be absent or null, with different
// meanings.
type Optional[T any] struct {
	Set   bool // the field is present
	Null  bool // and it is null
	Value T
}

// OrNil returns the value, nil if the field is absent or null.
func (o Optional[T]) OrNil() *T {
	if !o.Set || o.Null {
		return nil
	}
	v := o.Value
	return &v
}

// present notes that the field is present and returns the place for its value.
func (o *Optional[T]) present(null bool) any {
	o.Set, o.Null = true, null
	return &o.Value
}

type optional interface{ present(null bool) any }

// Decode reads the JSON body of a request without query parameters into a T, by the
// struct's json tags. It accepts exactly what T declares. Unknown and repeated
// fields, wrong types, fractions for integers, text that is not UTF-8 or contains a
// NUL, and data after the end are faults that name the field. Decode reports all of
// them together, as far as it can read the body. An absent field stays zero. T's fields may be strings, booleans, integers, times,
// jsontext.Value for any JSON, and Optionals, slices, maps by string and structs
// of these.
func Decode[T any](r *http.Request) (T, error) {
	v, faults, err := DecodeAll[T](r)
	return v, cmp.Or(err, faults.Err())
}

// DecodeAll is Decode for handlers that add faults of their own and report all of
// them together. A field with a fault is set to zero.
func DecodeAll[T any](r *http.Request) (v T, faults fault.List, err error) {
	if err := NoQuery(r); err != nil {
		return v, nil, err
	}
	body, err := readBody(r)
	if err != nil {
		return v, nil, err
	}
	// JSON forbids control characters, so a NUL can only be written as an escape.
	if bytes.Contains(body, []byte(`\u0000`)) || deep(body) {
		if err := scan(body); err != nil {
			return v, nil, err
		}
	}
	in := newReader(body, "", &faults)
	err = in.fill(reflect.ValueOf(&v).Elem())
	if err == nil {
		if _, err = in.ReadToken(); err == io.EOF {
			if jsontext.Value(body).Kind() != '{' {
				return v, nil, faults.Err() // not an object, so there are no fields
			}
			return v, faults, nil
		}
	}
	return v, nil, cmp.Or(scan(body), syntaxFault(err, in.StackPointer()))
}

func readBody(r *http.Request) ([]byte, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" || len(r.Header.Values("Content-Type")) != 1 {
		return nil, fault.Field(fault.UnsupportedMediaType, "Content-Type", "Send the body as `Content-Type: application/json`.")
	}
	if c, ok := params["charset"]; ok && !strings.EqualFold(c, "utf-8") {
		return nil, fault.Field(fault.UnsupportedMediaType, "Content-Type", "JSON is always UTF-8. Leave out the charset, or set it to utf-8.")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" {
		return nil, fault.Field(fault.UnsupportedMediaType, "Content-Encoding", "The body must not be compressed. Send it without Content-Encoding.")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, fault.Field(fault.BadRequest, "body", "could not be read completely: send the request again")
	}
	if len(body) > maxBody {
		return nil, fault.Field(fault.TooLarge, "body", "The body must be at most %d bytes.", maxBody)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, fault.Field(fault.BadRequest, "body", "is empty; it must be a JSON object")
	}
	return body, nil
}

// deep reports whether brackets outside of strings nest deeper than values may.
func deep(body []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// scan returns the first fault that is independent of the fields' types: bad syntax,
// repeated names, text that is not UTF-8 (lone surrogates too), NUL, deep nesting.
func scan(body []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		// A pointer copies the names above it, so only a fault asks for it.
		if k := dec.PeekKind(); (k == '{' || k == '[') && dec.StackDepth() == maxDepth {
			return fault.Field(fault.BadRequest, orBody(path(dec.StackPointer())), "must be nested at most %d levels deep", maxDepth)
		}
		tok, err := dec.ReadToken()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return syntaxFault(err, dec.StackPointer())
		}
		if tok.Kind() == '"' && strings.ContainsRune(tok.String(), 0) {
			return fault.Field(fault.BadRequest, orBody(path(dec.StackPointer())), "must not contain the character NUL")
		}
		if dec.StackDepth() == 0 {
			// One value is the whole body.
			if _, err := dec.ReadToken(); err != io.EOF {
				return fault.Field(fault.BadRequest, "body", "must be a single JSON value: remove what follows it")
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
		return fault.Field(fault.BadRequest, field, "appears more than once")
	}
	if errors.Is(s.Err, io.ErrUnexpectedEOF) {
		return fault.Field(fault.BadRequest, field, "ends too early, at byte %d", s.ByteOffset)
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
// `entries[1].reason`. It treats a number as an index, because a pointer does not
// distinguish the two; names that are numbers are rare, and stay readable.
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

// reader reads a text once and stores its values in a struct. Its methods return an
// error if the text is not JSON, and add every other fault to faults.
type reader struct {
	*jsontext.Decoder
	at     string // the field whose value the text is; empty for a body
	faults *fault.List
}

func newReader(text []byte, at string, faults *fault.List) *reader {
	return &reader{jsontext.NewDecoder(bytes.NewBuffer(text)), at, faults}
}

// Fill reads a value that Decode has read as a jsontext.Value into v, a pointer, by
// the same rules. at is the value's field.
func Fill(v any, raw jsontext.Value, at string, faults *fault.List) {
	newReader(raw, at, faults).fill(reflect.ValueOf(v).Elem())
}

// refuse adds a fault for the value or the name that was read last.
func (r *reader) refuse(detail string) {
	if r.StackDepth() == 0 {
		r.faults.Add(orBody(r.at), "%s", detail)
		return
	}
	field, depth := []byte(r.at), 0
	for token := range r.StackPointer().Tokens() {
		depth++
		if kind, _ := r.StackIndex(depth); kind == '[' {
			field = fmt.Appendf(field, "[%s]", token)
			continue
		}
		if len(field) > 0 {
			field = append(field, '.')
		}
		field = append(field, token...)
	}
	r.faults.Add(string(field), "%s", detail)
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[jsontext.Value]()
)

// fill stores the next value in v.
func (r *reader) fill(v reflect.Value) error {
	kind := r.PeekKind()
	if o, ok := v.Addr().Interface().(optional); ok {
		place := o.present(kind == 'n')
		if kind == 'n' {
			return r.SkipValue()
		}
		return r.fill(reflect.ValueOf(place).Elem())
	}
	switch {
	case v.Type() == rawType:
		raw, err := r.ReadValue()
		v.SetBytes(bytes.Clone(raw))
		return err
	case kind == 'n':
		return r.skip("must not be null")
	case v.Type() == timeType:
		return r.fillPlain(v)
	case v.Kind() == reflect.Struct:
		return r.fillStruct(v)
	case v.Kind() == reflect.Map:
		return r.fillMap(v)
	case v.Kind() == reflect.Slice:
		return r.fillSlice(v)
	}
	return r.fillPlain(v)
}

// skip skips a value of the wrong type and adds a fault.
func (r *reader) skip(mustBe string) error {
	err := r.SkipValue()
	if err == nil {
		r.refuse(mustBe)
	}
	return err
}

// fillPlain stores a time, a string, a boolean or a whole number in v.
func (r *reader) fillPlain(v reflect.Value) error {
	raw, err := r.ReadValue()
	if err != nil {
		return err
	}
	kind := raw.Kind()
	switch {
	case v.Type() == timeType:
		// Package time accepts more than RFC 3339.
		if json.Unmarshal(raw, v.Addr().Interface()) != nil {
			r.refuse("must be a time such as 2026-04-05T09:30:00Z (RFC 3339)")
		}
	case v.Kind() == reflect.String:
		if kind != '"' {
			r.refuse("must be a string")
			break
		}
		v.SetString(string(unquote(raw)))
	case v.Kind() == reflect.Bool:
		if kind != 't' && kind != 'f' {
			r.refuse("must be true or false")
		}
		v.SetBool(kind == 't')
	case v.CanInt():
		n, err := strconv.ParseInt(string(raw), 10, v.Type().Bits())
		if errors.Is(err, strconv.ErrRange) {
			r.refuse("is out of range")
		} else if err != nil {
			r.refuse("must be a whole number, without fraction or exponent")
		}
		v.SetInt(n)
	default:
		panic("web: a request cannot have a field of type " + v.Type().String())
	}
	return nil
}

// unquote returns the text of a valid JSON string. It must not be used after
// the next read.
func unquote(raw jsontext.Value) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, raw)
	return text
}

// members calls each for every name of an object. each must read the value
// that follows, and must not use the name after that.
func (r *reader) members(each func(name []byte) error) error {
	if r.PeekKind() != '{' {
		return r.skip("must be an object")
	}
	r.ReadToken()
	for r.PeekKind() != '}' {
		name, err := r.ReadValue()
		if err != nil {
			return err
		}
		if err := each(unquote(name)); err != nil {
			return err
		}
	}
	_, err := r.ReadToken()
	return err
}

func (r *reader) fillStruct(v reflect.Value) error {
	fields := fieldsOf(v.Type())
	return r.members(func(name []byte) error {
		index, ok := fields[string(name)]
		if !ok {
			r.refuse("is not a field of this request")
			return r.SkipValue()
		}
		return r.fill(v.FieldByIndex(index))
	})
}

var fieldTables sync.Map // of fieldsOf, by type

// fieldsOf returns the fields of a struct, with those of embedded structs, by
// their names in JSON.
func fieldsOf(t reflect.Type) map[string][]int {
	if table, ok := fieldTables.Load(t); ok {
		return table.(map[string][]int)
	}
	table := map[string][]int{}
	for _, field := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			table[name] = field.Index
		}
	}
	fieldTables.Store(t, table)
	return table
}

func (r *reader) fillMap(v reflect.Value) error {
	v.Set(reflect.MakeMap(v.Type()))
	return r.members(func(name []byte) error {
		key := reflect.ValueOf(string(name))
		item := reflect.New(v.Type().Elem()).Elem()
		err := r.fill(item)
		v.SetMapIndex(key, item)
		return err
	})
}

func (r *reader) fillSlice(v reflect.Value) error {
	if r.PeekKind() != '[' {
		return r.skip("must be a list")
	}
	r.ReadToken()
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for r.PeekKind() != ']' {
		n := v.Len()
		if n > maxList {
			if err := r.SkipValue(); err != nil {
				return err
			}
			continue
		}
		if n == v.Cap() {
			v.Grow(max(n, 4))
		}
		v.SetLen(n + 1)
		if err := r.fill(v.Index(n)); err != nil {
			return err
		}
	}
	_, err := r.ReadToken()
	return err
}
