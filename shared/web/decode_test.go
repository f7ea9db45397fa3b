package web

import (
	"net/http/httptest"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"plaudit/shared/fault"
)

type item struct {
	Reason string `json:"reason"`
	Points int64  `json:"points"`
}

type bodyIn struct {
	Name      string            `json:"name"`
	Points    int64             `json:"points"`
	Late      bool              `json:"late"`
	At        time.Time         `json:"at"`
	Country   Optional[string]  `json:"country"`
	Catalogue map[string]int64  `json:"catalogue"`
	Attrs     map[string]string `json:"attrs"`
	Tags      []string          `json:"tags"`
	Entries   []item            `json:"entries"`
	Metadata  jsontext.Value    `json:"metadata"`
}

func decodeText(contentType, body string) (bodyIn, error) {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return Decode[bodyIn](r)
}

func TestDecodeTakesWhatIsDeclared(t *testing.T) {
	got, err := decodeText("application/json; charset=UTF-8", `{"name":"é","points":-9007199254740991,"late":true,
		"at":"2026-04-05T09:30:00+09:00","country":null,"catalogue":{"full":42},"tags":["a"],
		"entries":[{"reason":"x"}],"metadata":{"a":[1.50,null,""]}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := bodyIn{
		Name: "é", Points: -1<<53 + 1, Late: true, At: got.At, Country: Optional[string]{Set: true, Null: true},
		Catalogue: map[string]int64{"full": 42}, Tags: []string{"a"}, Entries: []item{{Reason: "x"}},
		Metadata: jsontext.Value(`{"a":[1.50,null,""]}`),
	}
	if !reflect.DeepEqual(got, want) || !got.At.Equal(time.Date(2026, 4, 5, 0, 30, 0, 0, time.UTC)) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	const json = "application/json"
	for _, c := range []struct {
		name, contentType, body string
		kind                    fault.Kind
		fields                  string // of the faults, in order
	}{
		{"no content type", "", `{}`, fault.UnsupportedMediaType, "Content-Type"},
		{"a form", "application/x-www-form-urlencoded", `a=b`, fault.UnsupportedMediaType, "Content-Type"},
		{"another charset", "application/json; charset=latin1", `{}`, fault.UnsupportedMediaType, "Content-Type"},
		{"an empty body", json, " \n", fault.BadRequest, "body"},
		{"a huge body", json, `{"name":"` + strings.Repeat("a", batch) + `"}`, fault.TooLarge, "body"},
		{"half a body", json, `{"name":"a`, fault.BadRequest, "name"},
		{"a list", json, `[]`, fault.BadRequest, "body"},
		{"null", json, `null`, fault.BadRequest, "body"},
		{"data after the end", json, `{} {}`, fault.BadRequest, "body"},
		{"a brace after the end", json, `{}}`, fault.BadRequest, "body"},
		{"a byte order mark", json, "\ufeff{}", fault.BadRequest, "body"},
		{"an unknown field", json, `{"nme":"a"}`, fault.BadRequest, "nme"},
		{"another case", json, `{"Name":"a"}`, fault.BadRequest, "Name"},
		{"a name twice", json, `{"name":"a","name":"b"}`, fault.BadRequest, "name"},
		{"a name twice, escaped", json, `{"name":"a","n\u0061me":"b"}`, fault.BadRequest, "name"},
		{"a name twice in free data", json, `{"metadata":{"a":1,"a":2}}`, fault.BadRequest, "metadata.a"},
		{"bad UTF-8", json, "{\"name\":\"\xff\"}", fault.BadRequest, "name"},
		{"a lone surrogate", json, `{"name":"\ud800"}`, fault.BadRequest, "name"},
		{"NUL", json, `{"name":"a\u0000"}`, fault.BadRequest, "name"},
		{"NUL in a name", json, `{"attrs":{"a\u0000":"b"}}`, fault.BadRequest, "attrs.a\x00"},
		{"NUL in free data", json, `{"metadata":["\u0000"]}`, fault.BadRequest, "metadata[0]"},
		{"NaN", json, `{"points":NaN}`, fault.BadRequest, "points"},
		{"a fraction", json, `{"points":42.0}`, fault.BadRequest, "points"},
		{"an exponent", json, `{"points":1e2}`, fault.BadRequest, "points"},
		{"a number in quotes", json, `{"points":"1"}`, fault.BadRequest, "points"},
		{"beyond 64 bits", json, `{"points":9223372036854775808}`, fault.BadRequest, "points"},
		{"null for a number", json, `{"points":null}`, fault.BadRequest, "points"},
		{"a number for text", json, `{"name":1}`, fault.BadRequest, "name"},
		{"a number for an optional", json, `{"country":1}`, fault.BadRequest, "country"},
		{"text for a boolean", json, `{"late":"true"}`, fault.BadRequest, "late"},
		{"a date", json, `{"at":"2026-04-05"}`, fault.BadRequest, "at"},
		{"an hour of one digit", json, `{"at":"2026-04-05T9:30:00Z"}`, fault.BadRequest, "at"},
		{"a comma in a time", json, `{"at":"2026-04-05T09:30:00,5Z"}`, fault.BadRequest, "at"},
		{"an object for a list", json, `{"tags":{}}`, fault.BadRequest, "tags"},
		{"a list for an object", json, `{"catalogue":[]}`, fault.BadRequest, "catalogue"},
		{"deep ones, together", json, `{"tags":["a",1],"entries":[{},{"reason":1,"points":"x","z":0}],"catalogue":{"full":1.5}}`,
			fault.BadRequest, "tags[1] entries[1].reason entries[1].points entries[1].z catalogue.full"},
		{"a million brackets", json, `{"metadata":` + strings.Repeat("[", 900_000), fault.BadRequest, "metadata" + strings.Repeat("[0]", 62)},
		{"65 levels", json, `{"metadata":` + strings.Repeat(`{"a":`, 64) + "1" + strings.Repeat("}", 64) + `}`, fault.BadRequest, "metadata" + strings.Repeat(".a", 63)},
		{"brackets in a text, and a fault", json, `{"name":"` + strings.Repeat(`[\"{`, 100) + `","points":""}`, fault.BadRequest, "points"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decodeText(c.contentType, c.body)
			f, ok := fault.As(err)
			if !ok || f.Kind != c.kind {
				t.Fatalf("got %v, want a fault %s", err, c.kind)
			}
			fields := f.Field
			for i, e := range f.Errors {
				if i > 0 {
					fields += " " + e.Field
				}
			}
			if c.fields != "" && fields != c.fields {
				t.Errorf("names %q, want %q", fields, c.fields)
			}
			if f.Detail == "" {
				t.Error("has no detail")
			}
		})
	}
}

