package users_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"plaudit/shared/access"
)

// page is a page as a browser gets it.
type page struct {
	*httptest.ResponseRecorder
	text string
}

const html = "text/html,application/xhtml+xml,*/*;q=0.8"

// browse sends a request as a browser does, if accept is html, or as a program.
func (u *usersUnderTest) browse(method, path, accept, media, body string) page {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = u.from
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	u.handler.ServeHTTP(w, r)
	return page{w, w.Body.String()}
}

const form = "application/x-www-form-urlencoded"

// unsubscribe returns the path of a link that ends a type of mail.
func (u *usersUnderTest) unsubscribe(account, typ string) string {
	u.Helper()
	return strings.TrimPrefix(u.want(u.mailLink(account, fmt.Sprintf(`{"kind": "unsubscribe", "type": %q}`, typ)), 201, "").str("url"), publicURL)
}

// mail returns the account's preferences.
func (u *usersUnderTest) mail(account string) string {
	u.Helper()
	return fmt.Sprint(u.want(u.send("GET", "/v1/users/"+account, u.notify(), ""), 200, "").body["mail"])
}

func TestUnsubscribe(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	other := u.want(u.signUp("b@example.com"), 201, "").str("id")
	link := u.unsubscribe(id, "plaudit.entry.adjusted")
	events := func() int { return u.count("outbox WHERE type = 'plaudit.user.updated'") }

	// Looking changes nothing.
	for range 3 {
		p := u.browse("GET", link, html, "", "")
		if p.Code != 200 || p.Header().Get("Content-Type") != "text/html; charset=utf-8" || p.Header().Get("Cache-Control") != "no-store" ||
			!strings.Contains(p.text, `<html lang="en">`) || !strings.Contains(p.text, "You get mail about penalties and bonuses.") || strings.Count(p.text, "<button") != 1 {
			t.Fatalf("got %d %v %s", p.Code, p.Header(), p.text)
		}
		if head := u.browse("HEAD", link, html, "", ""); head.Code != 200 || head.Header().Get("Content-Length") != p.Header().Get("Content-Length") {
			t.Errorf("HEAD: %d %v", head.Code, head.Header())
		}
	}
	if got := u.mail(id); got != "map[]" || events() != 0 {
		t.Errorf("after looking at it: %s, %d events", got, events())
	}

	// A mail program, in both forms of RFC 8058, and the page's button; as often as they like.
	const parts = "--=_x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--=_x--\r\n"
	for _, c := range []struct{ accept, media, body string }{
		{"", form, "List-Unsubscribe=One-Click"},
		{"*/*", form + "; charset=utf-8", "List-Unsubscribe=One-Click"},
		{"", `multipart/form-data; boundary="=_x"`, parts},
		{html, form, "List-Unsubscribe=One-Click"},
	} {
		p := u.browse("POST", link, c.accept, c.media, c.body)
		if p.Code != 200 || !strings.Contains(p.text, "You no longer get mail about penalties and bonuses.") || strings.Count(p.text, "<button") != 1 || !strings.Contains(p.text, `name="mail" value="on"`) {
			t.Errorf("%s: %d %s", c.media, p.Code, p.text)
		}
		if got := u.mail(id); got != "map[plaudit.entry.adjusted:false]" || events() != 1 {
			t.Errorf("%s: %s, %d events", c.media, got, events())
		}
	}
	if p := u.browse("GET", link, html, "", ""); p.Code != 200 || !strings.Contains(p.text, "You no longer get") {
		t.Errorf("the page is then %d %s", p.Code, p.text)
	}
	if got := u.mail(other); got != "map[]" {
		t.Errorf("the other account has %s", got)
	}
	if n := u.count(`outbox WHERE type = 'plaudit.user.updated' AND actor = 'service/users' AND data = '{"changes":{"mail":{}}}' AND subject = 'user/` + id + `'`); n != 1 {
		t.Errorf("%d events", n)
	}

	// On again.
	for range 2 {
		if p := u.browse("POST", link, html, form, "mail=on"); p.Code != 200 || !strings.Contains(p.text, "You get mail about") {
			t.Errorf("got %d %s", p.Code, p.text)
		}
		if got := u.mail(id); got != "map[plaudit.entry.adjusted:true]" || events() != 2 {
			t.Errorf("on again: %s, %d events", got, events())
		}
	}

	// An older link of the same type works, and other types have their own.
	if p := u.browse("POST", u.unsubscribe(id, "other"), "", form, "List-Unsubscribe=One-Click"); p.Code != 200 {
		t.Errorf("got %d %s", p.Code, p.text)
	}
	if got := u.mail(id); got != "map[other:false plaudit.entry.adjusted:true]" {
		t.Errorf("got %s", got)
	}
}

