package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
)

// Reply writes a JSON response that no cache keeps.
func Reply(w http.ResponseWriter, status int, body any) error {
	text, err := encode(body)
	if err != nil {
		return err
	}
	return write(w, status, "application/json", append(text, '\n'))
}

// ReplyJSON writes a document that is already JSON, byte for byte. No cache keeps it.
func ReplyJSON(w http.ResponseWriter, status int, document []byte) error {
	return write(w, status, "application/json", append(bytes.Clone(document), '\n'))
}

// write writes a whole response. It states the length, because a response to HEAD
// has the headers of the one to GET, and net/http's server counts only short ones.
func write(w http.ResponseWriter, status int, contentType string, body []byte) error {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

// ReplyAs writes a response that is not one of this package's JSON documents. The
// caller sets Cache-Control.
func ReplyAs(w http.ResponseWriter, contentType string, body []byte) error {
	return write(w, http.StatusOK, contentType, body)
}

// ReplyHTML writes a page that no cache keeps.
func ReplyHTML(w http.ResponseWriter, status int, page []byte) error {
	return write(w, status, "text/html; charset=utf-8", page)
}

// ReplyCached writes a JSON response to a read that caches may keep, see
// ReplyCachedAs.
func ReplyCached(w http.ResponseWriter, r *http.Request, body any) error {
	text, err := encode(body)
	if err != nil {
		return err
	}
	return ReplyCachedAs(w, r, "application/json", append(text, '\n'))
}

// ReplyCachedAs writes a response to a read that caches may keep. A response to an
// anonymous caller is fresh for five seconds, and caches may serve it a little longer
// while they fetch a new one. A response to a token is for the client only, which
// must revalidate it each time. The ETag is a hash of the body, so every process
// returns the same one; a matching If-None-Match gets a 304
// (https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2).
func ReplyCachedAs(w http.ResponseWriter, r *http.Request, contentType string, body []byte) error {
	h := w.Header()
	h.Add("Vary", "Authorization")
	if Caller(r).Anonymous() {
		h.Set("Cache-Control", "public, max-age=5, stale-while-revalidate=30")
	} else {
		h.Set("Cache-Control", "private, no-cache")
	}
	sum := sha256.Sum256(body)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`
	h.Set("ETag", tag)
	if hasTag(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return write(w, http.StatusOK, contentType, body)
}

// encode returns JSON without a newline at its end, and without the escapes
// that only HTML needs.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// OrNull returns nil for the empty text, which the API shows as null.
func OrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
