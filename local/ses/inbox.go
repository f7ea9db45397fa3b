package ses

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"plaudit/local/part"
)

// Mail is a mail in the inbox's JSON. Addresses have no names, except in From and
// Headers, which are as the mail has them, decoded.
type Mail struct {
	ID      string   `json:"id"` // the MessageId that SendEmail returned
	To      []string `json:"to"` // every recipient, Cc and Bcc included
	From    string   `json:"from"`
	Subject string   `json:"subject"`
	Text    string   `json:"text"` // lines end with \n
	HTML    string   `json:"html"`
	// Headers are by name, as the name is written in the mail. The values of a header
	// that appears more than once are joined by \n.
	Headers          map[string]string   `json:"headers"`
	At               time.Time           `json:"at"`
	Status           Status              `json:"status"`
	Recipients       map[string]Status   `json:"recipients"` // the status by recipient
	Tags             map[string][]string `json:"tags"`
	ConfigurationSet string              `json:"configuration_set"`
	Attachments      []attachment        `json:"attachments"`
}

// mail reads a mail of the inbox.
func (s *Service) mail(one indexed) (Mail, error) {
	_, message, err := s.mails.read(one.file)
	if err != nil {
		return Mail{}, err
	}
	d := decode(message)
	m := Mail{
		ID: one.ID, To: one.To, From: d.From, Subject: d.Subject, Text: d.Text, HTML: d.HTML, Headers: map[string]string{}, At: one.At,
		Status: one.status(), Recipients: one.Recipients, Tags: one.Tags, ConfigurationSet: one.Set, Attachments: d.Attachments,
	}
	for _, h := range d.Headers {
		if before, ok := m.Headers[h.Name]; ok {
			h.Value = before + "\n" + h.Value
		}
		m.Headers[h.Name] = h.Value
	}
	if m.Attachments == nil {
		m.Attachments = []attachment{}
	}
	return m, nil
}

// problem is an error of the inbox, as RFC 9457 has it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Field  string `json:"field,omitempty"`
}

func (p problem) Error() string { return p.Detail }

func newProblem(status int, field, detail string) error {
	return problem{"about:blank", http.StatusText(status), status, detail, field}
}

