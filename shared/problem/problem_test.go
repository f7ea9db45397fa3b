package problem

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"plaudit/shared/fault"
	"plaudit/shared/trace"
)

// declared lists the constants of type Kind in package fault.
func declared(t *testing.T) (kinds []fault.Kind) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../fault/fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Kind" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, fault.Kind(text))
		}
		return true
	})
	if len(kinds) < 20 {
		t.Fatalf("found only %d kinds in package fault", len(kinds))
	}
	slices.Sort(kinds)
	return kinds
}

func TestEveryKindHasAStatusAndATitle(t *testing.T) {
	if got, want := Kinds(), declared(t); !slices.Equal(got, want) {
		t.Errorf("the table has\n%v, and package fault declares\n%v", got, want)
	}
	titles := map[string]fault.Kind{}
	for _, k := range Kinds() {
		if s := Status(k); s < 400 || s > 599 || http.StatusText(s) == "" {
			t.Errorf("%s has the status %d", k, s)
		}
		title := kinds[k].title
		if title == "" || strings.HasSuffix(title, ".") || titles[title] != "" {
			t.Errorf("%s has the title %q, which is no title or also that of %q", k, title, titles[title])
		}
		titles[title] = k
	}
}

func TestProblemShowsTheFault(t *testing.T) {
	ctx := trace.With(context.Background(), trace.Info{RequestID: "r1"})
	got := New(ctx, &fault.Error{
		Kind: fault.BadRequest, Detail: "must be 1", Field: "a", Errors: []fault.FieldFault{{Field: "a", Detail: "must be 1"}, {Field: "b", Detail: "is required"}},
		Cause: context.Canceled,
	})
	want := Problem{
		Type: "urn:plaudit:error:bad-request", Title: "Invalid request", Status: 400, Detail: "must be 1", Field: "a",
		Errors: []fault.FieldFault{{Field: "a", Detail: "must be 1"}, {Field: "b", Detail: "is required"}}, RequestID: "r1",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestProblemCutsWhatItQuotes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{strings.Repeat("a", 500), strings.Repeat("a", 500)},
		{strings.Repeat("a", 501), strings.Repeat("a", 500) + "…"},
		{strings.Repeat("a", 499) + "서", strings.Repeat("a", 499) + "…"}, // never half a character
	} {
		p := New(context.Background(), &fault.Error{Kind: fault.BadRequest, Detail: c.text, Field: c.text, Errors: []fault.FieldFault{{Field: c.text, Detail: c.text}}})
		for _, got := range []string{p.Detail, p.Field, p.Errors[0].Field, p.Errors[0].Detail} {
			if got != c.want || !utf8.ValidString(got) {
				t.Errorf("%d bytes became %q", len(c.text), got)
			}
		}
	}
}

// The answer to a body that is wrong everywhere is bounded, whatever the names in it.
func TestProblemHasAHundredErrors(t *testing.T) {
	for n, want := range map[int]string{
		100: "d", 101: "d These are the first 100 errors; there may be more.", 100_000: "d These are the first 100 errors; there may be more.",
	} {
		var l fault.List
		for i := range n {
			l.Add(strconv.Itoa(i)+strings.Repeat("\x01", 1000), "d")
		}
		err, _ := fault.As(l.Err())
		p := New(context.Background(), err)
		w := httptest.NewRecorder()
		if err := p.Write(w); err != nil || p.Detail != want || len(p.Errors) != 100 || w.Body.Len() > 400_000 {
			t.Errorf("%d errors: %q, %d of them in %d bytes (%v)", n, p.Detail, len(p.Errors), w.Body.Len(), err)
		}
	}
}

func TestHeadersOfAFault(t *testing.T) {
	h := http.Header{"Etag": {"x"}, "Content-Encoding": {"x"}, "Content-Length": {"1"}, "Last-Modified": {"x"}, "Cache-Control": {"public"}, "Vary": {"Origin"}}
	SetHeaders(h, &fault.Error{Kind: fault.Busy, RetryAfter: 1500 * time.Millisecond})
	if want := (http.Header{"Cache-Control": {"no-store"}, "Vary": {"Origin"}, "Retry-After": {"2"}}); !reflect.DeepEqual(h, want) {
		t.Errorf("got %v, want %v", h, want)
	}
	for _, k := range Kinds() {
		h := http.Header{}
		SetHeaders(h, &fault.Error{Kind: k})
		if (h.Get("WWW-Authenticate") == "Bearer") != (Status(k) == 401) || h["Retry-After"] != nil {
			t.Errorf("%s: %v", k, h)
		}
	}
}

func TestWrite(t *testing.T) {
	w := httptest.NewRecorder()
	if err := New(context.Background(), fault.New(fault.NotFound, "There is no board %q.", "<x>")).Write(w); err != nil {
		t.Fatal(err)
	}
	const want = `{"type":"urn:plaudit:error:not-found","title":"Not found","status":404,"detail":"There is no board \"<x>\"."}` + "\n"
	if w.Code != 404 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
