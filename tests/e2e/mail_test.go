package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/timezone"
)

// mail is a message of the laptop's inbox.
type mail struct {
	ID, From, Subject, Text, HTML string
	To                            []string
	Headers                       map[string]any
	At                            time.Time
	Status                        string
}

// inbox returns an address's mails, the newest first.
func inbox(t *testing.T, to string) (mails []mail) {
	t.Helper()
	resp, err := client.Get(stack.Info.Inbox + "/messages?limit=1000&to=" + url.QueryEscape(to))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the inbox answered %s", resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&mails); err != nil {
		t.Fatal(err)
	}
	return mails
}

// mailed waits until the account has n mails for which is reports true, and returns
// these, the newest first.
func (a *account) mailed(t *testing.T, n int, is func(mail) bool) (mails []mail) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d mails of a kind", n), func() bool {
		mails = slices.DeleteFunc(inbox(t, a.email), func(m mail) bool { return !is(m) })
		return len(mails) >= n
	})
	if len(mails) != n {
		t.Fatalf("%d mails, want %d: %q", len(mails), n, subjects(mails))
	}
	for _, m := range mails {
		if !slices.Equal(m.To, []string{a.email}) || m.Text == "" || m.HTML == "" || strings.ContainsAny(m.Subject, "\r\n") {
			t.Errorf("a mail is %+v", m)
		}
		if url := unsubscribe.FindString(m.HTML); url != "" {
			leaks.note("the link of a mail", url[strings.LastIndexByte(url, '/')+1:])
		}
	}
	return mails
}

func subjects(mails []mail) (out []string) {
	for _, m := range mails {
		out = append(out, m.Subject)
	}
	return out
}

// containing reports whether a mail has all of the texts. Mails have invisible characters
// that keep mail programs from making links of what people wrote.
func containing(texts ...string) func(mail) bool {
	return func(m mail) bool {
		visible := strings.ReplaceAll(m.Subject+"\n"+m.Text, "\u200c", "")
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(visible, text) })
	}
}

var (
	linkToken   = regexp.MustCompile(`/(?:verify|reset)\?token=([A-Za-z0-9_-]{43})`)
	unsubscribe = regexp.MustCompile(`http[^\s"<>]*/v1/unsubscribe/[A-Za-z0-9_-]+`)
)

func tokenOf(t *testing.T, m mail) string {
	t.Helper()
	match := linkToken.FindStringSubmatch(m.Text)
	if match == nil || !strings.Contains(m.HTML, match[1]) {
		t.Fatalf("a mail has no link: %s", m.Text)
	}
	leaks.note("the token of a mail", match[1])
	return match[1]
}

// reader opens an account whose address is verified.
func reader(t *testing.T, role access.Role, profile string) *account {
	t.Helper()
	a := person(t, role)
	a.verify(t)
	if profile != "" {
		want(t, 200, "PATCH", "/v1/users/me", a.token, profile)
	}
	return a
}

// play makes a board of the owner's, on which a player is the member, with a result of 84.
func play(t *testing.T, owner, member *account, settings string) (board string) {
	t.Helper()
	board = owner.board(t, settings)
	want(t, 201, "POST", "/v1/boards/"+board+"/entries", owner.token, `{"player": "bib-7", "points": 84}`)
	want(t, 200, "PATCH", "/v1/boards/"+board+"/players/bib-7", owner.token, fmt.Sprintf(`{"user": %q}`, member.id))
	want(t, 200, "PUT", "/v1/players/me/links/"+board+"/bib-7", member.token, "")
	return board
}

// settled waits until all that was sent before has arrived: the marker's own mail comes
// after it.
func settled(t *testing.T) {
	t.Helper()
	marker := reader(t, access.Member, "")
	want(t, 201, "POST", "/v1/audit/events", rolesBy(t), fmt.Sprintf(`{"specversion": "1.0", "id": %q, "source": "/marker", "type": "com.example.marker", "subject": "marker/1", "notify": %q, "data": {}}`, unique("marker"), marker.id))
	marker.mailed(t, 1, containing("marker/1"))
	time.Sleep(300 * time.Millisecond) // notify's other process may send the one before
}

// closePeriods invokes period-close, until nothing is due.
func closePeriods(t *testing.T) {
	t.Helper()
	cmd := exec.Command(stack.Program("local"), "invoke", "period-close")
	cmd.Dir = stack.Root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("invoke period-close: %v\n%s", err, out)
	}
}

