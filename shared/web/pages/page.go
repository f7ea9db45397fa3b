package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"

	"golang.org/x/text/language"

	"plaudit/shared/web"
)

// style is the only style of the pages; their policy admits it by its hash.
const style = `:root{color-scheme:light dark}` +
	`body{margin:0;font:1.0625rem/1.5 system-ui,sans-serif;color:CanvasText;background:Canvas}` +
	`main{max-width:34rem;margin:0 auto;padding:2rem 1.25rem;overflow-wrap:anywhere}` +
	`:lang(ko){word-break:keep-all}` +
	`h1{font-size:1.5rem;line-height:1.25}` +
	`label{display:block;margin-top:1.25rem;font-weight:600}` +
	`input{box-sizing:border-box;width:100%;padding:.625rem;font:inherit;border:1px solid GrayText;border-radius:.375rem}` +
	`.hint{margin:.25rem 0}` +
	`.error{margin:.25rem 0;padding-left:.625rem;border-left:.25rem solid #b3261e;font-weight:600}` +
	`button{margin-top:1.5rem;padding:.75rem 1.25rem;font:inherit;border:0;border-radius:.375rem;color:#fff;background:#1d4ed8}`

// policy admits the pages' style and their own forms, and nothing else.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}()

var layout = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="{{.Lang}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{.Title}}</title>
<style>` + style + `</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{range .Texts}}<p{{with .Lang}} lang="{{.}}"{{end}}>{{.Text}}</p>
{{end}}{{with .Form}}<form method="post"{{with .Action}} action="{{.}}"{{end}}>
<input type="hidden" name="{{.Hidden.Name}}" value="{{.Hidden.Value}}">
{{range .Fields}}<label for="{{.Name}}">{{.Label}}</label>
{{with .Hint}}<p class="hint" id="hint">{{.}}</p>
{{end}}{{with .Error}}<p class="error" id="error" role="alert">{{.}}</p>
{{end}}<input type="password" id="{{.Name}}" name="{{.Name}}" autocomplete="new-password" required{{with .DescribedBy}} aria-describedby="{{.}}"{{end}}{{if .Error}} aria-invalid="true"{{end}}>
{{end}}<button type="submit">{{.Button}}</button>
</form>
{{end}}{{with .Other}}<p><a href="{{.URL}}" lang="{{.Lang}}" hreflang="{{.Lang}}">{{.Text}}</a></p>
{{end}}</main>
</body>
</html>
`))

// view is what a page shows.
type view struct {
	Lang, Title string
	Texts       []paragraph
	Form        *form // nil if there is nothing to do
	Other       *other
}

// paragraph is a text. Lang is empty if it is the page's.
type paragraph struct{ Lang, Text string }

// paragraphs returns texts in the language of the page.
func paragraphs(texts ...string) (all []paragraph) {
	for _, t := range texts {
		all = append(all, paragraph{Text: t})
	}
	return all
}

// form is a form with one button, and one value that nobody enters.
type form struct {
	Action string // empty: the address of the page
	Hidden hidden
	Fields []field
	Button string
}

type hidden struct{ Name, Value string }

// field is a field for a password. At most one of a form has a hint, and at most one an
// error.
type field struct{ Name, Label, Hint, Error string }

// DescribedBy returns the ids of the texts that a screen reader reads with the field.
func (f field) DescribedBy() string {
	switch {
	case f.Hint != "" && f.Error != "":
		return "hint error"
	case f.Hint != "":
		return "hint"
	case f.Error != "":
		return "error"
	}
	return ""
}

// other is the link to the same page in another language.
type other struct{ URL, Lang, Text string }

// write writes the page. The dispatcher has set the headers that keep it out of caches
// and frames and its address out of requests to others.
func (v view) write(w http.ResponseWriter, status int) error {
	var page bytes.Buffer
	if err := layout.Execute(&page, v); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Content-Language", v.Lang)
	return web.ReplyHTML(w, status, page.Bytes())
}

// The languages of the pages, the default first.
var (
	languages = []string{"en", "ko"}
	matcher   = language.NewMatcher([]language.Tag{language.English, language.Korean})
)

// langOf returns the language of a page: the one that its address names, or the one that
// the browser prefers.
func langOf(r *http.Request) string {
	if lang := r.URL.Query().Get("lang"); lang == "en" || lang == "ko" {
		return lang
	}
	_, i := language.MatchStrings(matcher, r.Header.Get("Accept-Language"))
	return languages[i]
}

// action returns the address that a form of the page is sent to. It keeps a language that
// was chosen, and not the token, which is a field of the form.
func action(r *http.Request) string {
	if lang := r.URL.Query().Get("lang"); lang == "en" || lang == "ko" {
		return r.URL.Path + "?lang=" + lang
	}
	return r.URL.Path
}

// maxToken is how much of a token a form keeps. No token of ours is as long.
const maxToken = 64

// tokenOf returns the token in the address of a page. Mail programs may add parameters of
// their own, so the others are not looked at.
func tokenOf(r *http.Request) string {
	token := r.URL.Query().Get("token")
	return token[:min(len(token), maxToken)]
}
