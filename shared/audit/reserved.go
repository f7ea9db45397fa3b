package audit

import (
	"mime"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"plaudit/shared/id"
	"plaudit/shared/text"
)

// ours are the attributes that only the log and our own events set, and names that are
// kept for marks of the log's items.
var ours = []string{
	"actor", "recordedtime", "logid", "subjectseq", "owners", "public", "draft", "user", "restored", "enc", "event", "seal", "proof",
}

// extensionName is the form of attribute names: CloudEvents recommends at most 20
// characters (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#attribute-naming-convention).
var extensionName = regexp.MustCompile(`^[a-z0-9]{1,20}$`)

// checkValue returns an error unless a text can be an attribute. CloudEvents forbids
// control characters, and nothing in the log may change the direction of the text around
// it. The error completes a sentence that begins with the attribute's name.
func checkValue(value string, max int) error { return text.Check(value, max) }

func userID(s string) bool { return id.UUID(s) }

// reservedType reports whether people or programs could take a type for one of ours.
func reservedType(t string) bool {
	t = look(t)
	return t == "plaudit" || strings.HasPrefix(t, "plaudit.")
}

// reservedSource reports whether a source is /plaudit or below it in any form: with
// escapes, dots, several slashes or none, on some host, or as a host or a scheme.
func reservedSource(source string) bool {
	for _, form := range forms(source) {
		scheme, rest, ok := strings.Cut(form, ":")
		if ok && !strings.ContainsAny(scheme, "/?#") {
			if scheme == "plaudit" || firstSegment(strings.ReplaceAll(rest, ":", "/")) == "plaudit" {
				return true // also urn:plaudit:…
			}
			form = rest
		}
		if firstSegment(form) == "plaudit" {
			return true
		}
		if host, ok := strings.CutPrefix(form, "//"); ok {
			if _, below, ok := strings.Cut(host, "/"); ok && firstSegment(below) == "plaudit" {
				return true
			}
		}
	}
	return false
}

// reservedSubject reports whether a subject is one of ours in any form.
func reservedSubject(subject string) bool {
	return slices.ContainsFunc(forms(subject), func(form string) bool {
		first := firstSegment(form)
		return first == "board" || first == "user"
	})
}

// firstSegment returns the first segment of a path once its dots are resolved, without
// parameters, query and fragment.
func firstSegment(p string) string {
	if end := strings.IndexAny(p, "?#"); end >= 0 {
		p = p[:end]
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+p), "/"), "/")
	first, _, _ = strings.Cut(first, ";")
	return strings.TrimSpace(first)
}

// forms returns a text as it looks before and after each time that its escapes are
// decoded, because somebody may decode them.
func forms(s string) []string {
	all := []string{look(s)}
	for range 3 {
		decoded, err := url.PathUnescape(s)
		if err != nil || decoded == s {
			break
		}
		s = decoded
		all = append(all, look(s))
	}
	return all
}

// look returns how a text looks: compatible characters, such as full-width ones, case
// and backslashes make no difference, and what does not show is left out.
func look(s string) string {
	s = strings.ToLower(norm.NFKC.String(s))
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\\':
			return '/'
		case !unicode.IsGraphic(r):
			return -1
		}
		return r
	}, s)
}

// uriCharacters are those of RFC 3986, appendix A.
var uriCharacters = regexp.MustCompile(`^(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+$`)

// reference reports whether a text is a URI reference.
func reference(s string) bool {
	_, err := url.Parse(s)
	return err == nil && uriCharacters.MatchString(s)
}

// absolute reports whether a text is a URI, which begins with a scheme.
func absolute(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.IsAbs() && reference(s)
}

func mediaType(s string) bool {
	media, _, err := mime.ParseMediaType(s)
	return err == nil && strings.Count(media, "/") == 1
}
