// Package users serves accounts, sessions and API keys over HTTP, and the routes for
// the whole API: its document, its public keys and its health. The rules are in
// package user; this package has the routes and the shapes of bodies. The pages for
// people are in package pages.
package users

import (
	"net/http"

	"plaudit/shared/user"
	"plaudit/shared/web"
)

// Endpoints returns the endpoints of the users service, without the pages. jwks is the JSON Web
// Key Set that it publishes: public keys only.
func Endpoints(service *user.Service, jwks string) map[string]web.Endpoint {
	h := handlers{service, jwks, web.OpenAPI()}
	return map[string]web.Endpoint{
		"POST /v1/users":                      {Handle: h.signUp},
		"GET /v1/users":                       {Handle: h.list},
		"GET /v1/users/me":                    {Handle: h.me},
		"PATCH /v1/users/me":                  {Handle: h.patchMe},
		"DELETE /v1/users/me":                 {Handle: h.erase},
		"PUT /v1/users/me/password":           {Handle: h.changePassword},
		"PUT /v1/users/me/email":              {Handle: h.changeEmail},
		"GET /v1/users/{id}":                  {Handle: h.get},
		"PATCH /v1/users/{id}":                {Handle: h.setRole},
		"POST /v1/users/{id}/mail-links":      {Handle: h.makeMailLink},
		"PUT /v1/users/{id}/mail-state":       {Handle: h.setMailState},
		"POST /v1/sessions":                   {Handle: h.login},
		"GET /v1/sessions":                    {Handle: h.sessions},
		"DELETE /v1/sessions":                 {Handle: h.logout},
		"DELETE /v1/sessions/{id}":            {Handle: h.endSession},
		"POST /v1/sessions/refresh":           {Handle: h.refresh},
		"POST /v1/keys":                       {Handle: h.makeKey},
		"GET /v1/keys":                        {Handle: h.keys},
		"DELETE /v1/keys/{id}":                {Handle: h.deleteKey},
		"POST /v1/tokens":                     {Handle: h.exchangeKey},
		"POST /v1/email-verifications":        {Handle: h.requestVerification},
		"PUT /v1/email-verifications/{token}": {Handle: h.verifyAddress},
		"POST /v1/password-resets":            {Handle: h.requestReset},
		"PUT /v1/password-resets/{token}":     {Handle: h.resetPassword},
		"GET /v1/openapi.json":                {Handle: h.document},
		"GET /.well-known/jwks.json":          {Handle: h.publicKeys},
		"GET /healthz":                        {Handle: h.healthz},
		"GET /readyz":                         {Handle: h.readyz},
	}
}

type handlers struct {
	users   *user.Service
	jwks    string
	openAPI []byte
}

// publicKeys lets caches keep the keys. A key rotation waits longer between the
// publication of a new key and the first token that it signs.
func (h handlers) publicKeys(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=300")
	return web.ReplyAs(w, "application/jwk-set+json", []byte(h.jwks)) // RFC 7517, 8.5.2
}

// healthz reports that the process is serving. It does not query the database,
// because an outage would otherwise get every task killed.
func (h handlers) healthz(w http.ResponseWriter, _ *http.Request) error {
	return web.Reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (h handlers) readyz(w http.ResponseWriter, r *http.Request) error {
	if err := h.users.Ready(r.Context()); err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (h handlers) document(w http.ResponseWriter, r *http.Request) error {
	if err := web.NoQuery(r); err != nil {
		return err
	}
	return web.ReplyCachedAs(w, r, "application/json", h.openAPI)
}

// replyIDs writes a page of a list whose places are the items' ids. more reports
// whether the list continues.
func replyIDs[T any](w http.ResponseWriter, l *web.List[string], items []T, id func(T) string, more bool) error {
	places := make([]string, len(items))
	for i, item := range items {
		places[i] = id(item)
	}
	var last *string
	if more {
		last = &places[len(places)-1]
	}
	page, err := web.NewPage(l, items, places, last)
	if err != nil {
		return err
	}
	return web.Reply(w, http.StatusOK, page)
}

// afterOf returns the id after which a page begins, empty for the first page.
func afterOf(l *web.List[string]) string {
	if l.After == nil {
		return ""
	}
	return *l.After
}