func TestUnsubscribePagesAreInTheReadersLanguage(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.send("POST", "/v1/users", "", `{"email": "jin@example.com", "password": "correct horse", "display_name": "<b>진", "locale": "ko"}`), 201, "").str("id")
	for typ, name := range map[string]string{
		"plaudit.entry.adjusted": "점수 조정", "plaudit.entry.reversed": "기록 취소", "plaudit.player.changed": "상태 변경",
		"plaudit.player.link-proposed": "참가자 연결 제안", "plaudit.board.period-closed": "최종 결과", "other": "다른 시스템의 변경 사항",
	} {
		link := u.unsubscribe(id, typ)
		if p := u.browse("GET", link, html, "", ""); p.Code != 200 || !strings.Contains(p.text, `<html lang="ko">`) || !strings.Contains(p.text, "현재 ‘"+name+"’ 메일을 받고 있습니다.") || !strings.Contains(p.text, ">수신 거부<") {
			t.Errorf("%s: %d %s", typ, p.Code, p.text)
		}
		if p := u.browse("POST", link, html, form, "List-Unsubscribe=One-Click"); p.Code != 200 || !strings.Contains(p.text, "이제 ‘"+name+"’ 메일을 보내지 않습니다.") || !strings.Contains(p.text, ">다시 받기<") {
			t.Errorf("%s: %d %s", typ, p.Code, p.text)
		}
	}
	u.want(u.send("PATCH", "/v1/users/me", u.token(id, access.Member), `{"locale": "en"}`), 200, "")
	for typ, name := range map[string]string{
		"plaudit.entry.adjusted": "penalties and bonuses", "plaudit.entry.reversed": "cancelled entries", "plaudit.player.changed": "changes of your status",
		"plaudit.player.link-proposed": "proposals to link a player to you", "plaudit.board.period-closed": "final results", "other": "changes in other systems",
	} {
		if p := u.browse("GET", u.unsubscribe(id, typ), html, "", ""); p.Code != 200 || !strings.Contains(p.text, "You no longer get mail about "+name+".") {
			t.Errorf("%s: %d %s", typ, p.Code, p.text)
		}
	}
}

// The page works without JavaScript, loads nothing, and may do no more.
func TestUnsubscribePagesAreSelfContained(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	link := u.unsubscribe(id, "other")
	for name, p := range map[string]page{"the page": u.browse("GET", link, html, "", ""), "a refusal": u.browse("GET", link+"x", html, "", "")} {
		style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(p.text)
		if style == nil {
			t.Fatalf("%s: %s", name, p.text)
		}
		sum := sha256.Sum256([]byte(style[1]))
		for header, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"Referrer-Policy":         "no-referrer",
			"X-Content-Type-Options":  "nosniff",
			"X-Frame-Options":         "DENY",
			"Cache-Control":           "no-store",
			"Set-Cookie":              "",
		} {
			if got := p.Header().Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
		for _, part := range []string{"<script", "<link", "<img", "http:", "https:", "jin@", id, "style=", "onclick"} {
			if strings.Contains(p.text, part) {
				t.Errorf("%s contains %s: %s", name, part, p.text)
			}
		}
		if !strings.Contains(p.text, `<meta name="viewport"`) || !strings.Contains(p.text, "<title>") {
			t.Errorf("%s: %s", name, p.text)
		}
	}
}

