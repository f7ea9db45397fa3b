package part

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strings"
)

// SignedFor returns the service of a SigV4 signature, in the header or in the
// query of a presigned URL: Credential=KEY/20261121/region/service/aws4_request.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
func SignedFor(r *http.Request) string {
	credential := r.URL.Query().Get("X-Amz-Credential")
	if _, after, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		credential, _, _ = strings.Cut(after, ",")
	}
	scope := strings.Split(strings.TrimSpace(credential), "/")
	if len(scope) < 5 {
		return ""
	}
	return scope[len(scope)-2] // a key may contain slashes, the scope does not
}

// Refuse answers with an error in the form of the request's protocol.
func Refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	isXML := SignedFor(r) == "s3" || strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	if !isXML {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("X-Amzn-ErrorType", code)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message}) // the client is gone
		return
	}
	type details struct {
		Code    string
		Message string
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	if SignedFor(r) == "s3" {
		_ = xml.NewEncoder(w).Encode(struct {
			XMLName xml.Name `xml:"Error"`
			details
		}{details: details{code, message}})
		return
	}
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName xml.Name `xml:"ErrorResponse"`
		Error   details
	}{Error: details{code, message}})
}
