package web

import "net/http"

// FormType is the media type of the forms that pages send.
const FormType = "application/x-www-form-urlencoded"

// ReadForm reads the form that a page sends (https://url.spec.whatwg.org/#application/x-www-form-urlencoded).
// It accepts the allowed fields and otherwise follows the rules of ReadQuery, whose methods
// read the fields. The query of the request is not looked at.
func ReadForm(r *http.Request, allowed ...string) (*Query, error) {
	body, err := bodyAs(r, FormType, "A form")
	if err != nil {
		return nil, err
	}
	return parseQuery(string(body), "body", "field", allowed), nil
}