// inbox returns the handler of the inbox, which listens on port.
func (s *Service) inbox(port string) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, handler func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			err := handler(w, r)
			if errors.Is(err, fs.ErrNotExist) { // it left, or was deleted, meanwhile
				err = newProblem(http.StatusNotFound, "", "the inbox does not have this mail any more")
			}
			s.answerError(w, err)
		})
	}
	handle("GET /messages", s.getMessages)
	handle("GET /messages/{id}", s.getMessage)
	handle("DELETE /messages", s.deleteMessages)
	handle("GET /settings", s.getSettings)
	handle("PUT /settings", s.putSettings)
	handle("GET /{$}", s.listPage)
	handle("GET /mails/{id}", s.mailPage)
	handle("GET /mails/{id}/html", s.htmlPage)
	handle("GET /mails/{id}/raw", s.rawFile)
	mux.Handle("GET /style.css", http.FileServerFS(must(fs.Sub(pages, "pages"))))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'")
		if sign := part.Foreign(r, port); sign != "" {
			s.answerError(w, newProblem(http.StatusForbidden, "", "the inbox refuses requests of other web pages, and this one has "+sign+"; type the inbox's address into the browser"))
			return
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			s.noRoute(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// noRoute answers requests that the inbox does not serve.
func (s *Service) noRoute(w http.ResponseWriter, r *http.Request) {
	allowed := map[string]string{"/messages": "GET, HEAD, DELETE", "/settings": "GET, HEAD, PUT", "/": "GET, HEAD"}[r.URL.Path]
	if strings.HasPrefix(r.URL.Path, "/messages/") || strings.HasPrefix(r.URL.Path, "/mails/") {
		allowed = "GET, HEAD"
	}
	if allowed == "" || r.Method == http.MethodGet || r.Method == http.MethodHead {
		s.answerError(w, newProblem(http.StatusNotFound, "", "the inbox serves /, /messages, /messages/{id} and /settings"))
		return
	}
	w.Header().Set("Allow", allowed)
	s.answerError(w, newProblem(http.StatusMethodNotAllowed, "", fmt.Sprintf("%s takes %s", r.URL.Path, allowed)))
}

func (s *Service) answerError(w http.ResponseWriter, err error) {
	if err == nil {
		return
	}
	var p problem
	if !errors.As(err, &p) {
		s.laptop.Log.Error("the inbox", "error", err)
		p = newProblem(http.StatusInternalServerError, "", "the inbox cannot read a mail; .local/laptop.log says why").(problem)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone
}

// encode returns JSON that people can read, with a line feed at its end: < is not
// escaped.
func encode(value any, indent string) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	err := encoder.Encode(value)
	return out.Bytes(), err
}

func answerJSON(w http.ResponseWriter, value any) error {
	text, err := encode(value, "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // the client is gone
	return nil
}

// query returns the parameters of a request, which must be some of the known ones, each
// once.
func query(r *http.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "", "the query is not encoded as a URL requires it")
	}
	for name, list := range values {
		if !slices.Contains(known, name) {
			return nil, newProblem(http.StatusBadRequest, name, "the parameter is not known; the parameters are "+strings.Join(known, ", "))
		}
		if len(list) > 1 {
			return nil, newProblem(http.StatusBadRequest, name, "the parameter must not appear more than once")
		}
	}
	return values, nil
}

// getMessages lists mails, the newest first: all of them, or at most limit. They are
// written one by one, because there may be many.
func (s *Service) getMessages(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "to", "limit")
	if err != nil {
		return err
	}
	limit := maxMails
	if values.Has("limit") {
		if limit, err = strconv.Atoi(values.Get("limit")); err != nil || limit < 1 || limit > maxMails {
			return newProblem(http.StatusBadRequest, "limit", fmt.Sprintf("must be a whole number between 1 and %d", maxMails))
		}
	}
	if values.Has("to") && values.Get("to") == "" {
		return newProblem(http.StatusBadRequest, "to", "must be an address; leave it out for all mails")
	}
	found, _ := s.mails.list(values.Get("to"), "", limit)
	w.Header().Set("Content-Type", "application/json")
	separator := "[\n"
	for _, one := range found {
		m, err := s.mail(one)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var text []byte
		if err == nil {
			text, err = encode(m, "")
		}
		if err != nil {
			s.laptop.Log.Error("the inbox cannot read a mail", "message", one.ID, "error", err)
			panic(http.ErrAbortHandler) // the list has begun, and must not look complete
		}
		_, _ = w.Write(append([]byte(separator), text...)) // the client is gone
		separator = ","
	}
	if separator == "," {
		separator = ""
	}
	_, _ = w.Write([]byte(separator + "]\n"))
	return nil
}

func (s *Service) one(r *http.Request) (Mail, indexed, error) {
	one, ok := s.mails.find(r.PathValue("id"))
	if !ok {
		return Mail{}, one, newProblem(http.StatusNotFound, "", "the inbox has no mail with this id")
	}
	m, err := s.mail(one)
	return m, one, err
}

func (s *Service) getMessage(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	m, _, err := s.one(r)
	if err != nil {
		return err
	}
	return answerJSON(w, m)
}

func (s *Service) deleteMessages(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	if err := s.mails.clear(); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Service) getSettings(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	return answerJSON(w, s.settings.get().complete())
}

// complete returns the settings with empty lists instead of none.
func (s Settings) complete() Settings {
	if s.FailNext == nil {
		s.FailNext = failures{}
	}
	for _, list := range []*[]string{&s.Bounce, &s.Complain, &s.Suppress} {
		if *list == nil {
			*list = []string{}
		}
	}
	return s
}

