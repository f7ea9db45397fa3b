package browser_test

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"

	"plaudit/shared/jose"
	"plaudit/shared/postgres/pgtest"
	pgusers "plaudit/shared/postgres/users"
	"plaudit/shared/user"
	"plaudit/shared/web"
	"plaudit/shared/web/pages"
	"plaudit/shared/web/users"
	"plaudit/tests/browser"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const password, nextPassword = "correct horse", "말 그림 배터리 스테이플"

// service serves the users service on loopback, with an account, and returns it with the
// service's address and the account's id.
func service(t *testing.T) (s *user.Service, url, account string) {
	t.Helper()
	pem, jwks, err := jose.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(pem)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := jose.NewVerifier(jwks)
	if err != nil {
		t.Fatal(err)
	}
	s = &user.Service{
		Store: pgusers.New(pgtest.Users(t).Open("users_service")), Signer: signer, Passwords: user.NewPasswords(2),
		Hashing: user.NewTurns(2, 50, 50), Tokens: user.NewTurns(1, 50, 50),
		Limits: user.Limits{LoginsPerAddress: 1000, SignUpsPerHour: 1000, TokensPerSession: 1000, TokensPerAddress: 1000},
		First:  user.Credentials{Email: "admin@example.com", Password: "the first admin's"},
	}
	endpoints := users.Endpoints(s, jwks)
	maps.Copy(endpoints, pages.Endpoints(s))
	server := httptest.NewServer(web.New(web.Config{Deployable: "users", Verifier: verifier}, endpoints))
	t.Cleanup(server.Close)
	s.PublicURL = server.URL
	u, err := s.SignUp(t.Context(), "192.0.2.9", user.SignUp{Email: "jin@example.com", Password: password, DisplayName: "진"})
	if err != nil {
		t.Fatal(err)
	}
	return s, server.URL, u.ID
}

// link returns a link as a mail has it.
func link(t *testing.T, s *user.Service, account string, kind user.MailLinkKind, typ string) string {
	t.Helper()
	made, err := s.MailLink(t.Context(), account, kind, typ)
	if err != nil {
		t.Fatal(err)
	}
	return made.URL
}

func shows(t *testing.T, tab *browser.Tab, title, text string) {
	t.Helper()
	if gotTitle, got := tab.Text(); gotTitle != title || !strings.Contains(got, text) {
		t.Errorf("the page shows %q:\n%s", gotTitle, got)
	}
}

// quiet checks that the pages have their style, fit a phone, and asked for nothing else.
func quiet(t *testing.T, tab *browser.Tab, url string) {
	t.Helper()
	if width := tab.Width(); width > 360 {
		t.Errorf("the page is %v wide", width)
	}
	for _, r := range tab.Requests() {
		_, address, _ := strings.Cut(r, " ")
		if !strings.HasPrefix(address, url+"/verify") && !strings.HasPrefix(address, url+"/reset") && !strings.HasPrefix(address, url+"/v1/unsubscribe/") {
			t.Errorf("it asked for %s", r)
		}
	}
	for _, c := range tab.Complaints() {
		// The answers to what the test did wrong on purpose, and advice: to name the user, whom
		// the page does not know.
		if !strings.HasPrefix(c, "network: Failed to load resource: the server responded with a status of 4") && !strings.HasPrefix(c, "recommendation: ") {
			t.Errorf("the browser says: %s", c)
		}
	}
}

func TestVerificationInABrowser(t *testing.T) {
	s, url, account := service(t)
	tab := browser.Open(t, "en-GB,en;q=0.9")
	address := link(t, s, account, user.VerifyLink, "")
	tab.Go(address)
	shows(t, tab, "Confirm your e-mail address", "Confirm that this address is yours")
	if color := tab.Style("button", "background-color"); color != "rgb(29, 78, 216)" {
		t.Errorf("the button is %s: the policy refuses the style", color)
	}
	tab.Submit("button")
	shows(t, tab, "Your address is confirmed", "You can close this page.")
	if u, err := s.Store.ByID(t.Context(), account); err != nil || !u.EmailVerified {
		t.Errorf("the account is %+v, %v", u, err)
	}
	tab.Go(address)
	tab.Submit("button")
	shows(t, tab, "This link is not valid", "It has been used")
	quiet(t, tab, url)
}

func TestResetInABrowser(t *testing.T) {
	s, url, account := service(t)
	if err := s.RequestReset(t.Context(), "192.0.2.9", "jin@example.com"); err != nil {
		t.Fatal(err)
	}
	tab := browser.Open(t, "ko-KR,ko;q=0.9,en;q=0.8")
	tab.Go(link(t, s, account, user.ResetLink, ""))
	shows(t, tab, "새 비밀번호 설정", "모든 기기에서 로그아웃됩니다")
	for _, c := range []struct{ password, again, says string }{
		{nextPassword, nextPassword + "!", "두 비밀번호가 서로 다릅니다"},
		{"password123", "password123", "너무 흔한 비밀번호입니다"},
	} {
		tab.Type("#password", c.password)
		tab.Type("#again", c.again)
		tab.Submit("button")
		shows(t, tab, "새 비밀번호 설정", c.says)
	}
	// The other language, in the middle of it, is a link of the page that the mail opened.
	tab.Go(link(t, s, account, user.ResetLink, ""))
	tab.Submit("a[hreflang=en]")
	shows(t, tab, "Choose a new password", "New password")
	tab.Type("#password", nextPassword)
	tab.Type("#again", nextPassword)
	tab.Submit("button")
	shows(t, tab, "Your password is set", "Log in with the new password.")
	for password, want := range map[string]bool{password: false, nextPassword: true} {
		if _, err := s.Login(t.Context(), "192.0.2.9", user.LogIn{Email: "jin@example.com", Password: password}); (err == nil) != want {
			t.Errorf("logging in with %s: %v", password, err)
		}
	}
	// No address of a page that the form led to has the token or the password.
	for _, r := range tab.Requests() {
		if strings.HasPrefix(r, "POST ") && r != fmt.Sprintf("POST %s/reset", url) && r != fmt.Sprintf("POST %s/reset?lang=en", url) {
			t.Errorf("the form was sent as %s", r)
		}
	}
	quiet(t, tab, url)
}

func TestUnsubscribingInABrowser(t *testing.T) {
	s, url, account := service(t)
	wants := func() bool {
		t.Helper()
		u, err := s.Store.ByID(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		on, chosen := u.Mail["plaudit.entry.adjusted"]
		return on || !chosen
	}
	tab := browser.Open(t, "en")
	tab.Go(link(t, s, account, user.UnsubscribeLink, "plaudit.entry.adjusted"))
	shows(t, tab, "Stop this mail?", "penalties and bonuses")
	if !wants() {
		t.Error("opening the link changed something")
	}
	tab.Submit("button")
	shows(t, tab, "Unsubscribed", "You no longer get mail about penalties and bonuses.")
	if wants() {
		t.Error("the button changed nothing")
	}
	tab.Submit("button")
	shows(t, tab, "Stop this mail?", "penalties and bonuses")
	if !wants() {
		t.Error("the second button changed nothing")
	}
	quiet(t, tab, url)
}
