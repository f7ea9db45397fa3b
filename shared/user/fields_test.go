package user

import (
	"slices"
	"strings"
	"testing"

	"plaudit/shared/fault"
)

func good() SignUp {
	return SignUp{Email: "jin@example.com", Password: "correct horse", DisplayName: "진"}
}

// faultyFields returns the names of the fields that a sign-up is refused for.
func faultyFields(t *testing.T, in SignUp) []string {
	t.Helper()
	_, err := in.account()
	if err == nil {
		return nil
	}
	f, ok := fault.As(err)
	if !ok || f.Kind != fault.BadRequest {
		t.Fatalf("not a fault of the request: %v", err)
	}
	var fields []string
	for _, e := range f.Errors {
		fields = append(fields, e.Field)
	}
	return fields
}

func TestSignUpFields(t *testing.T) {
	set := func(f func(*SignUp)) SignUp {
		in := good()
		f(&in)
		return in
	}
	email := func(s string) SignUp { return set(func(in *SignUp) { in.Email = s }) }
	password := func(s string) SignUp { return set(func(in *SignUp) { in.Password = s }) }
	name := func(s string) SignUp { return set(func(in *SignUp) { in.DisplayName = s }) }
	locale := func(s string) SignUp { return set(func(in *SignUp) { in.Locale = &s }) }
	zone := func(s string) SignUp { return set(func(in *SignUp) { in.TimeZone = &s }) }
	country := func(s string) SignUp { return set(func(in *SignUp) { in.Country = &s }) }
	long := strings.Repeat("d", 63) + "." + strings.Repeat("d", 63) + "." + strings.Repeat("d", 63)

	for _, c := range []struct {
		name  string
		in    SignUp
		field string // the refused field; empty if none
	}{
		{"the minimum", good(), ""},
		{"capitals in an address", email("Jin.Park+races@Example.COM"), ""},
		{"an address of one label", email("root@localhost"), ""},
		{"a domain in its xn-- form", email("a@xn--3e0b707e.example"), ""},
		{"254 characters of address", email(strings.Repeat("l", 62) + "@" + long), ""},
		{"255 characters of address", email(strings.Repeat("l", 63) + "@" + long), "email"},
		{"65 characters before the @", email(strings.Repeat("l", 65) + "@example.com"), "email"},
		{"no address", email(""), "email"},
		{"no @", email("jin.example.com"), "email"},
		{"two addresses", email("a@example.com, b@example.com"), "email"},
		{"a name around the address", email("Jin <jin@example.com>"), "email"},
		{"brackets around the address", email("<jin@example.com>"), "email"},
		{"a comment after the address", email("jin@example.com (Jin)"), "email"},
		{"a space before the address", email(" jin@example.com"), "email"},
		{"a line break after the address", email("jin@example.com\r\n"), "email"},
		{"a header after the address", email("jin@example.com\r\nBcc: x@example.com"), "email"},
		{"a quoted local part", email(`"jin park"@example.com`), "email"},
		{"an address of numbers", email("jin@[127.0.0.1]"), "email"},
		{"two dots in a row", email("jin@example..com"), "email"},
		{"a label that begins with a hyphen", email("jin@-example.com"), "email"},
		{"letters that look like others", email("jin@exаmple.com"), "email"},
		{"NUL in the address", email("jin\x00@example.com"), "email"},

		{"10 characters of password", password("horse-0123"), ""},
		{"9 characters of password", password("012345678"), "password"},
		{"256 characters of password", password(strings.Repeat("가나", 128)), ""},
		{"257 characters of password", password(strings.Repeat("가", 257)), "password"},
		{"characters count as they are hashed, not as they are typed", password("\u1100\u1161\u1100\u1161\u1100\u1161\u1100\u1161\u1100\u1161"), "password"},
		{"no password", password(""), "password"},
		{"NUL in the password", password("0123456789\x00"), "password"},
		{"spaces in the password", password("  a b c d e  "), ""},

		{"80 characters of name", name(strings.Repeat("가", 80)), ""},
		{"81 characters of name", name(strings.Repeat("가", 81)), "display_name"},
		{"an emoji of several characters", name("👩‍🚀 Jin"), ""},
		{"no name", name(""), "display_name"},
		{"a name of spaces", name(" \u3000"), "display_name"},
		{"a name of joiners", name("\u200d\u200b"), "display_name"},
		{"a line break in the name", name("Jin\nPark"), "display_name"},
		{"an escape sequence in the name", name("\x1b[31mJin"), "display_name"},
		{"a line separator in the name", name("Jin\u2028Park"), "display_name"},
		{"an override of direction in the name", name("Jin\u202etxt"), "display_name"},
		{"Hebrew in the name", name("ג׳ין"), ""},

		{"Korean", locale("ko"), ""},
		{"a locale we have not", locale("de"), "locale"},
		{"a locale in capitals", locale("KO"), "locale"},
		{"an empty locale", locale(""), "locale"},

		{"a zone", zone("Asia/Seoul"), ""},
		{"a zone with a sign", zone("Etc/GMT+9"), ""},
		{"the zone of the machine", zone("Local"), "time_zone"},
		{"an empty zone", zone(""), "time_zone"},
		{"an unknown zone", zone("Asia/Atlantis"), "time_zone"},
		{"a zone in small letters", zone("asia/seoul"), "time_zone"},
		{"a folder that only some systems have", zone("posix/Asia/Seoul"), "time_zone"},
		{"a way out of the folder", zone("../../etc/passwd"), "time_zone"},

		{"a country", country("KR"), ""},
		{"a country in small letters", country("kr"), ""},
		{"a country of three letters", country("KOR"), "country"},
		{"a code that stands for no country", country("ZZ"), "country"},
		{"a union of countries", country("EU"), "country"},
		{"a code that was withdrawn", country("DD"), "country"},
		{"not ISO's code", country("UK"), "country"},
		{"an empty country", country(""), "country"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := faultyFields(t, c.in)
			var want []string
			if c.field != "" {
				want = []string{c.field}
			}
			if !slices.Equal(got, want) {
				t.Errorf("refused for %q, want %q", got, want)
			}
		})
	}
}

func TestEveryFaultComesAtOnce(t *testing.T) {
	bad := "x"
	got := faultyFields(t, SignUp{Locale: &bad, TimeZone: &bad, Country: &bad})
	if want := []string{"email", "password", "display_name", "locale", "time_zone", "country"}; !slices.Equal(got, want) {
		t.Errorf("refused for %q, want %q", got, want)
	}
}

func TestDefaults(t *testing.T) {
	u, err := good().account()
	if err != nil {
		t.Fatal(err)
	}
	if u.Locale != "en" || u.TimeZone != "UTC" || u.Country != "" || u.EmailVerified || u.Mail == nil {
		t.Errorf("got %+v", u)
	}
}
