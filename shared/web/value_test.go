package web

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// rfc3339 is the grammar of a date-time, without leap seconds.
var rfc3339 = regexp.MustCompile(`^(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

type valuesIn struct {
	At   time.Time `json:"at"`
	N    int64     `json:"n"`
	Flag bool      `json:"flag"`
}

// inBody reads a value of JSON as a member of a body, and as one of a cursor.
func inBody(t *testing.T, name, value string) (in valuesIn, ok bool) {
	t.Helper()
	r := httptest.NewRequest("POST", "/", strings.NewReader(`{"`+name+`":`+value+`}`))
	r.Header.Set("Content-Type", "application/json")
	in, err := Decode[valuesIn](r)
	if strings.TrimSpace(value) == "" || scan([]byte(value)) != nil {
		return valuesIn{}, false // it may end the member, and begin another
	}
	var c struct {
		V valuesIn `json:"v"`
	}
	if read := readPart([]byte(`{"v":{"`+name+`":`+value+`}}`), &c); read != (err == nil) || read && c.V != in {
		t.Errorf("%s: a body has %v (%v), a cursor %v (%t)", value, in, err, c.V, read)
	}
	return in, err == nil
}

func inQuery(name, value string) *Query {
	r := httptest.NewRequest("GET", "/", nil)
	r.URL.RawQuery = name + "=" + url.QueryEscape(value)
	return ReadQuery(r, name)
}

func FuzzTimes(f *testing.F) {
	for _, text := range []string{
		"2026-04-05T12:30:00Z", "2026-04-05T1:30:00Z", "2026-04-05T12:30:00,5Z", "2026-04-05T12:30:00.5+23:59", "2026-04-05T12:30:00+24:00", "2026-04-05T12:30:00-00:60",
		"0999-12-31T23:59:59Z", "9999-12-31T23:59:59-00:01", "2026-02-29T12:30:00Z", "2026-04-05T12:30:00.1234567891Z", "2026-04-05t12:30:00z",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return
		}
		value, _ := json.Marshal(text)
		in, ok := inBody(t, "at", string(value))
		q := inQuery("at", text)
		at := q.Instant("at")
		if read := q.Err() == nil; read != (ok && in.At.Year() < 9000) || read && at != in.At {
			t.Errorf("%q: a body has %v (%t), a query %v (%v)", text, in.At, ok, at, q.Err())
		}
		if ok && (in.At.Location() != time.UTC || !rfc3339.MatchString(text)) {
			t.Errorf("%q: accepted as %v", text, in.At)
		}
		if parts := rfc3339.FindStringSubmatch(text); !ok && parts != nil && parts[1] > "1000" && parts[1] < "9999" && parts[2] > "00" && parts[2] < "13" && parts[3] > "00" && parts[3] < "29" {
			t.Errorf("%q: refused", text)
		}
	})
}

// number is the grammar of a whole number in JSON.
var number = regexp.MustCompile(`^-?(0|[1-9]\d*)$`)

func FuzzWholeNumbers(f *testing.F) {
	for _, text := range []string{"0", "-0", "+1", "01", "1.0", "1e0", "-9223372036854775808", "9223372036854775808", "1_0", "0x1", "-", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.TrimSpace(text) != text || strings.ContainsRune(text, 0) {
			return // a body may have spaces around a value
		}
		in, ok := inBody(t, "n", text)
		q := inQuery("n", text)
		n := q.Int("n", 0, -1<<63, 1<<63-1)
		if read := q.Err() == nil; read != ok || n != in.N {
			t.Errorf("%q: a body has %d (%t), a query %d (%v)", text, in.N, ok, n, q.Err())
		}
		if ok != (number.MatchString(text) && fitsInt64(text)) {
			t.Errorf("%q: accepted: %t", text, ok)
		}
	})
}

func fitsInt64(text string) bool {
	var n int64
	_, err := fmt.Sscanf(text, "%d", &n)
	return err == nil
}

func FuzzBooleans(f *testing.F) {
	for _, text := range []string{"true", "false", "True", "1", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.TrimSpace(text) != text || strings.ContainsRune(text, 0) {
			return
		}
		in, ok := inBody(t, "flag", text)
		q := inQuery("flag", text)
		flag := q.Bool("flag")
		if read := q.Err() == nil; read != ok || flag != in.Flag || ok != (text == "true" || text == "false") {
			t.Errorf("%q: a body has %t (%t), a query %t (%v)", text, in.Flag, ok, flag, q.Err())
		}
	})
}
