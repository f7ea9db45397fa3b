package web

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"plaudit/shared/access"
	"plaudit/shared/fault"
	"plaudit/shared/problem"
)

// everyone serves all routes of a deployable with handlers that read the body.
func everyone(deployable string, room *Room) http.Handler {
	endpoints := map[string]Endpoint{}
	for _, r := range Routes {
		if r.Deployable == deployable {
			endpoints[r.Method+" "+r.Pattern] = Endpoint{Handle: func(w http.ResponseWriter, r *http.Request) error {
				if _, err := Decode[struct {
					A string `json:"a"`
				}](r); err != nil {
					return err
				}
				return Reply(w, http.StatusOK, "read")
			}}
		}
	}
	return New(Config{Deployable: deployable, Room: room, Verifier: tokens{"admin": {User: "a", Role: access.Admin}, "notify": access.Notify()}}, endpoints)
}

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("a body that is too long was read")
	return 0, io.EOF
}

// admitted returns a token that a route admits.
func admitted(r Route) string {
	if r.For == Mailer {
		return "notify"
	}
	return "admin"
}

// The table's limit is that of the route, for bodies whose length is announced and for
// others.
func TestLimitsOfBodies(t *testing.T) {
	for _, route := range Routes {
		// A link is accepted without a body.
		bare := route.Method == "GET" || route.Method == "DELETE" || route.Pattern == "/v1/players/me/links/{board}/{player}"
		if takes := !bare; takes != (route.Body > 0) {
			t.Errorf("%s %s has the limit %d", route.Method, route.Pattern, route.Body)
		}
		if route.Body == 0 {
			continue
		}
		h := everyone(route.Deployable, NewRoom(16<<20))
		send := func(body io.Reader, length int) (*httptest.ResponseRecorder, problem.Problem) {
			r := httptest.NewRequest(route.Method, strings.NewReplacer("{", "", "}", "").Replace(route.Pattern), body)
			r.ContentLength = int64(length)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+admitted(route))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			var p problem.Problem
			if w.Code != http.StatusOK {
				if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
					t.Errorf("%s: %v", w.Body, err)
				}
			}
			return w, p
		}
		fits := `{"a":"` + strings.Repeat("a", route.Body-8) + `"}`
		for _, announced := range []bool{true, false} {
			length := func(body string) int {
				if announced {
					return len(body)
				}
				return -1
			}
			if w, _ := send(strings.NewReader(fits), length(fits)); w.Code != http.StatusOK {
				t.Errorf("%s %s, announced %t: a body of %d bytes: %d %s", route.Method, route.Pattern, announced, len(fits), w.Code, w.Body)
			}
			body := io.Reader(strings.NewReader(fits + " "))
			if announced {
				body = unread{t}
			}
			w, p := send(body, length(fits+" "))
			if w.Code != http.StatusRequestEntityTooLarge || p.Field != "body" || !strings.Contains(p.Detail, fmt.Sprintf("at most %d bytes", route.Body)) {
				t.Errorf("%s %s, announced %t: a body that is too large: %d %s", route.Method, route.Pattern, announced, w.Code, w.Body)
			}
		}
	}
}

// A client that breaks off has not sent a shorter body.
func TestHalfABodyIsNone(t *testing.T) {
	r := httptest.NewRequest("POST", "/v1/sessions", io.MultiReader(strings.NewReader(`{"a":"b"}`), broken{}))
	r.ContentLength = 100
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	everyone("users", nil).ServeHTTP(w, r)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "could not be read completely") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestTooManyHeadersAreRefused(t *testing.T) {
	for lines, want := range map[int]int{99: 200, 100: 400} {
		for name, header := range map[string]func(i int) string{"a name each": func(i int) string { return fmt.Sprint("X-", i) }, "one name": func(int) string { return "X" }} {
			r := httptest.NewRequest("POST", "/v1/boards", strings.NewReader(`{}`))
			r.Header.Set("Authorization", "Bearer admin")
			for i := range lines - 1 {
				r.Header.Add(header(i), "")
			}
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			everyone("board-admin", nil).ServeHTTP(w, r)
			if w.Code != want || want == 400 && !strings.Contains(w.Body.String(), `"field":"headers"`) {
				t.Errorf("%d lines with %s: %d %s", lines+1, name, w.Code, w.Body)
			}
		}
	}
}

