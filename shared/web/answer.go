package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// answer answers a read with JSON that caches may keep, see answerWith.
func answer(w http.ResponseWriter, r *http.Request, body any) error {
	text, err := encode(body)
	if err != nil {
		return err
	}
	return answerWith(w, r, "application/json", append(text, '\n'))
}

// answerWith answers a read. What anybody may see is fresh for five seconds
// and may be shown a little longer while it is fetched anew; what a token
// showed stays with who holds the token, who asks each time whether it is
// still good. The tag is a hash of the content, so that the same content has
// the same one from every process, and If-None-Match gets a 304
// (https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2).
func answerWith(w http.ResponseWriter, r *http.Request, contentType string, body []byte) error {
	h := w.Header()
	h.Add("Vary", "Authorization")
	if caller(r).Anonymous() {
		h.Set("Cache-Control", "public, max-age=5, stale-while-revalidate=30")
	} else {
		h.Set("Cache-Control", "private, no-cache")
	}
	sum := sha256.Sum256(body)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`
	h.Set("ETag", tag)
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", contentType)
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(body)
	return err
}

// matches says whether one of the tags is the one given. They are compared
// weakly, as If-None-Match wants: a proxy that compresses makes a tag weak.
// Ours hold no comma, so a list can be cut at every one.
func matches(lists []string, tag string) bool {
	for _, list := range lists {
		for t := range strings.SplitSeq(list, ",") {
			if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == tag {
				return true
			}
		}
	}
	return false
}

// encode gives JSON without a newline behind it, and without the escapes that
// only HTML needs.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
