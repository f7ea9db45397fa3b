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

// typeForm is the form of types. CloudEvents allows any text, but recommends reverse
// domain names (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#type).
// Types are compared whole, so none may look like another one.
var typeForm = regexp.MustCompile(`^[A-Za-z0-9._:/+~@#-]+$`)

// reservedType reports whether people or programs could take a type of that form for one
// of ours.
func reservedType(t string) bool {
	t = strings.TrimLeft(t, "._:/+~@#-")
	if end := strings.IndexAny(t, ".:/+~@#"); end >= 0 {
		t = t[:end]
	}
	return looksLike(look(t), "plaudit")
}

// reservedSource reports whether a source is /plaudit or below it in any form: with
// escapes, dots, several slashes or none, on some host, or as a host or a scheme.
func reservedSource(source string) bool {
	ours := func(p string) bool { return looksLike(firstSegment(p), "plaudit") }
	return slices.ContainsFunc(forms(source), func(form string) bool {
		scheme, rest, ok := strings.Cut(form, ":")
		if ok && !strings.ContainsAny(scheme, "/?#") {
			if looksLike(scheme, "plaudit") || ours(strings.ReplaceAll(rest, ":", "/")) {
				return true // also urn:plaudit:…
			}
			form = rest
		}
		if ours(form) {
			return true
		}
		host, ok := strings.CutPrefix(form, "//")
		_, below, found := strings.Cut(host, "/")
		return ok && found && ours(below)
	})
}

// reservedSubject reports whether a subject is one of ours in any form.
func reservedSubject(subject string) bool {
	return slices.ContainsFunc(forms(subject), func(form string) bool {
		first := firstSegment(form)
		return looksLike(first, "board") || looksLike(first, "user")
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
	return first
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

// slashes are the characters that look like a slash: those of Unicode's confusables
// (https://www.unicode.org/Public/security/latest/confusables.txt), and the backslash.
const slashes = "\\\u1735\u2041\u2044\u2215\u2571\u27cb\u29f8\U0001d23a\u31d3\u3033\u2cc6\u30ce\u4e3f"

// look returns how a text looks: compatible characters, such as full-width ones, case,
// accents and kinds of slashes make no difference, and what does not show is left out.
func look(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(slashes, r):
			return '/'
		case !text.Visible(r):
			return -1
		}
		return r
	}, strings.ToLower(norm.NFKD.String(s)))
}

// similar replaces digits and letters by one that looks like them in our words. It has
// the letters of other scripts of which a whole word could consist.
var similar = strings.NewReplacer("0", "o", "1", "l", "i", "l", "|", "l", "5", "s",
	"а", "a", "α", "a", "ь", "b", "в", "b", "β", "b", "ԁ", "d", "е", "e", "ε", "e", "і", "l", "ӏ", "l", "ι", "l",
	"о", "o", "ο", "o", "σ", "o", "р", "p", "ρ", "p", "г", "r", "ѕ", "s", "т", "t", "τ", "t", "υ", "u", "ц", "u")

// looksLike reports whether a text that look returned could be taken for a word. Each
// character outside of ASCII may look like any letter, if half of the others are right:
// a table of all letters that look like others would be long, and never complete.
func looksLike(text, word string) bool {
	got, want := []rune(similar.Replace(text)), []rune(similar.Replace(word))
	if len(got) != len(want) {
		return false
	}
	equal := 0
	for i, r := range got {
		switch {
		case r == want[i]:
			equal++
		case r <= unicode.MaxASCII:
			return false
		}
	}
	return 2*equal >= len(want)
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
