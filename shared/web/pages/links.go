package pages

import (
	"cmp"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"plaudit/shared/fault"
	"plaudit/shared/problem"
	"plaudit/shared/user"
	"plaudit/shared/web"
)

// verify serves the link that verifies an address, reset the one that resets a password.
// Scanners of mail follow links, so a GET looks at nothing: it shows the form for every
// token alike.
type (
	verify struct{ users *user.Service }
	reset  struct{ users *user.Service }
)

func (v verify) show(w http.ResponseWriter, r *http.Request) error {
	t := texts[langOf(r)]
	return view{
		Lang: t.lang, Title: t.verify, Texts: paragraphs(t.verifyWhat, t.verifyIgnore),
		Form:  &form{Action: action(r), Hidden: hidden{"token", tokenOf(r)}, Button: t.verifyButton},
		Other: otherLanguage(r, t),
	}.write(w, http.StatusOK)
}

func (v verify) use(w http.ResponseWriter, r *http.Request) error {
	in, err := readForm(r, "token")
	if err != nil {
		return err
	}
	if err := v.users.VerifyAddress(r.Context(), web.ClientNetwork(r), in.Value("token")); err != nil {
		return err
	}
	t := texts[langOf(r)]
	return view{Lang: t.lang, Title: t.verified, Texts: paragraphs(t.closePage)}.write(w, http.StatusOK)
}

func (v reset) show(w http.ResponseWriter, r *http.Request) error {
	t := texts[langOf(r)]
	page := v.form(r, t, tokenOf(r), "", "")
	page.Other = otherLanguage(r, t)
	return page.write(w, http.StatusOK)
}

// form returns the page with the form, and with what is wrong with its two fields.
func (v reset) form(r *http.Request, t text, token, password, again string) view {
	return view{
		Lang: t.lang, Title: t.reset, Texts: paragraphs(t.resetWhat),
		Form: &form{
			Action: action(r), Hidden: hidden{"token", token}, Button: t.resetButton,
			Fields: []field{
				{Name: "password", Label: t.password, Hint: t.passwordHint, Error: password},
				{Name: "again", Label: t.again, Error: again},
			},
		},
	}
}

func (v reset) use(w http.ResponseWriter, r *http.Request) error {
	in, err := readForm(r, "token", "password", "again")
	if err != nil {
		return err
	}
	t := texts[langOf(r)]
	token, password := in.Value("token"), in.Value("password")
	if password != in.Value("again") {
		return v.form(r, t, token, "", t.differs).write(w, http.StatusBadRequest)
	}
	err = v.users.ResetPassword(r.Context(), web.ClientNetwork(r), token, password)
	if f, ok := fault.As(err); ok && f.Kind == fault.BadRequest && f.Field == "password" {
		return v.form(r, t, token, cmp.Or(t.passwordFault[f.Detail], f.Detail), "").write(w, http.StatusBadRequest)
	}
	if err != nil {
		return err
	}
	return view{Lang: t.lang, Title: t.passwordSet, Texts: paragraphs(t.passwordSetWhat)}.write(w, http.StatusOK)
}

func readForm(r *http.Request, fields ...string) (*web.Query, error) {
	in, err := web.ReadForm(r, fields...)
	if err != nil {
		return nil, err
	}
	return in, in.Err()
}

// otherLanguage returns the link to the page in the language that is not the text's.
func otherLanguage(r *http.Request, t text) *other {
	to := texts[t.otherLang]
	query := url.Values{"token": {tokenOf(r)}, "lang": {to.lang}}
	return &other{URL: r.URL.Path + "?" + query.Encode(), Lang: to.lang, Text: to.name}
}

// fail renders a fault as a page. Its words are the page's own, because a problem's are
// for programs, and in English.
func fail(w http.ResponseWriter, r *http.Request, p problem.Problem) error {
	t := texts[langOf(r)]
	page := view{Lang: t.lang, Title: t.failed, Texts: paragraphs(t.tryLater)}
	switch kind := fault.Kind(strings.TrimPrefix(p.Type, "urn:plaudit:error:")); {
	case kind == fault.NotFound:
		page.Title, page.Texts = t.invalid, paragraphs(t.invalidWhat)
	case kind == fault.AddressTaken:
		page.Title, page.Texts = t.taken, paragraphs(t.takenWhat)
	case kind == fault.TooManyRequests:
		page.Title, page.Texts = t.tooMany, paragraphs(t.tooManyWhat(w.Header().Get("Retry-After")))
	case p.Status == http.StatusServiceUnavailable:
		page.Title, page.Texts = t.busy, paragraphs(t.busyWhat)
	case p.Status < http.StatusInternalServerError:
		page.Texts = paragraphs(t.openAgain)
	}
	if p.Status >= http.StatusInternalServerError && p.RequestID != "" {
		page.Texts = append(page.Texts, paragraph{Text: t.requestID + " " + p.RequestID})
	}
	return page.write(w, p.Status)
}

// minutes returns the minutes of a Retry-After, at least one.
func minutes(seconds string) int {
	n, err := strconv.Atoi(seconds)
	if err != nil {
		return 1
	}
	return max(1, int(math.Ceil(float64(n)/60)))
}