// Every token that is not valid gets the same 404, and changes nothing.
func TestUnsubscribeTokensCannotBeMadeUp(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	never := u.want(u.signUp("b@example.com"), 201, "").str("id") // has no secret
	gone := u.want(u.signUp("c@example.com"), 201, "").str("id")
	path := u.unsubscribe(id, "plaudit.entry.adjusted")
	erased := u.unsubscribe(gone, "other")
	u.want(u.send("DELETE", "/v1/users/me", u.token(gone, access.Member), ""), 204, "")
	token := strings.TrimPrefix(path, "/v1/unsubscribe/")
	content, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(f func(b []byte) []byte) string {
		return base64.RawURLEncoding.EncodeToString(f([]byte(string(content))))
	}
	tokens := map[string]string{
		"short": "x", "not base64url": "a+b=", "padded": token + "=", "longer": token + "AAAA", "very long": strings.Repeat("A", 3000), "zeros": strings.Repeat("A", 90),
		"cut": token[:len(token)-4], "without a type": base64.RawURLEncoding.EncodeToString(content[:48]), "an id alone": base64.RawURLEncoding.EncodeToString(content[:16]),
		"an erased account's":  strings.TrimPrefix(erased, "/v1/unsubscribe/"),
		"another signature":    changed(func(b []byte) []byte { b[20] ^= 1; return b }),
		"another account":      changed(func(b []byte) []byte { b[0] ^= 1; return b }),
		"another type":         changed(func(b []byte) []byte { return append(b[:48], "other"...) }),
		"a type that is no":    changed(func(b []byte) []byte { return append(b[:48], "plaudit.key.created"...) }),
		"no signature":         changed(func(b []byte) []byte { return append(b[:16], "plaudit.entry.adjusted"...) }),
		"without secret":       changed(func(b []byte) []byte { return append(uuidOf(never), b[16:]...) }),
		"the id as a text":     id,
		"a link that verifies": u.link(id),
	}
	want := u.browse("GET", "/v1/unsubscribe/"+strings.Repeat("A", 43), "", "", "")
	if want.Code != 404 || !strings.Contains(want.text, `"field":"token"`) || want.Header().Get("Content-Type") != "application/problem+json" {
		t.Fatalf("got %d %v %s", want.Code, want.Header(), want.text)
	}
	wantPage := u.browse("GET", "/v1/unsubscribe/"+strings.Repeat("A", 43), html, "", "")
	if wantPage.Code != 404 || !strings.Contains(wantPage.text, "not valid") || !strings.Contains(wantPage.text, "유효하지 않은") || strings.Contains(wantPage.text, "<form") {
		t.Errorf("as a page: %d %s", wantPage.Code, wantPage.text)
	}
	for name, token := range tokens {
		path := "/v1/unsubscribe/" + strings.ReplaceAll(token, "+", "%2B")
		for _, p := range []page{u.browse("GET", path, "", "", ""), u.browse("POST", path, "", form, "List-Unsubscribe=One-Click"), u.browse("POST", path, "", form, "mail=on")} {
			if p.Code != 404 || p.text != want.text {
				t.Errorf("%s: %d %s", name, p.Code, p.text)
			}
		}
		if p := u.browse("POST", path, html, form, "List-Unsubscribe=One-Click"); p.Code != 404 || p.text != wantPage.text {
			t.Errorf("%s, as a page: %d %s", name, p.Code, p.text)
		}
	}
	if n := u.count("users WHERE mail <> '{}'"); n != 0 {
		t.Errorf("%d accounts were changed", n)
	}
	if p := u.browse("POST", path, "", form, "List-Unsubscribe=One-Click"); p.Code != 200 {
		t.Errorf("the good one: %d %s", p.Code, p.text)
	}
}

// uuidOf returns the bytes of an id.
func uuidOf(id string) []byte {
	var b []byte
	fmt.Sscanf(strings.ReplaceAll(id, "-", ""), "%x", &b)
	return b
}

