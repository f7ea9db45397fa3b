package web

import (
	"errors"
	"net/http"
	"testing"
)

func TestEveryAnswerIsSecured(t *testing.T) {
	h := boardAdmin(func(w http.ResponseWriter, r *http.Request) error {
		switch Param(r, "board") {
		case "broken":
			return errors.New("broken")
		case "panic":
			panic("x")
		}
		return Reply(w, http.StatusOK, 1)
	}, nil)
	for _, c := range []struct {
		method, target, authorization string
		status                        int
	}{
		{"PATCH", "/v1/boards/x", "Bearer member", 200},
		{"PATCH", "/v1/boards/x", "", 401},
		{"PATCH", "/v1/boards/x", "Bearer nope", 401},
		{"POST", "/v1/boards", "Bearer member", 403},
		{"GET", "/", "", 404},
		{"DELETE", "/v1/boards/x", "", 405},
		{"OPTIONS", "/v1/boards/x", "", 204},
		{"PATCH", "/v1/boards/broken", "Bearer member", 500},
		{"PATCH", "/v1/boards/panic", "Bearer member", 500},
	} {
		w := send(h, c.method, c.target, c.authorization)
		if w.Code != c.status {
			t.Errorf("%s %s: got %d, want %d", c.method, c.target, w.Code, c.status)
		}
		for name, want := range map[string]string{
			"Cache-Control":                "no-store",
			"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
			"Cross-Origin-Resource-Policy": "same-origin",
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
			"Referrer-Policy":              "no-referrer",
			"Strict-Transport-Security":    "max-age=31536000",
			"Set-Cookie":                   "",
			"Server":                       "",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s %s, %d: %s is %q, want %q", c.method, c.target, c.status, name, got, want)
			}
		}
	}
}
