package pages_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"plaudit/shared/access"
	"plaudit/shared/jose"
	"plaudit/shared/postgres/pgtest"
	pgusers "plaudit/shared/postgres/users"
	"plaudit/shared/trace"
	"plaudit/shared/user"
	"plaudit/shared/web"
	"plaudit/shared/web/pages"
	"plaudit/shared/web/users"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// signing makes one key pair for all tests, because that is slow.
var signing = sync.OnceValues(func() (pem, jwks string) {
	pem, jwks, err := jose.GenerateKey()
	if err != nil {
		panic(err)
	}
	return pem, jwks
})

const password, nextPassword = "correct horse", "another horse"

// site is the users service over a database of its own.
type site struct {
	*testing.T
	handler http.Handler
	service *user.Service
	db      *pgtest.Database
	from    string // RemoteAddr of requests
	accept  string // Accept-Language of requests
}

func start(t *testing.T) *site {
	t.Helper()
	pem, jwks := signing()
	signer, err := jose.NewSigner(pem)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := jose.NewVerifier(jwks)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{T: t, db: pgtest.Users(t), from: "192.0.2.1:1234"}
	s.service = &user.Service{
		Store: pgusers.New(s.db.Open("users_service")), Signer: signer, Passwords: user.NewPasswords(2),
		Hashing: user.NewTurns(2, 50, 50), Tokens: user.NewTurns(1, 50, 50),
		Limits: user.Limits{LoginsPerAddress: 20, SignUpsPerHour: 1000, TokensPerSession: 1000, TokensPerAddress: 1000},
		First:  user.Credentials{Email: "admin@example.com", Password: "the first admin's"},
	}
	endpoints := users.Endpoints(s.service, jwks)
	maps.Copy(endpoints, pages.Endpoints(s.service))
	s.handler = web.New(web.Config{Deployable: "users", Verifier: verifier}, endpoints)
	return s
}

// signUp makes an account and returns its id.
func (s *site) signUp(email string) string {
	s.Helper()
	u, err := s.service.SignUp(s.Context(), "192.0.2.9", user.SignUp{Email: email, Password: password, DisplayName: "진"})
	if err != nil {
		s.Fatal(err)
	}
	return u.ID
}

// verified reports whether an account's address is verified.
func (s *site) verified(id string) bool {
	s.Helper()
	u, err := s.service.Store.ByID(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	return u.EmailVerified
}

// resetLink asks for a link that resets an account's password, and returns its token.
func (s *site) resetLink(id, email string) string {
	s.Helper()
	if err := s.service.RequestReset(s.Context(), "192.0.2.9", email); err != nil {
		s.Fatal(err)
	}
	return s.link(id, user.ResetLink)
}

// link returns the token of a link, as notify asks for it.
func (s *site) link(id string, kind user.MailLinkKind) string {
	s.Helper()
	link, err := s.service.MailLink(s.Context(), id, kind, "")
	if err != nil {
		s.Fatal(err)
	}
	_, token, _ := strings.Cut(link.URL, "?token=")
	return token
}

// logsIn reports whether the password is the account's.
func (s *site) logsIn(email, password string) bool {
	s.Helper()
	_, err := s.service.Login(s.Context(), "192.0.2.9", user.LogIn{Email: email, Password: password})
	return err == nil
}

// page is a page as a reader meets it.
type page struct {
	status      int
	header      http.Header
	text        string // of the document
	lang, title string
	said        string // all that can be read
	action      string
	method      string
	fields      url.Values        // of the form, with their values; nil if it has no form
	attributes  map[string]string // of the fields by name, as `autocomplete=…`, joined
	alert       string
	other       string // the address in the other language
	elements    []string
}

// request is what a browser sends: the form's fields if there are any.
func (s *site) request(method, target string, form url.Values) page {
	s.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", web.FormType)
	}
	r.RemoteAddr = s.from
	if s.accept != "" {
		r.Header.Set("Accept-Language", s.accept)
	}
	r = r.WithContext(trace.With(r.Context(), trace.Info{RequestID: "request-7"}))
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return s.read(w)
}

