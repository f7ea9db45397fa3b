// Package pages serves what people see of the users service: pages that a link in a mail
// opens. They work without JavaScript, and load nothing. The rules are in package user.
package pages

import (
	"plaudit/shared/user"
	"plaudit/shared/web"
)

// Endpoints returns the endpoints of the pages. They belong to the users service.
func Endpoints(service *user.Service) map[string]web.Endpoint {
	u, v, r := unsubscribe{service}, verify{service}, reset{service}
	return map[string]web.Endpoint{
		"GET /v1/unsubscribe/{token}":  {Handle: u.show, Render: u.fail},
		"POST /v1/unsubscribe/{token}": {Handle: u.change, Render: u.fail},
		"GET /verify":                  {Handle: v.show, Render: fail},
		"POST /verify":                 {Handle: v.use, Render: fail},
		"GET /reset":                   {Handle: r.show, Render: fail},
		"POST /reset":                  {Handle: r.use, Render: fail},
	}
}