// A closed run is told to the owners and to the users of the first three, with the final
// table. One that closed because a draft was opened is told to nobody.
func TestAClosedPeriodIsTold(t *testing.T) {
	owner, first, fourth := reader(t, access.Organizer, `{"display_name": "Kim Minji"}`), reader(t, access.Member, `{"display_name": "Runner One", "locale": "ko", "time_zone": "Asia/Seoul"}`), reader(t, access.Member, "")
	now := time.Now().UTC()
	season := func(state string) string {
		return owner.board(t, fmt.Sprintf(`, "state": %q, "grace": "0s", "periods": [{"name": "Spring", "start": %q, "end": %q}]`,
			state, now.Add(-time.Hour).Format(time.RFC3339), now.Add(5*time.Second).Format(time.RFC3339)))
	}
	open, draft := season("open"), season("draft")
	for _, board := range []string{open, draft} {
		for i, who := range []*account{first, nil, nil, fourth} {
			want(t, 201, "POST", "/v1/boards/"+board+"/entries", owner.token, fmt.Sprintf(`{"player": "p%d", "points": %d}`, i, 100-i))
			if who != nil && board == open { // nobody can accept a link on a draft
				want(t, 200, "PATCH", fmt.Sprintf("/v1/boards/%s/players/p%d", board, i), owner.token, fmt.Sprintf(`{"user": %q}`, who.id))
				want(t, 200, "PUT", fmt.Sprintf("/v1/players/me/links/%s/p%d", board, i), who.token, "")
			}
		}
	}
	time.Sleep(time.Until(now.Add(6 * time.Second)))
	want(t, 200, "PATCH", "/v1/boards/"+draft, owner.token, `{"state": "open"}`)
	closePeriods(t)
	closePeriods(t)
	first.mailed(t, 1, containing("Spring", "Runner One", "100"))
	owner.mailed(t, 1, containing("Spring", "Runner One", "p1", "99"))
	eventually(t, "both are in the log", func() bool {
		return len(events(t, rolesBy(t), "type=plaudit.board.period-closed&subject=board/"+open)) == 1 &&
			len(events(t, rolesBy(t), "type=plaudit.board.period-closed&subject=board/"+draft)) == 1
	})
	settled(t)
	first.mailed(t, 1, containing("Spring"))
	owner.mailed(t, 1, containing("Spring"))
	if mails := slices.DeleteFunc(inbox(t, fourth.email), func(m mail) bool { return !containing("Spring")(m) }); len(mails) > 0 {
		t.Errorf("the fourth got %q", subjects(mails))
	}
}