func (s *site) read(w *httptest.ResponseRecorder) page {
	s.Helper()
	p := page{status: w.Code, header: w.Header(), text: w.Body.String(), attributes: map[string]string{}}
	if p.header.Get("Content-Type") != "text/html; charset=utf-8" {
		s.Fatalf("%d %v %s is no page", p.status, p.header, p.text)
	}
	doc, err := html.Parse(strings.NewReader(p.text))
	if err != nil {
		s.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "title" {
			p.said += strings.TrimSpace(n.Data) + "\n"
		}
		if n.Type != html.ElementNode {
			continue
		}
		p.elements = append(p.elements, n.Data)
		at := map[string]string{}
		var all []string
		for _, a := range n.Attr {
			at[a.Key] = a.Val
			all = append(all, a.Key+"="+a.Val)
		}
		switch n.Data {
		case "html":
			p.lang = at["lang"]
		case "title":
			p.title = n.FirstChild.Data
		case "form":
			p.action, p.method, p.fields = at["action"], at["method"], url.Values{}
		case "input":
			p.fields.Set(at["name"], at["value"])
			p.attributes[at["name"]] = strings.Join(all, " ")
		case "a":
			p.other = at["href"]
		}
		if at["role"] == "alert" {
			p.alert = n.FirstChild.Data
		}
	}
	return p
}

// submit sends the page's form, with what a person enters, as a browser does.
func (s *site) submit(at string, p page, entered ...string) page {
	s.Helper()
	if p.fields == nil || p.method != "post" {
		s.Fatalf("no form: %s", p.text)
	}
	base, err := url.Parse("https://plaudit.example" + at)
	if err != nil {
		s.Fatal(err)
	}
	to, err := base.Parse(p.action)
	if err != nil || to.Host != base.Host {
		s.Fatalf("the form is sent to %s, %v", p.action, err)
	}
	form := maps.Clone(p.fields)
	for i := 0; i < len(entered); i += 2 {
		if !form.Has(entered[i]) {
			s.Fatalf("no field %s: %s", entered[i], p.text)
		}
		form.Set(entered[i], entered[i+1])
	}
	return s.request("POST", to.RequestURI(), form)
}

func TestVerifyPage(t *testing.T) {
	s := start(t)
	id := s.signUp("jin@example.com")
	link := s.link(id, user.VerifyLink)
	at := "/verify?token=" + link
	p := s.request("GET", at, nil)
	if p.status != 200 || p.lang != "en" || p.title != "Confirm your e-mail address" || !strings.Contains(p.said, "did not ask") || p.fields.Get("token") != link {
		t.Errorf("got %d %s", p.status, p.text)
	}
	done := s.submit(at, p)
	if done.status != 200 || done.title != "Your address is confirmed" || !s.verified(id) || done.fields != nil || strings.Contains(done.text, link) {
		t.Errorf("got %d %s", done.status, done.text)
	}
	again := s.submit(at, p)
	if again.status != 404 || again.title != "This link is not valid" || again.fields != nil {
		t.Errorf("once more: %d %s", again.status, again.text)
	}
}

func TestResetPage(t *testing.T) {
	s := start(t)
	id := s.signUp("jin@example.com")
	at := "/reset?token=" + s.resetLink(id, "jin@example.com")
	p := s.request("GET", at, nil)
	if p.status != 200 || p.title != "Choose a new password" || p.alert != "" {
		t.Errorf("got %d %s", p.status, p.text)
	}
	for _, name := range []string{"password", "again"} {
		for _, want := range []string{"type=password", "autocomplete=new-password", "required=", "id=" + name} {
			if !strings.Contains(p.attributes[name], want) {
				t.Errorf("%s has no %s: %s", name, want, p.attributes[name])
			}
		}
		if !strings.Contains(p.text, `<label for="`+name+`">`) {
			t.Errorf("%s has no label", name)
		}
	}
	// What is wrong stands beside its field, and uses nothing up.
	for _, c := range []struct{ name, password, again, field, alert string }{
		{"they differ", nextPassword, nextPassword + "s", "again", "The two passwords differ. Enter the new password twice."},
		{"one is missing", "", "", "password", "Enter a password."},
		{"it is short", "short", "short", "password", "The password must have 10 to 256 characters."},
		{"it is long", strings.Repeat("가", 257), strings.Repeat("가", 257), "password", "The password must have 10 to 256 characters."},
		{"it is common", "password123", "password123", "password", "This password is too common. Choose another, such as a few words that only you would combine."},
		{"it is the address", "jin@example.com", "jin@example.com", "password", "The password must not be your e-mail address or the part before its @."},
	} {
		wrong := s.submit(at, p, "password", c.password, "again", c.again)
		if wrong.status != 400 || wrong.alert != c.alert || strings.Count(wrong.text, `role="alert"`) != 1 {
			t.Errorf("%s: %d %s", c.name, wrong.status, wrong.text)
		}
		for name, attributes := range wrong.attributes {
			if marked := strings.Contains(attributes, "aria-invalid=true") && strings.Contains(attributes, "error"); marked != (name == c.field) {
				t.Errorf("%s: %s is marked: %t", c.name, name, marked)
			}
		}
		if wrong.fields.Get("password") != "" || wrong.fields.Get("again") != "" || wrong.fields.Get("token") != p.fields.Get("token") {
			t.Errorf("%s: the form has %v", c.name, wrong.fields)
		}
		p = wrong // go on from there
	}
	long := nextPassword + strings.Repeat("😀", 256-len(nextPassword)) // each takes 12 bytes, twice
	done := s.submit(at, p, "password", long, "again", long)
	if done.status != 200 || done.title != "Your password is set" || done.fields != nil || !s.logsIn("jin@example.com", long) || s.logsIn("jin@example.com", password) || !s.verified(id) {
		t.Errorf("got %d %s", done.status, done.text)
	}
	if again := s.submit(at, p, "password", nextPassword, "again", nextPassword); again.status != 404 || again.title != "This link is not valid" {
		t.Errorf("once more: %d %s", again.status, again.text)
	}
}

