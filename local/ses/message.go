package ses

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // mails in other encodings than UTF-8
	"github.com/emersion/go-message/textproto"
	"golang.org/x/text/encoding/htmlindex"
)

// domainPattern is a domain of the DNS; other scripts than ASCII are in Punycode.
var domainPattern = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// parseAddress reads an address, with or without a name: Plaudit <mail@example.com>.
// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html
func parseAddress(text string) (*mail.Address, error) {
	if !printable(text) {
		return nil, errors.New("it must be printable ASCII: encode a name as RFC 2047 says, and a domain in Punycode")
	}
	address, err := mail.ParseAddress(text)
	if err != nil {
		return nil, fmt.Errorf("it is not an address: %s", strings.TrimPrefix(err.Error(), "mail: "))
	}
	local, domain, _ := cutLast(address.Address, "@")
	if len(local) > 64 || len(address.Address) > 320 || !domainPattern.MatchString(domain) {
		return nil, errors.New("it is not an address: the part before the @ must have at most 64 characters, and the part after it must be a domain")
	}
	return address, nil
}

func cutLast(text, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(text, sep); i >= 0 {
		return text[:i], text[i+len(sep):], true
	}
	return text, "", false
}

// printable reports whether text is ASCII without control characters.
func printable(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// identityKey returns what two spellings of an identity have in common: a domain has
// no case, the part of an address before it does.
func identityKey(name string) string {
	local, domain, ok := cutLast(name, "@")
	if !ok {
		return strings.ToLower(name)
	}
	return local + "@" + strings.ToLower(domain)
}

// content is a text of the request. Without a charset it must be ASCII.
type content struct {
	Data    *string
	Charset *string
}

func (c content) check(field string) error {
	if c.Data == nil {
		return badRequest("%s.Data is required", field)
	}
	if c.Charset != nil {
		if _, err := htmlindex.Get(*c.Charset); err != nil {
			return badRequest("%s.Charset: %q is not a known character set; use UTF-8", field, *c.Charset)
		}
		return nil
	}
	if strings.IndexFunc(*c.Data, func(r rune) bool { return r > '~' }) >= 0 {
		return badRequest("%s.Data has characters that are not ASCII: set %s.Charset, e.g. to UTF-8", field, field)
	}
	return nil
}

// simple is a message that SES composes.
type simple struct {
	Subject *content
	Body    *struct{ Text, Html *content }
	Headers []header
}

type header struct{ Name, Value string }

// check returns what SES refuses.
func (m simple) check() error {
	if m.Subject == nil {
		return badRequest("Content.Simple.Subject is required")
	}
	if m.Body == nil || m.Body.Text == nil && m.Body.Html == nil {
		return badRequest("Content.Simple.Body must have Text, Html or both")
	}
	if err := m.Subject.check("Content.Simple.Subject"); err != nil {
		return err
	}
	if strings.IndexFunc(*m.Subject.Data, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
		return badRequest("Content.Simple.Subject.Data has control characters, such as a line feed: remove them")
	}
	for _, part := range []struct {
		field string
		*content
	}{{"Text", m.Body.Text}, {"Html", m.Body.Html}} {
		if part.content != nil {
			if err := part.check("Content.Simple.Body." + part.field); err != nil {
				return err
			}
		}
	}
	return checkHeaders(m.Headers)
}

// maxHeaders is the limit of Simple.Headers.
// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Message.html
const maxHeaders = 15

// own are headers that SES sets itself, from the other fields of the request.
var own = []string{
	"from", "to", "cc", "bcc", "subject", "reply-to", "date", "message-id", "mime-version", "return-path", "sender", "dkim-signature",
}

// once are headers that a message must not repeat, beside own.
// https://docs.aws.amazon.com/ses/latest/dg/header-fields.html
var once = []string{
	"accept-language", "archived-at", "auto-submitted", "bounces-to", "comments", "content-type", "content-transfer-encoding", "content-disposition",
	"content-id", "content-language", "delivered-to", "disposition-notification-to", "errors-to", "importance", "in-reply-to", "keywords",
	"list-archive", "list-help", "list-id", "list-owner", "list-post", "list-subscribe", "list-unsubscribe", "list-unsubscribe-post",
	"organization", "precedence", "priority", "references", "return-receipt-to", "sensitivity", "thread-index", "thread-topic", "user-agent",
}

// checkHeaders returns what SES refuses.
// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageHeader.html
func checkHeaders(headers []header) error {
	if len(headers) > maxHeaders {
		return badRequest("Content.Simple.Headers must have at most %d headers, not %d", maxHeaders, len(headers))
	}
	seen := map[string]bool{}
	for i, h := range headers {
		at, name := fmt.Sprintf("Content.Simple.Headers[%d]", i), strings.ToLower(h.Name)
		switch {
		case h.Name == "" || len(h.Name) > 126 || !printable(h.Name) || strings.ContainsAny(h.Name, ": "):
			return badRequest("%s.Name must have between 1 and 126 printable ASCII characters, without spaces and colons", at)
		case h.Value == "" || !printable(h.Value):
			return badRequest("%s.Value must be printable ASCII, and not empty", at)
		case len(h.Value) > 995 || len(h.Name)+len(h.Value) > 996:
			return badRequest("%s: Value must have at most 995 characters, and Name and Value together at most 996", at)
		case slices.Contains(own, name) || strings.HasPrefix(name, "content-") || strings.HasPrefix(name, "x-ses-"):
			return badRequest("%s.Name: SES sets the header %s itself: remove it", at, h.Name)
		case seen[name] && slices.Contains(once, name):
			return badRequest("%s.Name: the header %s must not appear more than once", at, h.Name)
		}
		seen[name] = true
	}
	return nil
}

// stamp is what SES writes into every message.
type stamp struct {
	id, region string
	at         time.Time
}

func (s stamp) headers() []header {
	host := s.region + ".amazonses.com"
	if s.region == "us-east-1" {
		host = "email.amazonses.com"
	}
	return []header{{"Date", s.at.Format(time.RFC1123Z)}, {"Message-ID", "<" + s.id + "@" + host + ">"}}
}

// compose returns the message as it is sent.
func (m simple) compose(in request, s stamp) ([]byte, error) {
	var h message.Header
	// The last one that is added comes first.
	add := func(name, value string) { h.AddRaw([]byte(name + ": " + value + "\r\n")) }
	for _, one := range slices.Backward(m.Headers) {
		add(one.Name, one.Value)
	}
	add("MIME-Version", "1.0")
	for _, one := range slices.Backward(s.headers()) {
		add(one.Name, one.Value)
	}
	h.Add("Subject", mime.QEncoding.Encode("utf-8", *m.Subject.Data))
	for _, list := range []struct {
		name      string
		addresses []string
	}{{"Reply-To", in.ReplyToAddresses}, {"Cc", in.Destination.CcAddresses}, {"To", in.Destination.ToAddresses}} {
		if len(list.addresses) > 0 {
			h.Add(list.name, strings.Join(list.addresses, ", "))
		}
	}
	h.Add("From", *in.FromEmailAddress)

	var out bytes.Buffer
	var err error
	if text, html := m.Body.Text, m.Body.Html; text != nil && html != nil {
		h.SetContentType("multipart/alternative", nil)
		var w *message.Writer
		if w, err = message.CreateWriter(&out, h); err != nil {
			return nil, err
		}
		for _, part := range []struct {
			kind string
			*content
		}{{"text/plain", text}, {"text/html", html}} {
			var h message.Header
			write := func() error { p, err := w.CreatePart(textHeader(h, part.kind)); return writeText(p, err, *part.Data) }
			err = errors.Join(err, write())
		}
		err = errors.Join(err, w.Close())
	} else {
		kind := "text/plain"
		if text == nil {
			kind = "text/html"
		}
		w, createErr := message.CreateWriter(&out, textHeader(h, kind))
		err = writeText(w, createErr, *cmp.Or(text, html).Data)
	}
	return out.Bytes(), err
}

func textHeader(h message.Header, kind string) message.Header {
	h.SetContentType(kind, map[string]string{"charset": "utf-8"})
	h.Set("Content-Transfer-Encoding", "quoted-printable")
	return h
}

func writeText(w *message.Writer, err error, text string) error {
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return errors.Join(err, w.Close())
}

// raw is a message that the caller composed.
type raw struct {
	header textproto.Header
	body   []byte
}

// parseRaw reads the header of a message.
func parseRaw(data string) (raw, error) {
	text, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return raw{}, badRequest("Content.Raw.Data must be Base64")
	}
	r := bufio.NewReader(bytes.NewReader(text))
	h, err := textproto.ReadHeader(r)
	if err != nil {
		return raw{}, badRequest("Content.Raw.Data is not a message in MIME: %v", strings.TrimPrefix(err.Error(), "message: "))
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return raw{}, err
	}
	for _, name := range slices.Concat(own, once) {
		if h.FieldsByKey(name).Len() > 1 {
			return raw{}, badRequest("Content.Raw.Data has the header %s more than once", name)
		}
	}
	if !h.Has("From") {
		return raw{}, badRequest("Content.Raw.Data does not have the header From")
	}
	return raw{h, body}, nil
}