func TestDecodeTakes64Levels(t *testing.T) {
	text := strings.Repeat(`[`, 63) + `"[[["` + strings.Repeat("]", 63)
	if in, err := decodeText("application/json", `{"metadata":`+text+`}`); err != nil || string(in.Metadata) != text {
		t.Error(err)
	}
}

// A list that is too long for any request takes no more memory than the refusal
// needs.
func TestDecodeKeepsNoEndlessList(t *testing.T) {
	in, err := decodeText("application/json", `{"entries":[`+strings.Repeat(`{},`, 300_000)+`{}]}`)
	if err != nil || len(in.Entries) != 1001 {
		t.Errorf("%d entries (%v)", len(in.Entries), err)
	}
}

// The search for a fault copies no long name for each value below it.
func TestScanCopiesNoNames(t *testing.T) {
	body := []byte(`{"` + strings.Repeat("a", 100_000) + `":[` + strings.Repeat("1,", 2_000) + `1],"z":"\u0000"}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := scan(body)
	runtime.ReadMemStats(&after)
	if f, ok := fault.As(err); !ok || f.Field != "z" {
		t.Errorf("got %v", err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 20_000_000 {
		t.Errorf("%d bytes for a body of %d", used, len(body))
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"name":"a","entries":[{"points":1}]}`)
	f.Add(`{"metadata":{"a":[[[{}]]]}}`)
	f.Fuzz(func(t *testing.T, body string) {
		_, err := decodeText("application/json", body)
		if _, ok := fault.As(err); err != nil && !ok {
			t.Errorf("not a fault: %v", err)
		}
		if no := scan([]byte(body)); err == nil && no != nil {
			t.Errorf("was accepted, although %v", no)
		}
	})
}
