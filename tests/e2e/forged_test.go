package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"plaudit/shared/access"
	ours "plaudit/shared/jose"
)

// forged returns tokens that claim to be an admin's and must be refused, by the
// reason.
func forged(t *testing.T, admin *account) map[string]string {
	t.Helper()
	parts := strings.Split(admin.token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(want(t, 200, "GET", "/.well-known/jwks.json", "", "").body), &set); err != nil {
		t.Fatal(err)
	}
	var public *rsa.PublicKey
	header := map[string]any{}
	text, _ := base64.RawURLEncoding.DecodeString(parts[0])
	if err := json.Unmarshal(text, &header); err != nil {
		t.Fatal(err)
	}
	kid := header["kid"].(string)
	for _, key := range set.Key(kid) {
		public = key.Key.(*rsa.PublicKey)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(alg jose.SignatureAlgorithm, key any, extra map[jose.HeaderKey]any) string {
		options := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"typ": "at+jwt", "kid": kid}}
		for name, value := range extra {
			options.ExtraHeaders[name] = value
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	real, err := ours.NewSigner(secret(t, "SigningKey"))
	if err != nil {
		t.Fatal(err)
	}
	expired, err := real.Sign(access.Caller{User: admin.id, Role: access.Admin, Session: "00000000-0000-7000-8000-000000000000"}, -time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt","kid":"` + kid + `"}`))
	changed := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), `"role":"admin"`, `"role":"auditor"`, 1)))
	tokens := map[string]string{
		"expired":   expired,
		"foreign":   sign(jose.RS256, other, nil),
		"none":      none + "." + parts[1] + ".",
		"hs256":     sign(jose.HS256, publicPEM, nil),
		"malformed": "eyJhbGciOiJSUzI1NiJ9.e30",

		"none with a signature":          none + "." + parts[1] + "." + parts[2],
		"HS256 with the modulus":         sign(jose.HS256, public.N.Bytes(), nil),
		"HS256 with the key set":         sign(jose.HS256, []byte(want(t, 200, "GET", "/.well-known/jwks.json", "", "").body), nil),
		"a key of its own in the header": sign(jose.RS256, other, map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: &other.PublicKey, KeyID: kid}}),
		"a key to be fetched":            sign(jose.RS256, other, map[jose.HeaderKey]any{"jku": "http://127.0.0.1:1/jwks.json"}),
		"a kid that is a path":           sign(jose.RS256, other, map[jose.HeaderKey]any{"kid": "../../../../dev/null"}),
		"a kid that is SQL":              sign(jose.RS256, other, map[jose.HeaderKey]any{"kid": "' UNION SELECT 'x"}),
		"a type of another kind":         sign(jose.RS256, other, map[jose.HeaderKey]any{"typ": "JWT"}),
		"another payload":                parts[0] + "." + changed + "." + parts[2],
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"two tokens":                     admin.token + "." + admin.token,
		"padded":                         admin.token + "=",
		"a refresh token":                admin.refresh,
	}
	if changed == parts[1] {
		t.Fatal("the payload of an admin's token does not contain the role")
	}
	for _, token := range tokens {
		leaks.note("a forged token", token)
	}
	return tokens
}

// Every route refuses forged tokens, even a route that needs none.
func TestForgedTokens(t *testing.T) {
	root := person(t, access.Admin)
	want(t, 200, "GET", "/v1/users/me", root.token, "")
	for name, token := range forged(t, root) {
		for _, path := range []string{"/v1/users/me", "/v1/boards/demo", "/healthz"} {
			a := send(t, "GET", path, token, "")
			if a.status != 401 || a.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: GET %s: %d %s", name, path, a.status, a.body)
			}
		}
	}
	for _, header := range []string{"", "Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", root.token, "Bearer " + root.token + ", Bearer " + root.token, "Bearer " + root.token + " x"} {
		if a := send(t, "GET", "/v1/users/me", "", "", "Authorization", header); a.status != 401 {
			t.Errorf("Authorization: %q: %d %s", header, a.status, a.body)
		}
	}
	if a := send(t, "GET", "/v1/users/me?access_token="+root.token, "", ""); a.status != 401 {
		t.Errorf("a token in the URL: %d", a.status)
	}
}
