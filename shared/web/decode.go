package web

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"plaudit/shared/fault"
)

// maxList bounds the memory of a list and of a map. One more item is kept, so that a
// check of the number of items still fails.
const maxList = 1000

// maxMembers is how many members all maps of a body may have together: as many as 1,000
// entries with 16 attributes each.
const maxMembers = 16_000

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
// them together, as far as it can read the body, but reads no further than the
// hundredth. An absent field stays zero. T's fields
// may be strings, booleans, integers, times, jsontext.Value for any JSON, and
// Optionals, slices, maps by string and structs of these. Times are returned in UTC.
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
	if err == errEnough {
		f, _ := fault.As(faults.Err())
		f.More = true
		return v, nil, f
	}
	return v, nil, cmp.Or(scan(body), syntaxFault(err, in.StackPointer()))
}

func readBody(r *http.Request) ([]byte, error) {
	body, err := bodyAs(r, "application/json", "JSON")
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, fault.Field(fault.BadRequest, "body", "is empty; it must be a JSON object")
	}
	return body, nil
}

// bodyAs returns the body of a request if it has the media type, which people know by
// the name.
func bodyAs(r *http.Request, media, name string) ([]byte, error) {
	got, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || got != media || len(r.Header.Values("Content-Type")) != 1 {
		return nil, fault.Field(fault.UnsupportedMediaType, "Content-Type", "Send the body as `Content-Type: %s`.", media)
	}
	if c, ok := params["charset"]; ok && !strings.EqualFold(c, "utf-8") {
		return nil, fault.Field(fault.UnsupportedMediaType, "Content-Type", "%s is always UTF-8. Leave out the charset, or set it to utf-8.", name)
	}
	return Body(r)
}

// Body returns the body of a request, whatever its media type. Decode reads JSON, ReadForm
// forms.
func Body(r *http.Request) ([]byte, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" {
		return nil, fault.Field(fault.UnsupportedMediaType, "Content-Encoding", "The body must not be compressed. Send it without Content-Encoding.")
	}
	return receive(r)
}

// CheckJSON returns the first fault of a text that is not exactly one JSON value as
// Decode accepts it.
func CheckJSON(body []byte) error { return scan(body) }

// receive reads the body. It allocates what the body may have, no more, and only once
// there is room for it.
func receive(r *http.Request) ([]byte, error) {
	limit := batch // of a request without a route, in tests
	s, _ := r.Context().Value(stateKey{}).(*state)
	if s != nil {
		limit = s.limit
	}
	tooLarge := fault.Field(fault.TooLarge, "body", "The body must be at most %d bytes. The limits of texts count characters, which have up to four bytes: shorten texts, or send less at once.", limit)
	if r.ContentLength > int64(limit) {
		return nil, tooLarge
	}
	size := limit
	if r.ContentLength >= 0 {
		size = int(r.ContentLength)
	}
	if s != nil && s.room != nil {
		leave, err := s.room.enter(r.Context(), ClientNetwork(r), size)
		if err != nil {
			return nil, err
		}
		s.leave = leave
	}
	body := make([]byte, 0, size+1)
	for len(body) <= size {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case err == io.EOF && len(body) <= limit:
			return body, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, fault.Field(fault.BodyTimeout, "body", "The body did not arrive in time. Send the request again.")
		case err != nil && err != io.EOF:
			return nil, fault.Field(fault.BadRequest, "body", "could not be read completely: send the request again")
		}
	}
	return nil, tooLarge
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
	at      string // the field whose value the text is; empty for a body
	faults  *fault.List
	members int // of all maps so far
}

func newReader(text []byte, at string, faults *fault.List) *reader {
	return &reader{Decoder: jsontext.NewDecoder(bytes.NewBuffer(text)), at: at, faults: faults}
}

// Fill reads a value that Decode has read as a jsontext.Value into v, a pointer, by
// the same rules. at is the value's field.
func Fill(v any, raw jsontext.Value, at string, faults *fault.List) {
	newReader(raw, at, faults).fill(reflect.ValueOf(v).Elem())
}

// errEnough ends the reading of a text that has as many faults as are reported, or is
// too much to read.
var errEnough = errors.New("the rest of the text is not read")

// refuse adds a fault for the value or the name that was read last. It returns
// errEnough if that was the last one to report.
func (r *reader) refuse(detail string) error {
	r.faults.Add(r.field(), "%s", detail)
	if len(*r.faults) >= fault.MaxFaults {
		return errEnough
	}
	return nil
}

// field returns the path of the value or the name that was read last.
func (r *reader) field() string {
	if r.StackDepth() == 0 {
		return orBody(r.at)
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
	return string(field)
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
	if err := r.SkipValue(); err != nil {
		return err
	}
	return r.refuse(mustBe)
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
		var text string
		if kind == '"' {
			text = string(unquote(raw))
		}
		t, ok := ParseTime(text)
		if !ok {
			return r.refuse("must be a time such as 2026-04-05T09:30:00Z (RFC 3339)")
		}
		v.Set(reflect.ValueOf(t))
	case v.Kind() == reflect.String:
		if kind != '"' {
			return r.refuse("must be a string")
		}
		v.SetString(string(unquote(raw)))
	case v.Kind() == reflect.Bool:
		value, ok := parseBool(string(raw))
		if !ok {
			return r.refuse("must be true or false")
		}
		v.SetBool(value)
	case v.CanInt():
		n, err := parseInt(string(raw), v.Type().Bits())
		if errors.Is(err, strconv.ErrRange) {
			return r.refuse("is out of range")
		} else if err != nil {
			return r.refuse("must be a whole number, without fraction or exponent")
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

// object calls each for every name of an object. each must read the value
// that follows, and must not use the name after that.
func (r *reader) object(each func(name []byte) error) error {
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
	return r.object(func(name []byte) error {
		index, ok := fields[string(name)]
		if !ok {
			if err := r.refuse("is not a field of this request"); err != nil {
				return err
			}
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
	return r.object(func(name []byte) error {
		if r.members++; r.members > maxMembers {
			r.faults.Add(r.field(), "is too many: the names of attributes and reasons in a body must be at most %d", maxMembers)
			return errEnough
		}
		if v.Len() > maxList {
			return r.SkipValue()
		}
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