// addresses returns those of a header.
func (m raw) addresses(name string) ([]string, error) {
	if !m.header.Has(name) {
		return nil, nil
	}
	list, err := mail.ParseAddressList(m.header.Get(name))
	if err != nil {
		return nil, badRequest("Content.Raw.Data: the header %s: %v", name, strings.TrimPrefix(err.Error(), "mail: "))
	}
	var out []string
	for _, one := range list {
		out = append(out, one.Address)
	}
	return out, nil
}

// compose returns the message as it is sent: with SES's own headers, and without those
// that only SES reads.
func (m raw) compose(s stamp) ([]byte, error) {
	h := m.header.Copy()
	for _, name := range []string{"Bcc", "Return-Path", setHeader, tagsHeader} {
		h.Del(name)
	}
	for _, one := range slices.Backward(s.headers()) {
		h.Del(one.Name)
		h.AddRaw([]byte(one.Name + ": " + one.Value + "\r\n"))
	}
	var out bytes.Buffer
	err := textproto.WriteHeader(&out, h)
	out.Write(m.body)
	return out.Bytes(), err
}

// Headers in which a raw message names its configuration set and tags.
// https://docs.aws.amazon.com/ses/latest/dg/event-publishing-send-email.html
const (
	setHeader  = "X-Ses-Configuration-Set"
	tagsHeader = "X-Ses-Message-Tags"
)