// Decoding ends at the hundredth fault, whatever is wrong, and then tells that there may
// be more.
func TestDecodeEndsAtTheHundredthFault(t *testing.T) {
	items := func(format string, n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = strings.ReplaceAll(format, "%d", fmt.Sprint(i))
		}
		return strings.Join(list, ",")
	}
	for name, form := range map[string]string{
		"unknown fields":        `{§"%d":1§}`,
		"a list of wrong types": `{"tags":[§%d§]}`,
		"a list of nulls":       `{"tags":[§null§]}`,
		"a map of wrong types":  `{"attrs":{§"%d":1§}}`,
		"a map of fractions":    `{"catalogue":{§"%d":1.5§}}`,
		"items of wrong types":  `{"entries":[§1§]}`,
		"fields of items":       `{"entries":[§{"x":1}§]}`,
	} {
		part := strings.Split(form, "§")
		for n, more := range map[int]bool{99: false, 100: true, 60_000: true} {
			_, err := decodeText("application/json", part[0]+items(part[1], n)+part[2])
			f, ok := fault.As(err)
			if !ok || len(f.Errors) != min(n, 100) || f.More != more {
				t.Errorf("%d of %s: %d errors, more %t", n, name, len(f.Errors), f.More)
			}
		}
		// What follows the hundredth is not read.
		_, err := decodeText("application/json", part[0]+items(part[1], 100)+", and no JSON")
		if f, ok := fault.As(err); !ok || len(f.Errors) != 100 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// As many members as the largest batch has are read, one more ends the reading.
func TestDecodeReadsSoManyMembersOfMaps(t *testing.T) {
	type in struct {
		Entries []struct {
			Attrs map[string]string `json:"attrs"`
		} `json:"entries"`
	}
	var attrs []string
	for i := range 16 {
		attrs = append(attrs, fmt.Sprintf(`"%d":""`, i))
	}
	items := strings.Repeat(`{"attrs":{`+strings.Join(attrs, ",")+`}},`, 1000)
	for last, field := range map[string]string{`{}`: "", `{"attrs":{"a":""}}, not JSON`: "entries[1000].attrs.a"} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(`{"entries":[`+items+last+"]}"))
		r.Header.Set("Content-Type", "application/json")
		got, err := Decode[in](r)
		f, refused := fault.As(err)
		if refused != (field != "") || refused && (f.Field != field || !f.More) || !refused && len(got.Entries) != 1001 {
			t.Errorf("%s: %v", last, err)
		}
	}
}

// Decoding takes memory in proportion to the body, also if its names are compared twice.
func TestDecodeAllocatesByTheSizeOfTheBody(t *testing.T) {
	fill := func(n int, before, item, after string) string {
		var b strings.Builder
		b.WriteString(before)
		for i := 0; b.Len()+len(item)+8 < n; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strings.ReplaceAll(item, "%d", fmt.Sprint(i)))
		}
		return b.String() + after
	}
	for name, body := range map[string]func(n int) string{
		"unknown fields": func(n int) string { return fill(n, "{", `"%d":1`, "}") },
		"repeated names": func(n int) string { return fill(n, "{", `"name":""`, "}") },
		"repeated late":  func(n int) string { return fill(n, `{"metadata":{`, `"%d":1`, `,"1":1}}`) },
		"deep nesting":   func(n int) string { return `{"metadata":` + strings.Repeat("[", n) },
		"deep, then broken": func(n int) string {
			return fill(n, `{"metadata":[`, strings.Repeat("[", 60)+strings.Repeat("]", 60), "")
		},
		"a huge string":    func(n int) string { return `{"name":"` + strings.Repeat("a", n) + `"}` },
		"escapes":          func(n int) string { return `{"name":"` + strings.Repeat(`\u00e9`, n/6) + `"}` },
		"NULs":             func(n int) string { return `{"name":"` + strings.Repeat(`\u0000`, n/6) + `"}` },
		"a huge name":      func(n int) string { return `{"` + strings.Repeat("a", n) + `":1}` },
		"a name of dots":   func(n int) string { return `{"attrs":{"` + strings.Repeat(".", n) + `":1}}` },
		"a huge number":    func(n int) string { return `{"points":1` + strings.Repeat("0", n) + `}` },
		"a huge time":      func(n int) string { return `{"at":"` + strings.Repeat("2", n) + `"}` },
		"a huge list":      func(n int) string { return fill(n, `{"tags":[`, `""`, "]}") },
		"a list of faults": func(n int) string { return fill(n, `{"tags":[`, `1`, "]}") },
		"a huge map":       func(n int) string { return fill(n, `{"attrs":{`, `"%d":""`, "}}") },
		"a map of faults":  func(n int) string { return fill(n, `{"attrs":{`, `"%d":1`, "}}") },
		"free data":        func(n int) string { return fill(n, `{"metadata":{`, `"%d":1`, "}}") },
		"white space":      func(n int) string { return strings.Repeat(" ", n) + "{}" },
	} {
		for _, n := range []int{credentials, account, entry, board, batch} {
			text := body(n - 20)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			decodeText("application/json", text)
			runtime.ReadMemStats(&after)
			if used := int(after.TotalAlloc - before.TotalAlloc); used > 48*n+64<<10 {
				t.Errorf("%s of %d bytes: %d bytes allocated", name, n, used)
			}
		}
	}
}