// The user of a player hears what others did to their points: what, from what to what,
// who, when and why, in their language and zone. Nobody else does.
func TestPeopleHearWhatOthersDidToTheirPoints(t *testing.T) {
	owner, korean, other := reader(t, access.Organizer, `{"display_name": "Kim Minji"}`), reader(t, access.Member, `{"display_name": "Runner Seven", "locale": "ko", "time_zone": "Asia/Seoul"}`), reader(t, access.Member, "")
	english := reader(t, access.Member, `{"display_name": "Runner Seven", "time_zone": "America/New_York"}`)
	newYork, err := timezone.Load("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	hangul := regexp.MustCompile(`[가-힣]`)
	for _, c := range []struct {
		who    *account
		korean bool
		zone   string
	}{{korean, true, "KST"}, {english, false, time.Now().In(newYork).Format("MST")}} {
		board := play(t, owner, c.who, "")
		want(t, 200, "PATCH", "/v1/boards/"+board, owner.token, `{"title": "Han River 10K"}`)
		entries := "/v1/boards/" + board + "/entries"
		want(t, 201, "POST", entries, owner.token, `{"player": "bib-7", "kind": "adjustment", "points": -5, "note": "cut the course"}`)
		adjusted := c.who.mailed(t, 1, containing("cut the course", "Han River 10K", "Runner Seven", "Kim Minji", "84", "79", c.zone))[0]
		if hangul.MatchString(adjusted.Subject) != c.korean {
			t.Errorf("the subject is %q", adjusted.Subject)
		}
		result := want(t, 201, "POST", entries, owner.token, `{"player": "bib-7", "points": 10}`).text(t, "id")
		want(t, 201, "POST", entries+"/"+result+"/reversal", owner.token, `{"note": "counted twice"}`)
		c.who.mailed(t, 1, containing("counted twice", "Runner Seven", "Kim Minji", "89", "79"))
		want(t, 200, "PATCH", "/v1/boards/"+board+"/players/bib-7", owner.token, `{"status": "disqualified", "note": "wrong shoes"}`)
		c.who.mailed(t, 1, containing("wrong shoes", "Runner Seven"))
		// Results are not told, and neither is what one does oneself.
		want(t, 200, "PATCH", "/v1/boards/"+board, owner.token, fmt.Sprintf(`{"writers": [%q]}`, c.who.id))
		want(t, 201, "POST", entries, c.who.token, `{"player": "bib-7", "kind": "adjustment", "points": 1, "note": "by myself"}`)
	}
	settled(t)
	for _, who := range []*account{korean, english, other, owner} {
		for _, m := range inbox(t, who.email) {
			if strings.Contains(m.Text, "by myself") || (who == other || who == owner) && strings.Contains(m.Text, "Runner Seven") {
				t.Errorf("%s", m.Text)
			}
		}
	}
}

// A batch is one mail for each person whom it concerns.
func TestThreeHundredCorrectionsAreOneMail(t *testing.T) {
	owner, member := reader(t, access.Organizer, ""), reader(t, access.Member, "")
	board := play(t, owner, member, "")
	var items []string
	for i := range 300 {
		items = append(items, fmt.Sprintf(`{"board": %q, "player": "bib-7", "kind": "adjustment", "points": 1, "note": "correction %d of all"}`, board, i+1))
	}
	want(t, 201, "POST", "/v1/entries/batch", owner.token, `{"entries": [`+strings.Join(items, ",")+`]}`)
	m := member.mailed(t, 1, containing("correction 1 of all"))[0]
	if !strings.Contains(m.Text, "300") || !strings.Contains(m.Text, "384") || len(m.HTML) > 100_000 {
		t.Errorf("the mail has %d bytes: %s", len(m.HTML), m.Text)
	}
	settled(t)
	member.mailed(t, 1, containing("correction"))
}

// Mail can be switched off by type, with one click of RFC 8058. A GET of the link, as
// scanners of mail make it, changes nothing.
func TestOneClickUnsubscribes(t *testing.T) {
	owner, member := reader(t, access.Organizer, ""), reader(t, access.Member, "")
	board := play(t, owner, member, "")
	adjust := func(note string) {
		want(t, 201, "POST", "/v1/boards/"+board+"/entries", owner.token, fmt.Sprintf(`{"player": "bib-7", "kind": "adjustment", "points": 1, "note": %q}`, note))
	}
	adjust("the first")
	m := member.mailed(t, 1, containing("the first"))[0]
	header := fmt.Sprint(m.Headers["List-Unsubscribe"])
	link := unsubscribe.FindString(header)
	if link == "" || !strings.Contains(fmt.Sprint(m.Headers["List-Unsubscribe-Post"]), "List-Unsubscribe=One-Click") {
		t.Fatalf("the headers are %v", m.Headers)
	}
	path := strings.TrimPrefix(link, stack.Info.URL)
	leaks.note("the link of a mail", path[strings.LastIndexByte(path, '/')+1:])
	if page := want(t, 200, "GET", path, "", ""); !strings.Contains(page.body, "<form") {
		t.Errorf("the page is %s", page.body)
	}
	adjust("the second")
	member.mailed(t, 1, containing("the second"))
	for range 2 {
		want(t, 200, "POST", path, "", "List-Unsubscribe=One-Click", "Content-Type", "application/x-www-form-urlencoded")
	}
	if a := want(t, 200, "GET", "/v1/users/me", member.token, ""); a.json(t, "mail", "plaudit.entry.adjusted") != false {
		t.Errorf("the account is %s", a.body)
	}
	adjust("the third")
	// Another type still arrives.
	want(t, 200, "PATCH", "/v1/boards/"+board+"/players/bib-7", owner.token, `{"status": "hidden", "note": "for now"}`)
	member.mailed(t, 1, containing("for now"))
	settled(t)
	if mails := slices.DeleteFunc(inbox(t, member.email), func(m mail) bool { return !containing("the third")(m) }); len(mails) > 0 {
		t.Errorf("mail was sent: %q", subjects(mails))
	}
	want(t, 404, "POST", "/v1/unsubscribe/"+strings.Repeat("A", 60), "", "List-Unsubscribe=One-Click", "Content-Type", "application/x-www-form-urlencoded")
}

// What protects an account is told whatever the preferences are, and never with the link
// to unsubscribe.
func TestSecurityMailIsAlwaysSent(t *testing.T) {
	a := reader(t, access.Member, `{"mail": {"plaudit.entry.adjusted": false, "other": false}}`)
	want(t, 200, "PATCH", "/v1/users/"+a.id, rolesBy(t), `{"role": "organizer"}`)
	a.logIn(t) // the token of before has no such role
	a.key(t, []string{"read"})
	for range 5 {
		want(t, 401, "POST", "/v1/sessions", "", fmt.Sprintf(`{"email": %q, "password": "wrong horse battery"}`, a.email))
	}
	other := &account{email: a.email}
	other.logIn(t)
	want(t, 200, "POST", "/v1/sessions/refresh", "", fmt.Sprintf(`{"refresh_token": %q}`, other.refresh))
	want(t, 401, "POST", "/v1/sessions/refresh", "", fmt.Sprintf(`{"refresh_token": %q}`, other.refresh))
	want(t, 200, "PATCH", "/v1/users/"+a.id, rolesBy(t), `{"role": "member"}`)
	want(t, 200, "PUT", "/v1/users/me/password", a.token, fmt.Sprintf(`{"current_password": %q, "password": "another horse battery"}`, password))
	var mails []mail
	eventually(t, "seven mails", func() bool { // the link, organizer, key, five failures, reuse, member, password
		mails = inbox(t, a.email)
		return len(mails) >= 7
	})
	settled(t)
	if mails = inbox(t, a.email); len(mails) != 7 {
		t.Errorf("%d mails: %q", len(mails), subjects(mails))
	}
	for _, m := range mails {
		if m.Headers["List-Unsubscribe"] != nil || unsubscribe.MatchString(m.HTML) {
			t.Errorf("security mail can be switched off: %v", m.Headers)
		}
	}
}

// form posts a form, as a browser does without JavaScript.
func form(t *testing.T, path string, values url.Values) (int, string) {
	t.Helper()
	resp, err := client.PostForm(stack.Info.URL+path, values)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// The link of a forgotten password works once, after any number of GETs, and ends every
// session. An address without an account gets the same answer and no mail.
func TestAForgottenPasswordIsReset(t *testing.T) {
	a := reader(t, access.Member, "")
	nobody := unique("nobody") + "@example.com"
	var answers []string
	for _, email := range []string{a.email, nobody} {
		r := want(t, 202, "POST", "/v1/password-resets", "", fmt.Sprintf(`{"email": %q}`, email))
		answers = append(answers, r.body)
	}
	if answers[0] != answers[1] {
		t.Errorf("the answers differ: %q", answers)
	}
	token := tokenOf(t, a.mailed(t, 1, func(m mail) bool { return strings.Contains(m.Text, "/reset?token=") })[0])
	for range 3 {
		if page := want(t, 200, "GET", "/reset?token="+token, "", ""); !strings.Contains(page.body, token) || strings.Contains(page.body, "<script") {
			t.Errorf("the page is %s", page.body)
		}
	}
	const next = "a quite different horse"
	want(t, 200, "PUT", "/v1/password-resets/"+token, "", fmt.Sprintf(`{"password": %q}`, next))
	want(t, 404, "PUT", "/v1/password-resets/"+token, "", fmt.Sprintf(`{"password": %q}`, next))
	want(t, 401, "POST", "/v1/sessions/refresh", "", fmt.Sprintf(`{"refresh_token": %q}`, a.refresh))
	want(t, 401, "POST", "/v1/sessions", "", fmt.Sprintf(`{"email": %q, "password": %q}`, a.email, password))
	want(t, 201, "POST", "/v1/sessions", "", fmt.Sprintf(`{"email": %q, "password": %q}`, a.email, next))
	if mails := inbox(t, nobody); len(mails) > 0 {
		t.Errorf("an address without an account got %q", subjects(mails))
	}
}

// The pages of links work as forms. Scanners of mail that follow a link change nothing.
func TestAnAddressIsVerifiedByTheForm(t *testing.T) {
	a := person(t, access.Member)
	token := a.link(t)
	for range 3 {
		if page := want(t, 200, "GET", "/verify?token="+token, "", ""); !strings.Contains(page.body, token) {
			t.Errorf("the page is %s", page.body)
		}
	}
	if me := want(t, 200, "GET", "/v1/users/me", a.token, ""); me.json(t, "email_verified") != false {
		t.Errorf("a GET has verified the address: %s", me.body)
	}
	if status, page := form(t, "/verify", url.Values{"token": {token}}); status != 200 {
		t.Errorf("%d %s", status, page)
	}
	if me := want(t, 200, "GET", "/v1/users/me", a.token, ""); me.json(t, "email_verified") != true {
		t.Errorf("the account is %s", me.body)
	}
	for _, used := range []string{token, strings.Repeat("A", 43)} {
		if status, page := form(t, "/verify", url.Values{"token": {used}}); status != 404 {
			t.Errorf("%d %s", status, page)
		}
	}
}

// A new address replaces the old one when its link is opened, and the old one is told.
func TestAChangedAddressIsTold(t *testing.T) {
	a := reader(t, access.Member, "")
	next := &account{email: unique("next") + "@example.com"}
	want(t, 200, "PUT", "/v1/users/me/email", a.token, fmt.Sprintf(`{"email": %q, "current_password": %q}`, next.email, password))
	if me := want(t, 200, "GET", "/v1/users/me", a.token, ""); me.json(t, "email") != a.email {
		t.Errorf("an address that nobody has confirmed is in use: %s", me.body)
	}
	next.verify(t)
	if me := want(t, 200, "GET", "/v1/users/me", a.token, ""); me.json(t, "email") != next.email || me.json(t, "email_verified") != true {
		t.Errorf("the account is %s", me.body)
	}
	a.mailed(t, 1, func(m mail) bool { return !strings.Contains(m.Text, "/verify?token=") })
	settled(t)
	if mails := inbox(t, next.email); len(mails) != 1 {
		t.Errorf("the new address got %q", subjects(mails))
	}
}

// A bounce ends further mail to the address, and an admin sees why.
func TestABounceEndsMail(t *testing.T) {
	owner := reader(t, access.Organizer, "")
	member := reader(t, access.Member, "")
	board := play(t, owner, member, "")
	settings(t, fmt.Sprintf(`{"bounce": [%q]}`, member.email))
	defer settings(t, `{"bounce": []}`)
	want(t, 201, "POST", "/v1/boards/"+board+"/entries", owner.token, `{"player": "bib-7", "kind": "adjustment", "points": 1, "note": "it bounces"}`)
	eventually(t, "the account shows the bounce", func() bool {
		return want(t, 200, "GET", "/v1/users/"+member.id, rolesBy(t), "").json(t, "mail_state") == "bounced"
	})
	want(t, 201, "POST", "/v1/boards/"+board+"/entries", owner.token, `{"player": "bib-7", "kind": "adjustment", "points": 1, "note": "not sent"}`)
	settled(t)
	if mails := slices.DeleteFunc(inbox(t, member.email), func(m mail) bool { return !containing("not sent")(m) }); len(mails) > 0 {
		t.Errorf("mail was sent: %q", subjects(mails))
	}
}

// settings changes what the laptop's SES refuses.
func settings(t *testing.T, body string) {
	t.Helper()
	req, err := http.NewRequest("PUT", stack.Info.Inbox+"/settings", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("the settings: %s: %s", resp.Status, text)
	}
}

// Another system's event reaches the people whom it names, and nothing in it becomes a
// header, a link or markup.
func TestAnotherSystemsEventIsTold(t *testing.T) {
	a, unverified := reader(t, access.Member, ""), person(t, access.Member)
	title := "Move \r\nBcc: x@example.org <a href='https://evil.example'>click</a> \u202e" + strings.Repeat("🏃", 80)
	data, err := json.Marshal(map[string]any{"title": title, "from": "to do", "to": "doing"})
	if err != nil {
		t.Fatal(err)
	}
	want(t, 201, "POST", "/v1/audit/events", rolesBy(t), fmt.Sprintf(`{"specversion": "1.0", "id": %q, "source": "/tracker", "type": "com.example.task.moved", "subject": "task/17", "notify": "%s,%s", "data": %s}`,
		unique("17"), a.id, unverified.id, data))
	m := a.mailed(t, 1, containing("task/17", "doing"))[0]
	if strings.Contains(m.HTML, "<a href='https://evil") || strings.Contains(m.HTML, "<a href=\"https://evil") || strings.Contains(m.Text, "\u202e") || m.Headers["Bcc"] != nil {
		t.Errorf("the mail is %+v", m)
	}
	settled(t)
	if mails := slices.DeleteFunc(inbox(t, unverified.email), func(m mail) bool { return !containing("task/17")(m) }); len(mails) > 0 {
		t.Errorf("an address that is not verified got %q", subjects(mails))
	}
}