// Mail programs and their scanners open links. They see the same for every token.
func TestOpeningALinkUsesNothingUp(t *testing.T) {
	s := start(t)
	id := s.signUp("jin@example.com")
	reset := s.resetLink(id, "jin@example.com")
	made := strings.Repeat("A", 43)
	for path, token := range map[string]string{"/verify": s.link(id, user.VerifyLink), "/reset": reset} {
		for _, method := range []string{"GET", "HEAD", "GET"} {
			r := httptest.NewRequest(method, path+"?token="+token, nil)
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, r)
			if w.Code != 200 {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
		good, bad := s.request("GET", path+"?token="+token, nil), s.request("GET", path+"?token="+made, nil)
		if strings.ReplaceAll(good.text, token, made) != bad.text || fmt.Sprint(good.header) != fmt.Sprint(bad.header) {
			t.Errorf("%s shows for a token\n%s\nand for another one\n%s", path, good.text, bad.text)
		}
	}
	if s.verified(id) || !s.logsIn("jin@example.com", password) {
		t.Error("opening a link changed something")
	}
	for _, target := range []string{"/verify", "/reset", "/verify?token=", "/reset?token=%zz&x=;", "/verify?token=a&token=b", "/verify?token=%00%ff", "/verify?utm_source=mail&token=a&lang=xx", "/reset?token=" + strings.Repeat("x", 5000)} {
		if p := s.request("GET", target, nil); p.status != 200 || p.fields == nil || len(p.fields.Get("token")) > 64*3 {
			t.Errorf("%.40s: %d %s", target, p.status, p.text)
		}
	}
	if p := s.request("GET", "/verify?token="+url.QueryEscape(`"><script>alert(1)</script>`), nil); strings.Contains(p.text, "<script") || p.fields.Get("token") != `"><script>alert(1)</script>` {
		t.Errorf("got %s", p.text)
	}
}

func TestLanguages(t *testing.T) {
	s := start(t)
	for _, c := range []struct{ accept, target, lang string }{
		{"", "/verify?token=x", "en"},
		{"ko", "/verify?token=x", "ko"},
		{"ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "/reset?token=x", "ko"},
		{"en-US,en;q=0.9,ko;q=0.8", "/reset?token=x", "en"},
		{"fr-FR,fr;q=0.9,ko;q=0.5", "/verify?token=x", "ko"},
		{"fr", "/verify?token=x", "en"},
		{"*", "/verify?token=x", "en"},
		{strings.Repeat("x-", 3000) + ";q=,,;;", "/verify?token=x", "en"},
		{"ko", "/verify?token=x&lang=en", "en"},
		{"en", "/reset?lang=ko&token=x", "ko"},
		{"ko", "/verify?token=x&lang=fr", "ko"},
	} {
		s.accept = c.accept
		p := s.request("GET", c.target, nil)
		if p.lang != c.lang || p.header.Get("Content-Language") != c.lang {
			t.Errorf("%.40s %s: %s %v", c.accept, c.target, p.lang, p.header)
		}
		// Its form goes on in the language, and the link leads to the same page in the other.
		s.accept = ""
		if strings.Contains(c.target, "lang=") || c.accept == "" {
			want := map[string]string{"en": "This link is not valid", "ko": "유효하지 않은 링크입니다"}[c.lang]
			if strings.HasPrefix(c.target, "/verify") && !strings.Contains(c.target, "lang=fr") {
				if done := s.submit(c.target, p); done.title != want || done.lang != c.lang || done.status != 404 {
					t.Errorf("%s: the form answers %d %s", c.target, done.status, done.text)
				}
			}
		}
		if other := s.request("GET", p.other, nil); other.lang == c.lang || other.fields.Get("token") != "x" || strings.Split(p.other, "?")[0] != strings.Split(c.target, "?")[0] {
			t.Errorf("%s: the other language is at %s: %s", c.target, p.other, other.text)
		}
	}
}

// latin finds words that are not Korean, names of ours and the at sign's aside.
var latin = regexp.MustCompile(`[A-Za-z]{2,}`)

// All that can be read in Korean is Korean, errors too.
func TestKoreanPages(t *testing.T) {
	s := start(t)
	id := s.signUp("jin@example.com")
	at := "/reset?lang=ko&token=" + s.resetLink(id, "jin@example.com")
	p := s.request("GET", at, nil)
	all := map[string]page{"reset": p, "verify": s.request("GET", "/verify?lang=ko&token=x", nil), "not a form": s.request("POST", "/reset?lang=ko", nil)}
	for name, entered := range map[string][]string{
		"differ": {nextPassword, "x"}, "missing": {"", ""}, "short": {"short", "short"}, "common": {"password123", "password123"},
		"own": {"jin@example.com", "jin@example.com"}, "NUL": {"1234567890\x00", "1234567890\x00"},
	} {
		all[name] = s.submit(at, p, "password", entered[0], "again", entered[1])
		if withForm := name != "NUL"; all[name].status != 400 || withForm != (all[name].alert != "") {
			t.Errorf("%s: %d %s", name, all[name].status, all[name].text)
		}
	}
	all["set"] = s.submit(at, p, "password", nextPassword, "again", nextPassword)
	all["used"] = s.submit(at, p, "password", nextPassword, "again", nextPassword)
	for name, p := range all {
		said := strings.ReplaceAll(strings.ReplaceAll(p.said, "English", ""), "request-7", "")
		if p.lang != "ko" || latin.MatchString(said+p.title) || !strings.ContainsFunc(p.title, func(r rune) bool { return r >= '가' && r <= '힣' }) {
			t.Errorf("%s: %s: %s", name, p.title, p.said)
		}
	}
	if all["set"].status != 200 || all["used"].status != 404 || all["not a form"].status != 415 {
		t.Errorf("got %d, %d and %d", all["set"].status, all["used"].status, all["not a form"].status)
	}
}

// An address that somebody else has by now is said in words, too.
func TestTakenAddressOnThePage(t *testing.T) {
	s := start(t)
	id := s.signUp("old@example.com")
	if _, err := s.service.ChangeAddress(t.Context(), "192.0.2.9", access.Caller{User: id, Role: access.Member}, password, "new@example.com"); err != nil {
		t.Fatal(err)
	}
	link := "/verify?token=" + s.link(id, user.VerifyLink)
	s.signUp("new@example.com")
	if p := s.submit(link, s.request("GET", link, nil)); p.status != 409 || p.title != "This address has an account" {
		t.Errorf("got %d %s", p.status, p.text)
	}
}

func TestFailuresArePages(t *testing.T) {
	s := start(t)
	form := url.Values{"token": {strings.Repeat("A", 43)}}
	too := url.Values{"token": {strings.Repeat("A", 13000)}}
	for name, c := range map[string]struct {
		path   string
		form   url.Values
		status int
	}{
		"too large":        {"/verify", too, 413},
		"too large, reset": {"/reset", too, 413},
		"another field":    {"/verify", url.Values{"token": {"x"}, "password": {"x"}}, 400},
		"a field twice":    {"/verify", url.Values{"token": {"x", "y"}}, 400},
		"no form":          {"/verify", nil, 415},
	} {
		if p := s.request("POST", c.path, c.form); p.status != c.status || p.title != "Something went wrong" || !strings.Contains(p.said, "Open the link in the mail again.") {
			t.Errorf("%s: %d %s", name, p.status, p.text)
		}
	}
	for range 20 {
		s.request("POST", "/verify", form)
	}
	if p := s.request("POST", "/verify", form); p.status != 429 || p.title != "Too many attempts" || p.header.Get("Retry-After") == "" || !strings.Contains(p.said, "minutes.") {
		t.Errorf("got %d %s", p.status, p.text)
	}
	s.from = "192.0.2.2:1"
	for _, path := range []string{"/verify", "/reset"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer x")
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		if p := s.read(w); p.status != 401 {
			t.Errorf("with a bad token: %d %s", p.status, p.text)
		}
	}

	full := url.Values{"token": {strings.Repeat("A", 43)}, "password": {nextPassword}, "again": {nextPassword}}
	if _, err := s.db.Owner().ExecContext(t.Context(), `ALTER TABLE attempts RENAME TO gone`); err != nil {
		t.Fatal(err)
	}
	for path, form := range map[string]url.Values{"/verify": form, "/reset": full} {
		if p := s.request("POST", path, form); p.status != 500 || p.title != "Something went wrong" || strings.Contains(p.text, "attempts") || !strings.Contains(p.said, "request-7") {
			t.Errorf("%s: %d %s", path, p.status, p.text)
		}
	}
	s.service.Store = pgusers.New(s.db.Hasty("users_service"))
	if _, err := s.db.Owner().ExecContext(t.Context(), `ALTER TABLE gone RENAME TO attempts`); err != nil {
		t.Fatal(err)
	}
	release := s.db.Hold(`LOCK TABLE attempts IN ACCESS EXCLUSIVE MODE`)
	defer release()
	for path, form := range map[string]url.Values{"/verify": form, "/reset": full} {
		if p := s.request("POST", path, form); p.status != 503 || p.title != "This does not work at the moment" || p.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s", path, p.status, p.text)
		}
	}
}

// The policy admits the one style by its hash, and the page has nothing else that loads
// or runs.
func TestPagesAreSecured(t *testing.T) {
	s := start(t)
	for name, p := range map[string]page{
		"verify": s.request("GET", "/verify?token=x", nil), "reset": s.request("GET", "/reset?token=x", nil),
		"an error": s.request("POST", "/verify", url.Values{"token": {"x"}}),
	} {
		style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(p.text)
		if style == nil {
			t.Fatalf("%s has no style: %s", name, p.text)
		}
		sum := sha256.Sum256([]byte(style[1]))
		for header, want := range map[string]string{
			"Cache-Control":             "no-store",
			"Content-Security-Policy":   "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"Referrer-Policy":           "no-referrer",
			"X-Content-Type-Options":    "nosniff",
			"X-Frame-Options":           "DENY",
			"Strict-Transport-Security": "max-age=31536000",
			"Set-Cookie":                "",
		} {
			if got := p.header.Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
		for _, element := range p.elements {
			if !slices.Contains([]string{"html", "head", "meta", "title", "style", "body", "main", "h1", "p", "form", "input", "label", "button", "a"}, element) {
				t.Errorf("%s has an element %s", name, element)
			}
		}
		if strings.Contains(p.text, "style=") || strings.Contains(p.text, " on") && regexp.MustCompile(` on[a-z]+=`).MatchString(p.text) || strings.Contains(p.text, "http:") {
			t.Errorf("%s: %s", name, p.text)
		}
	}
}

// A form of a link works for an hour.
func TestOldLinksOnThePage(t *testing.T) {
	s := start(t)
	id := s.signUp("jin@example.com")
	at := "/reset?token=" + s.resetLink(id, "jin@example.com")
	p := s.request("GET", at, nil)
	later := time.Now().Add(61 * time.Minute).Format(time.RFC3339Nano)
	if _, err := s.db.Owner().ExecContext(t.Context(), `CREATE OR REPLACE FUNCTION plaudit_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT timestamptz '`+later+`' $$`); err != nil {
		t.Fatal(err)
	}
	if old := s.submit(at, p, "password", nextPassword, "again", nextPassword); old.status != 404 || old.title != "This link is not valid" {
		t.Errorf("got %d %s", old.status, old.text)
	}
}
