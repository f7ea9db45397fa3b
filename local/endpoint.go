package main

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"

	"plaudit/local/part"
)

// endpoint is the one address of every AWS API that the laptop serves.
type endpoint struct {
	services map[string]http.Handler // by the name in a signature's scope
	port     string
	hosts    []string // names and addresses by which containers call it
}

// ServeHTTP passes a request to the service that it is signed for or, if it is
// not signed, to the one of its target or path. It does not check signatures.
func (e endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if sign := part.Foreign(r, e.port, e.hosts...); sign != "" {
		part.Refuse(w, r, http.StatusForbidden, "AccessDeniedException", "the laptop's AWS endpoint refuses requests of browser pages, and this one has "+sign)
		return
	}
	// An old browser sends nothing of that with the request for an image. SDKs sign
	// actions in the header.
	if r.URL.Query().Has("Action") && r.Header.Get("Authorization") == "" {
		part.Refuse(w, r, http.StatusForbidden, "AccessDeniedException", "the laptop's AWS endpoint refuses an Action in the URL without the header Authorization: sign the request in its header")
		return
	}
	name := part.SignedFor(r)
	if name == "" {
		name = guessService(r)
	}
	if service, ok := e.services[name]; ok {
		service.ServeHTTP(w, r)
		return
	}
	if name == "" {
		part.Refuse(w, r, http.StatusForbidden, "MissingAuthenticationTokenException", "the request is for no known AWS service: it has neither a signature (version 4) nor a known X-Amz-Target or path")
		return
	}
	part.Refuse(w, r, http.StatusBadRequest, "UnrecognizedClientException", fmt.Sprintf("the laptop does not serve the service %s yet", name))
}

// targets are the services of X-Amz-Target, in lower case, where they are called
// otherwise in a signature's scope.
var targets = map[string]string{
	"dynamodb_20120810":        "dynamodb",
	"dynamodbstreams_20120810": "dynamodb",
	"amazonsqs":                "sqs",
	"awsevents":                "events",
}

func guessService(r *http.Request) string {
	if target, _, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		name := strings.ToLower(target)
		return cmp.Or(targets[name], name)
	}
	if strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/") {
		return "lambda"
	}
	if strings.HasPrefix(r.URL.Path, "/v2/email/") {
		return "ses"
	}
	return ""
}