func (s *Service) putSettings(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	changed, err := parseSettings(http.MaxBytesReader(w, r.Body, 1<<20))
	if wrong := (settingError{}); errors.As(err, &wrong) {
		return newProblem(http.StatusBadRequest, wrong.field, wrong.Error())
	}
	if err != nil {
		return err
	}
	s.settings.put(changed)
	return answerJSON(w, changed.complete())
}

//go:embed pages
var pages embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") },
	"links": linked,
	"join":  func(list []string) string { return strings.Join(list, ", ") },
}).ParseFS(pages, "pages/*.html"))

var webLink = regexp.MustCompile(`https?://[^\s<>"'\x00-\x1f]+`)

// linked returns text as HTML in which its links can be followed.
func linked(text string) template.HTML {
	var out strings.Builder
	at := 0
	for _, span := range webLink.FindAllStringIndex(text, -1) {
		link := strings.TrimRight(text[span[0]:span[1]], ".,;:!?)]")
		out.WriteString(template.HTMLEscapeString(text[at:span[0]]))
		escaped := template.HTMLEscapeString(link)
		fmt.Fprintf(&out, `<a href="%s" target="_blank" rel="noreferrer noopener">%s</a>`, escaped, escaped)
		at = span[0] + len(link)
	}
	out.WriteString(template.HTMLEscapeString(text[at:]))
	return template.HTML(out.String()) //nolint:gosec // everything in it is escaped
}

func render(w http.ResponseWriter, name string, data any) error {
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, name, data); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page.Bytes()) // the client is gone
	return nil
}

// pageSize is how many mails a page lists.
const pageSize = 50

// listPage lists mails, the newest first.
func (s *Service) listPage(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "to", "before")
	if err != nil {
		return err
	}
	data := struct {
		To, Older string
		Mails     []Mail
		Count     int
		First     bool // the page that refreshes itself
	}{To: strings.TrimSpace(values.Get("to")), Count: s.mails.count(), First: !values.Has("before")}
	found, more := s.mails.list(data.To, values.Get("before"), pageSize)
	for _, one := range found {
		m, err := s.mail(one)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		data.Mails = append(data.Mails, m)
	}
	if more {
		data.Older = "/?" + url.Values{"to": {data.To}, "before": {found[len(found)-1].ID}}.Encode()
	}
	return render(w, "list.html", data)
}

// mailPage shows a mail: as HTML, as text, or its headers.
func (s *Service) mailPage(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "view")
	if err != nil {
		return err
	}
	m, _, err := s.one(r)
	if err != nil {
		return err
	}
	data := struct {
		Mail
		View string
	}{m, values.Get("view")}
	switch {
	case data.View == "" && m.HTML != "":
		data.View = "html"
	case data.View == "":
		data.View = "text"
	case !slices.Contains([]string{"html", "text", "headers"}, data.View):
		return newProblem(http.StatusBadRequest, "view", "must be html, text or headers")
	}
	return render(w, "mail.html", data)
}

// Content of a mail runs nothing and loads nothing, and its links open in a window of
// their own.
const (
	mailPolicy = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
	newWindow  = `<base target="_blank">`
)

var headTag = regexp.MustCompile(`(?i)<head(\s[^>]*)?>|<html(\s[^>]*)?>|<!doctype[^>]*>`)

// htmlPage is what the page of a mail has in its frame.
func (s *Service) htmlPage(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	m, _, err := s.one(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", mailPolicy)
	at := 0
	for _, span := range headTag.FindAllStringIndex(m.HTML, -1) {
		at = span[1] // the last of the three
	}
	_, _ = w.Write([]byte(m.HTML[:at] + newWindow + m.HTML[at:])) // the client is gone
	return nil
}

func (s *Service) rawFile(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	_, one, err := s.one(r)
	if err != nil {
		return err
	}
	_, message, err := s.mails.read(one.file)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.eml"`, one.ID))
	_, _ = w.Write(message) // the client is gone
	return nil
}
