package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"plaudit/shared/fault"
)

func TestForms(t *testing.T) {
	for _, c := range []struct {
		name, media, body string
		kind              fault.Kind // empty: the form is read
		field             string
	}{
		{"a form", FormType, "token=a%2Bb+c&password=%EC%A7%84", "", ""},
		{"a form that names its encoding", FormType + "; charset=UTF-8", "token=a%2Bb+c&password=%EC%A7%84", "", ""},
		{"an absent field counts as empty", FormType, "token=a%2Bb+c&password=%EC%A7%84&lang=", "", ""},
		{"JSON", "application/json", "{}", fault.UnsupportedMediaType, "Content-Type"},
		{"a form with files", "multipart/form-data; boundary=x", "--x--", fault.UnsupportedMediaType, "Content-Type"},
		{"no type", "", "token=a", fault.UnsupportedMediaType, "Content-Type"},
		{"another encoding", FormType + "; charset=euc-kr", "token=a", fault.UnsupportedMediaType, "Content-Type"},
		{"an unknown field", FormType, "token=a&role=admin", fault.BadRequest, "role"},
		{"a field twice", FormType, "token=a&token=b", fault.BadRequest, "token"},
		{"a bad escape", FormType, "token=%zz", fault.BadRequest, "body"},
		{"a semicolon", FormType, "token=a;b", fault.BadRequest, "body"},
		{"a NUL", FormType, "token=a%00", fault.BadRequest, "token"},
		{"not UTF-8", FormType, "token=%ff", fault.BadRequest, "token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(c.body))
			if c.media != "" {
				r.Header.Set("Content-Type", c.media)
			}
			form, err := ReadForm(r, "token", "password", "lang")
			if err == nil {
				err = form.Err()
			}
			if c.kind == "" {
				if err != nil || form.Value("token") != "a+b c" || form.Value("password") != "진" || form.Value("lang") != "" {
					t.Errorf("got %+v, %v", form, err)
				}
				return
			}
			if f, ok := fault.As(err); !ok || f.Kind != c.kind || f.Field != c.field {
				t.Errorf("got %v, want %s of %s", err, c.kind, c.field)
			}
		})
	}
}

// A form has the limit of its route, and is refused like JSON that is too large.
func TestFormsAreLimited(t *testing.T) {
	h := New(Config{Deployable: "users", Verifier: tokens{}}, func() map[string]Endpoint {
		endpoints := map[string]Endpoint{}
		for _, r := range Routes {
			if r.Deployable == "users" {
				endpoints[r.Method+" "+r.Pattern] = Endpoint{Handle: func(w http.ResponseWriter, r *http.Request) error {
					form, err := ReadForm(r, "a")
					if err != nil {
						return err
					}
					return Reply(w, http.StatusOK, len(form.Value("a")))
				}}
			}
		}
		return endpoints
	}())
	for length, want := range map[int]int{credentials: 200, credentials + 1: 413} {
		r := httptest.NewRequest("POST", "/v1/tokens", strings.NewReader("a="+strings.Repeat("x", length-2)))
		r.Header.Set("Content-Type", FormType)
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%d bytes: %d %s", length, w.Code, w.Body)
		}
	}
}