// decoded is a message as a person reads it.
type decoded struct {
	From        string
	Subject     string
	Text, HTML  string
	Headers     []header // decoded, with the names as they were written
	Attachments []attachment
}

type attachment struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Size int    `json:"size"`
}

// decode reads a message. What it cannot read it leaves out: the message as it was sent
// remains.
func decode(text []byte) decoded {
	var out decoded
	entity, err := message.Read(bytes.NewReader(text))
	if entity == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		return out
	}
	for fields := entity.Header.Fields(); fields.Next(); {
		name := fields.Key()
		if line, err := fields.Raw(); err == nil {
			before, _, _ := bytes.Cut(line, []byte(":"))
			name = string(before)
		}
		out.Headers = append(out.Headers, header{name, decodedText(fields)})
	}
	out.From, _ = entity.Header.Text("From")
	out.Subject, _ = entity.Header.Text("Subject")
	// It only ends early for a message that is malformed from there on.
	_ = entity.Walk(func(_ []int, part *message.Entity, err error) error {
		if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
			return err
		}
		kind, params, _ := part.Header.ContentType()
		if strings.HasPrefix(kind, "multipart/") {
			return nil
		}
		content, err := io.ReadAll(part.Body)
		disposition, more, _ := part.Header.ContentDisposition()
		text := strings.ReplaceAll(string(content), "\r\n", "\n")
		switch {
		case disposition != "attachment" && (kind == "text/plain" || kind == "") && out.Text == "":
			out.Text = text
		case disposition != "attachment" && kind == "text/html" && out.HTML == "":
			out.HTML = text
		default:
			out.Attachments = append(out.Attachments, attachment{cmp.Or(more["filename"], params["name"]), kind, len(content)})
		}
		return err
	})
	return out
}

func decodedText(fields message.HeaderFields) string {
	if text, err := fields.Text(); err == nil {
		return text
	}
	return fields.Value()
}
