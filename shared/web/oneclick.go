package web

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"

	"plaudit/shared/fault"
)

// ReadOneClick reads a form as ReadForm does, and also one that is sent as
// multipart/form-data: mail programs that end mail for their reader should send it so
// (https://www.rfc-editor.org/rfc/rfc8058#section-3.2).
func ReadOneClick(r *http.Request, allowed ...string) (*Query, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" || len(r.Header.Values("Content-Type")) != 1 {
		return ReadForm(r, allowed...)
	}
	body, err := Body(r)
	if err != nil {
		return nil, err
	}
	values := url.Values{}
	for parts := multipart.NewReader(bytes.NewReader(body), params["boundary"]); ; {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return parseQuery(values.Encode(), "body", "field", allowed), nil
		}
		var value []byte
		if err == nil {
			value, err = io.ReadAll(part)
		}
		if err != nil {
			return nil, fault.Field(fault.BadRequest, "body", "must be parts of multipart/form-data, separated by the boundary of Content-Type")
		}
		values.Add(part.FormName(), string(value))
	}
}
