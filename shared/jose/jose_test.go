package jose

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

var person = access.Caller{User: "u1", Role: access.Organizer, Session: "s1"}

// pair is a key pair whose private half can sign anything.
type pair struct {
	signer   *Signer
	verifier *Verifier
	private  *rsa.PrivateKey
	jwks     string
	kid      string
}

// generate creates the key pairs once, because that is slow.
var generate = sync.OnceValue(func() []pair {
	pairs := make([]pair, 2)
	for i := range pairs {
		private, jwks, err := GenerateKey()
		if err != nil {
			panic(err)
		}
		p := pair{jwks: jwks}
		if p.signer, err = NewSigner(private); err != nil {
			panic(err)
		}
		if p.verifier, err = NewVerifier(jwks); err != nil {
			panic(err)
		}
		block, _ := pem.Decode([]byte(private))
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			panic(err)
		}
		p.private = key.(*rsa.PrivateKey)
		for p.kid = range p.verifier.keys {
		}
		pairs[i] = p
	}
	return pairs
})

func TestVerifyReturnsTheSignedCaller(t *testing.T) {
	p := generate()[0]
	callers := map[string]access.Caller{
		"a person": person,
		"an admin": {User: "u2", Role: access.Admin, Session: "s2"},
		"a key": {User: "u3", Role: access.Service, Key: "k1", Scopes: []string{"entries:write", "read"},
			Boards: []string{"seoul-2026"}, Owner: access.Organizer},
		"a key for every board": {User: "u3", Role: access.Service, Key: "k1", Scopes: []string{"read"}, Owner: access.Member},
		"notify's own key":      access.Notify(),
	}
	for name, want := range callers {
		t.Run(name, func(t *testing.T) {
			token, err := p.signer.Sign(want, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.verifier.Verify(token)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestTokenHasTheDocumentedClaims(t *testing.T) {
	p := generate()[0]
	at := time.Unix(1_800_000_000, 0)
	signer := &Signer{signer: p.signer.signer, now: func() time.Time { return at }}
	token, err := signer.Sign(person, 15*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	header, body := unpack(t, parts[0]), unpack(t, parts[1])
	if want := (map[string]any{"alg": "RS256", "typ": "at+jwt", "kid": p.kid}); !reflect.DeepEqual(header, want) {
		t.Errorf("header %v, want %v", header, want)
	}
	if id, _ := body["jti"].(string); len(id) < 20 {
		t.Errorf("jti is %v", body["jti"])
	}
	delete(body, "jti")
	want := map[string]any{"iss": "plaudit", "aud": "plaudit", "sub": "u1", "role": "organizer", "sid": "s1",
		"iat": 1_800_000_000.0, "exp": 1_800_000_900.0}
	if !reflect.DeepEqual(body, want) {
		t.Errorf("claims %v, want %v", body, want)
	}
}

// The example of RFC 7638, section 3.1.
func TestKidIsTheThumbprint(t *testing.T) {
	n := "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs" +
		"tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbI" +
		"SD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON([]byte(`{"kty":"RSA","n":"` + n + `","e":"AQAB"}`)); err != nil {
		t.Fatal(err)
	}
	named, err := publicKey(&rsa.PrivateKey{PublicKey: *key.Key.(*rsa.PublicKey)})
	if err != nil {
		t.Fatal(err)
	}
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; named.KeyID != want {
		t.Errorf("kid %s, want %s", named.KeyID, want)
	}
}

func TestTwoKeysAreValidAtOnce(t *testing.T) {
	old, next := generate()[0], generate()[1]
	verifier, err := NewVerifier(old.jwks, "", next.jwks)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []pair{old, next} {
		token, err := p.signer.Sign(person, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verifier.Verify(token); err != nil {
			t.Error(err)
		}
	}
}

// good returns a valid token's header and claims, for tests to corrupt.
func good(kid string) (header, body map[string]any) {
	now := time.Now().Unix()
	return map[string]any{"typ": "at+jwt", "kid": kid},
		map[string]any{"iss": "plaudit", "aud": "plaudit", "sub": "u1", "role": "member", "sid": "s1",
			"iat": now, "exp": now + 60, "jti": "x"}
}

// sign signs any header and claims.
func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, header, body map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(body)
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

func TestOnlyGoodTokensPass(t *testing.T) {
	p, other := generate()[0], generate()[1]
	now := time.Now().Unix()
	corrupted := func(spoil func(header, body map[string]any)) string {
		header, body := good(p.kid)
		spoil(header, body)
		return sign(t, jose.RS256, p.private, header, body)
	}
	whole := corrupted(func(header, body map[string]any) {})
	if _, err := p.verifier.Verify(whole); err != nil {
		t.Fatalf("the token that the others are made from: %v", err)
	}
	header, body := good(p.kid)
	der, err := x509.MarshalPKIXPublicKey(&p.private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	parts := strings.Split(whole, ".")
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	cases := map[string]struct{ token, reason string }{
		"no token":              {"", "not a JSON Web Token"},
		"garbage":               {"not a token", "not a JSON Web Token"},
		"three dots":            {"..", "not a JSON Web Token"},
		"a huge token":          {whole + strings.Repeat("A", maxToken), "too long"},
		"alg none":              {pack(t, map[string]any{"alg": "none", "typ": "at+jwt", "kid": p.kid}) + "." + parts[1] + ".", "RS256"},
		"alg none, signed":      {pack(t, map[string]any{"alg": "none", "typ": "at+jwt", "kid": p.kid}) + "." + parts[1] + "." + parts[2], "RS256"},
		"HS256, the public key": {sign(t, jose.HS256, publicPEM, header, body), "RS256"},
		"HS256, the modulus":    {sign(t, jose.HS256, p.private.N.Bytes(), header, body), "RS256"},
		"RS512":                 {sign(t, jose.RS512, p.private, header, body), "RS256"},
		"PS256":                 {sign(t, jose.PS256, p.private, header, body), "RS256"},
		"ES256":                 {sign(t, jose.ES256, elliptical, header, body), "RS256"},
		"another's key":         {sign(t, jose.RS256, other.private, header, body), "signature"},
		"another's key, own kid": {corrupted(func(header, _ map[string]any) { header["kid"] = other.kid }),
			"key is unknown"},
		"another key embedded": {corrupted(func(header, _ map[string]any) {
			header["kid"] = other.kid
			header["jwk"] = jose.JSONWebKey{Key: &p.private.PublicKey}
		}), "key is unknown"},
		"changed claims":     {parts[0] + "." + pack(t, map[string]any{"sub": "u2", "role": "admin"}) + "." + parts[2], "signature"},
		"no signature":       {parts[0] + "." + parts[1] + ".", "signature"},
		"unknown crit":       {corrupted(func(h, _ map[string]any) { h["crit"] = []string{"x"}; h["x"] = 1 }), "signature"},
		"no kid":             {corrupted(func(h, _ map[string]any) { delete(h, "kid") }), "key is unknown"},
		"unknown kid":        {corrupted(func(h, _ map[string]any) { h["kid"] = "x" }), "key is unknown"},
		"no typ":             {corrupted(func(h, _ map[string]any) { delete(h, "typ") }), "type"},
		"an id token's typ":  {corrupted(func(h, _ map[string]any) { h["typ"] = "JWT" }), "type"},
		"no issuer":          {corrupted(func(_, b map[string]any) { delete(b, "iss") }), "another issuer"},
		"another's issuer":   {corrupted(func(_, b map[string]any) { b["iss"] = "other" }), "another issuer"},
		"no audience":        {corrupted(func(_, b map[string]any) { delete(b, "aud") }), "audience"},
		"another's audience": {corrupted(func(_, b map[string]any) { b["aud"] = []string{"other"} }), "audience"},
		"no expiry":          {corrupted(func(_, b map[string]any) { delete(b, "exp") }), "lacks iat or exp"},
		"expired":            {corrupted(func(_, b map[string]any) { b["iat"] = now - 900; b["exp"] = now - 10 }), "expired"},
		"not valid yet":      {corrupted(func(_, b map[string]any) { b["nbf"] = now + 60 }), "time"},
		"no date":            {corrupted(func(_, b map[string]any) { delete(b, "iat") }), "lacks iat or exp"},
		"from the future":    {corrupted(func(_, b map[string]any) { b["iat"] = now + 60; b["exp"] = now + 600 }), "time"},
		"expiry is a text":   {corrupted(func(_, b map[string]any) { b["exp"] = "never" }), "claims"},
		"expiry is too far":  {corrupted(func(_, b map[string]any) { b["exp"] = 1e19 }), "claims"},
		"no account":         {corrupted(func(_, b map[string]any) { delete(b, "sub") }), "no account"},
		"no role":            {corrupted(func(_, b map[string]any) { delete(b, "role") }), "role"},
		"an unknown role":    {corrupted(func(_, b map[string]any) { b["role"] = "root" }), "role"},
		"a service, no key":  {corrupted(func(_, b map[string]any) { b["role"] = "service"; b["owner"] = "member" }), "lacks the key's id"},
		"a service's owner":  {corrupted(func(_, b map[string]any) { b["role"] = "service"; b["key"] = "k"; b["owner"] = "service" }), "lacks the key's id"},
		"a person with key":  {corrupted(func(_, b map[string]any) { b["key"] = "k" }), "claims of an API key"},
		"notify's scope": {corrupted(func(_, b map[string]any) {
			b["role"], b["key"], b["owner"], b["scopes"] = "service", "k", "admin", []string{"notify"}
		}), "notify's own key"},
		"notify's and another": {corrupted(func(_, b map[string]any) {
			b["sub"], b["role"], b["key"], b["scopes"] = "notify", "service", "notify", []string{"notify", "read"}
		}), "notify's own key"},
		"notify, with a role": {corrupted(func(_, b map[string]any) {
			b["sub"], b["role"], b["key"], b["owner"], b["scopes"] = "notify", "service", "notify", "admin", []string{"notify"}
		}), "notify's own key"},
		"notify's key, no scope": {corrupted(func(_, b map[string]any) { b["sub"], b["role"], b["key"] = "notify", "service", "notify" }), "lacks the key's id"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			caller, err := p.verifier.Verify(c.token)
			if !fault.Is(err, fault.Unauthenticated) || !caller.Anonymous() {
				t.Fatalf("got %+v, %v", caller, err)
			}
			if !strings.Contains(err.Error(), c.reason) {
				t.Errorf("the error is %q, want %q", err, c.reason)
			}
		})
	}
}

func TestTokenEndsWithItsLifetime(t *testing.T) {
	p := generate()[0]
	token, err := p.signer.Sign(person, 15*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for after, valid := range map[time.Duration]bool{
		14 * time.Minute: true, 15*time.Minute + 2*leeway: false, -time.Minute: false,
	} {
		v := &Verifier{keys: p.verifier.keys, now: func() time.Time { return time.Now().Add(after) }}
		if _, err := v.Verify(token); (err == nil) != valid {
			t.Errorf("after %v: %v", after, err)
		}
	}
}

func TestACachedTokenExpires(t *testing.T) {
	p := generate()[0]
	token, err := p.signer.Sign(person, 15*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	v := &Verifier{keys: p.verifier.keys, now: func() time.Time { return now }}
	for range 2 {
		if caller, err := v.Verify(token); err != nil || !reflect.DeepEqual(caller, person) {
			t.Fatalf("got %+v, %v", caller, err)
		}
	}
	now = now.Add(15*time.Minute + 2*leeway)
	if _, err := v.Verify(token); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("after it expired: %v", err)
	}
}

func TestVerifierRemembersABoundedNumberOfTokens(t *testing.T) {
	p := generate()[0]
	v := &Verifier{keys: p.verifier.keys, now: time.Now, verified: map[[32]byte]token{}}
	for i := range maxVerified {
		v.verified[[32]byte{byte(i), byte(i >> 8)}] = token{}
	}
	token, err := p.signer.Sign(person, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(token); err != nil {
		t.Fatal(err)
	}
	if n := len(v.verified); n < 1 || n > maxVerified {
		t.Errorf("%d tokens are cached", n)
	}
}

func TestSignerRefusesNonsense(t *testing.T) {
	p := generate()[0]
	for name, c := range map[string]access.Caller{
		"nobody":                   {},
		"no role":                  {User: "u1"},
		"a key without an owner":   {User: "u1", Role: access.Service, Key: "k1"},
		"a person that has scopes": {User: "u1", Role: access.Member, Scopes: []string{"read"}},
	} {
		if token, err := p.signer.Sign(c, time.Minute); err == nil {
			t.Errorf("%s: got %s", name, token)
		}
	}
}

func TestVerifierRefusesOtherKeys(t *testing.T) {
	p := generate()[0]
	set := func(key any, change func(*jose.JSONWebKey)) string {
		k := jose.JSONWebKey{Key: key, KeyID: "k", Use: "sig", Algorithm: "RS256"}
		if change != nil {
			change(&k)
		}
		text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k}})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	other := generate()[1]
	for name, jwks := range map[string][]string{
		"none":                {},
		"empty ones":          {"", ""},
		"an empty set":        {`{"keys": []}`},
		"no JSON":             {"keys"},
		"a secret":            {set([]byte("secret"), nil)},
		"a private key":       {set(p.private, nil)},
		"a small key":         {set(&small.PublicKey, nil)},
		"no kid":              {set(&p.private.PublicKey, func(k *jose.JSONWebKey) { k.KeyID = "" })},
		"for encryption":      {set(&p.private.PublicKey, func(k *jose.JSONWebKey) { k.Use = "enc" })},
		"another algorithm":   {set(&p.private.PublicKey, func(k *jose.JSONWebKey) { k.Algorithm = "PS256" })},
		"two keys of one kid": {set(&p.private.PublicKey, nil), set(&other.private.PublicKey, nil)},
	} {
		if _, err := NewVerifier(jwks...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSignerRefusesOtherKeys(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	for name, text := range map[string]string{
		"none":            "",
		"no PEM":          "secret-text",
		"broken":          "-----BEGIN PRIVATE KEY-----\nc2VjcmV0LXRleHQ=\n-----END PRIVATE KEY-----\n",
		"PKCS 1":          string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(small)})),
		"a small key":     pkcs8(small),
		"an elliptic key": pkcs8(elliptical),
	} {
		_, err := NewSigner(text)
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error contains the key: %v", name, err)
		}
	}
}

func TestSigningAndVerifyingAreSafeAtOnce(t *testing.T) {
	p := generate()[0]
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			token, err := p.signer.Sign(person, time.Minute)
			if err == nil {
				_, err = p.verifier.Verify(token)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func BenchmarkVerify(b *testing.B) {
	p := generate()[0]
	token, err := p.signer.Sign(person, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	for name, verify := range map[string]func() error{
		"a token that is known": func() error { _, err := p.verifier.Verify(token); return err },
		"a new one":             func() error { _, err := p.verifier.parse(token); return err },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := verify(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSign(b *testing.B) {
	p := generate()[0]
	for b.Loop() {
		if _, err := p.signer.Sign(person, time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}

func pack(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func unpack(t *testing.T, part string) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMergeAndPublicKeys(t *testing.T) {
	key, jwks, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := PublicKeys(key); err != nil || got != jwks {
		t.Errorf("the public half is %s, %v, want %s", got, err, jwks)
	}
	both, err := Merge(jwks, other, jwks)
	if err != nil || strings.Count(both, `"kid"`) != 2 {
		t.Errorf("both are %s, %v", both, err)
	}
	if _, err := NewVerifier(both); err != nil {
		t.Error(err)
	}
	if _, err := Merge(jwks, "{"); err == nil {
		t.Error("it merges something that is not a key set")
	}
	if _, err := PublicKeys("secret"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a malformed key: %v", err)
	}
}
