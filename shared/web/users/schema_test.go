package users

import (
	"testing"

	"plaudit/shared/web"
	"plaudit/shared/web/webtest"
)

func TestSchemasAreTheStructs(t *testing.T) {
	webtest.CheckSchemas(t, map[string]any{
		"SignUp":        signUpIn{},
		"User":          userOut{},
		"PublicProfile": profileOut{},
		"UserList":      web.Page{},
		"Session":       sessionOut{},
		"Login":         loginOut{},
		"OpenSession":   openSessionOut{},

		"NewMailLink":     mailLinkIn{},
		"MailLink":        mailLinkOut{},
		"MailStateReport": mailStateIn{},
		"MailState":       mailStateOut{},

		"EmailVerificationRequest": verificationIn{},
		"EmailVerification":        verificationOut{},
		"EmailChange":              emailChangeIn{},
		"PasswordResetRequest":     resetRequestIn{},
		"PasswordReset":            resetIn{},
		"Empty":                    struct{}{},
		"Key":                      webtest.Without[keyOut]{"key"},
	})
}