func TestUnsubscribeForms(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	link := u.unsubscribe(id, "other")
	const multi = "multipart/form-data; boundary=x"
	part := func(name, value string) string {
		return "--x\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	for _, c := range []struct {
		media, body string
		status      int
		field       string
	}{
		{form, "", 400, "List-Unsubscribe"},
		{form, "List-Unsubscribe=", 400, "List-Unsubscribe"},
		{form, "List-Unsubscribe=one-click", 400, "List-Unsubscribe"},
		{form, "List-Unsubscribe=One-Click&List-Unsubscribe=One-Click", 400, "List-Unsubscribe"},
		{form, "List-Unsubscribe=One-Click&mail=on", 400, "List-Unsubscribe"},
		{form, "mail=off", 400, "mail"},
		{form, "mail=", 400, "mail"},
		{form, "List-Unsubscribe=One-Click&user=x", 400, "user"},
		{form, "%zz", 400, "body"},
		{form, "List-Unsubscribe=%00", 400, "List-Unsubscribe"},
		{"application/json", `{"mail": "on"}`, 415, "Content-Type"},
		{"", "List-Unsubscribe=One-Click", 415, "Content-Type"},
		{form, "List-Unsubscribe=One-Click&x=" + strings.Repeat("x", 4000), 413, "body"},
		{multi, part("List-Unsubscribe", "One-Click"), 400, "body"},
		{multi, "--x--\r\n", 400, "List-Unsubscribe"},
		{multi, "", 400, "List-Unsubscribe"},
		{"multipart/form-data", part("List-Unsubscribe", "One-Click") + "--x--\r\n", 400, "body"},
		{multi, part("List-Unsubscribe", "One-Click") + part("List-Unsubscribe", "One-Click") + "--x--\r\n", 400, "List-Unsubscribe"},
		{multi, part("mail", "off") + "--x--\r\n", 400, "mail"},
		{multi, part("mail", "on\xff") + "--x--\r\n", 400, "mail"},
		{multi, part("", "x") + "--x--\r\n", 400, ""},
		{multi, part("mail", strings.Repeat("x", 4000)) + "--x--\r\n", 413, "body"},
	} {
		p := u.browse("POST", link, "", c.media, c.body)
		if p.Code != c.status || c.field != "" && !strings.Contains(p.text, fmt.Sprintf(`"field":%q`, c.field)) || p.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %.60q: %d %s, want %d naming %s", c.media, c.body, p.Code, p.text, c.status, c.field)
		}
		if p := u.browse("POST", link, html, c.media, c.body); p.Code != c.status || !strings.HasPrefix(p.text, "<!DOCTYPE html>") {
			t.Errorf("%s %.60q, as a page: %d %s", c.media, c.body, p.Code, p.text)
		}
	}
	for _, method := range []string{"GET", "POST"} {
		if p := u.browse(method, link+"?mail=on", "", form, "mail=on"); p.Code != 400 || !strings.Contains(p.text, `"field":"mail"`) {
			t.Errorf("%s with a query: %d %s", method, p.Code, p.text)
		}
	}
	if got := u.mail(id); got != "map[]" {
		t.Errorf("the preferences are %s", got)
	}
	// What a page quotes of the request is text.
	if p := u.browse("POST", link, html, form, "%3Cscript%3E=1"); p.Code != 400 || strings.Contains(p.text, "<script") {
		t.Errorf("got %d %s", p.Code, p.text)
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH"} {
		if p := u.browse(method, link, "", "", ""); p.Code != 405 || p.Header().Get("Allow") != "GET, HEAD, OPTIONS, POST" {
			t.Errorf("%s: %d %v", method, p.Code, p.Header())
		}
	}
	u.exec(`ALTER TABLE users RENAME COLUMN mail_secret TO gone`)
	if p := u.browse("GET", link, html, "", ""); p.Code != 500 || !strings.Contains(p.text, "Please try again later") {
		t.Errorf("without the column: %d %s", p.Code, p.text)
	}
}

// The first links of an account, made at once, are all valid.
func TestFirstLinksAtOnce(t *testing.T) {
	u := startUsers(t, generous)
	id := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	links := make([]string, 8)
	var wg sync.WaitGroup
	for i := range links {
		wg.Go(func() { links[i] = u.unsubscribe(id, "other") })
	}
	wg.Wait()
	for _, link := range links {
		if p := u.browse("GET", link, "", "", ""); p.Code != 200 {
			t.Errorf("got %d %s", p.Code, p.text)
		}
	}
}

// Each change is an event that stays, so nobody makes them without end.
func TestChangesByALinkAreLimited(t *testing.T) {
	u := startUsers(t, generous)
	account := u.want(u.signUp("jin@example.com"), 201, "").str("id")
	link := u.unsubscribe(account, "other")
	for i := range 20 {
		body := []string{"List-Unsubscribe=One-Click", "mail=on"}[i%2]
		if p := u.browse("POST", link, "", form, body); p.Code != 200 {
			t.Fatalf("change %d: %d %s", i, p.Code, p.text)
		}
	}
	if p := u.browse("POST", link, "", form, "mail=on"); p.Code != 200 { // it is on
		t.Errorf("%d %s", p.Code, p.text)
	}
	if p := u.browse("POST", link, "", form, "List-Unsubscribe=One-Click"); p.Code != 429 || p.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", p.Code, p.text)
	}
}
