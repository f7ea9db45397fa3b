package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
)

// endpoint is the one address of every AWS API that the laptop serves.
type endpoint struct {
	services map[string]http.Handler // by the name in a signature's scope
}

// ServeHTTP passes a request to the service that it is signed for or, if it is
// not signed, to the one of its target or path. It does not check signatures.
func (e endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A web page in a browser on this machine could send requests here, but only
	// with its origin.
	if r.Header.Get("Origin") != "" {
		refuse(w, r, http.StatusForbidden, "AccessDeniedException", "the laptop's AWS endpoint refuses requests of browser pages")
		return
	}
	name := signedFor(r)
	if name == "" {
		name = guessService(r)
	}
	if service, ok := e.services[name]; ok {
		service.ServeHTTP(w, r)
		return
	}
	if name == "" {
		refuse(w, r, http.StatusForbidden, "MissingAuthenticationTokenException", "the request is for no known AWS service: it has neither a signature (version 4) nor a known X-Amz-Target or path")
		return
	}
	refuse(w, r, http.StatusBadRequest, "UnrecognizedClientException", fmt.Sprintf("the laptop does not serve the service %s yet", name))
}

// signedFor reads the service from a SigV4 signature, in the header or in the
// query of a presigned URL: Credential=KEY/20261121/region/service/aws4_request.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
func signedFor(r *http.Request) string {
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

func guessService(r *http.Request) string {
	if target, _, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		return strings.ToLower(strings.TrimSuffix(target, "_20120810"))
	}
	if strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/") {
		return "lambda"
	}
	return ""
}

// refuse answers in the form of the request's protocol.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	isXML := signedFor(r) == "s3" || strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
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
	if signedFor(r) == "s3" {
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
