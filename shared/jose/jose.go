// Package jose signs and verifies access tokens: JSON Web Tokens (RFC 7519)
// of the profile for access tokens (RFC 9068), signed with RS256. Who verifies
// needs the public keys only, and no network.
//
// The header has typ "at+jwt" and kid, the key's RFC 7638 thumbprint. The claims:
//
//	iss, aud  "plaudit"
//	sub       the account's id
//	iat, exp  when it was signed and when it ends, seconds since 1970
//	jti       a random id
//	role      member, organizer, auditor, admin, or service for an API key
//	sid       the session's id; not for a key
//	key       the API key's id; for a key only, as are the next three
//	scopes    what the key may do, e.g. ["entries:write"]
//	boards    the boards it is for; absent: every board of its owner
//	owner     the role its owner had when the token was made
//
// RFC 9068's client_id is missing: there is one kind of client.
package jose

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

const (
	name      = "plaudit" // issuer and audience
	tokenType = "at+jwt"
	// keyBits is the size of a new key, minKeyBits of one that is accepted
	// (RFC 7518, section 3.3).
	keyBits, minKeyBits = 2048, 2048
	// maxToken is the length from which a token is not looked at. One of an API
	// key with 100 boards of 63 characters has 10 KB; load balancers take
	// headers of 16 KB.
	maxToken = 12 << 10
	// maxKnown is how many tokens a verifier remembers: 5 MB where all of them
	// are as long as that.
	maxKnown = 500
	// leeway is how far the clocks of signer and verifier may differ.
	leeway = 5 * time.Second
)

// claims is what a token says beyond the registered claims.
type claims struct {
	Role    access.Role `json:"role"`
	Session string      `json:"sid,omitempty"`
	Key     string      `json:"key,omitempty"`
	Scopes  []string    `json:"scopes,omitempty"`
	Boards  []string    `json:"boards,omitempty"`
	Owner   access.Role `json:"owner,omitempty"`
}

// check says what makes no sense about a caller.
func check(c access.Caller) error {
	switch {
	case c.User == "":
		return errors.New("it names no account")
	case c.Role == access.Service && (c.Key == "" || !c.Owner.Valid()):
		return errors.New("it is an API key's, but lacks the key or its owner's role")
	case c.Role == access.Service:
		return nil
	case !c.Role.Valid():
		return errors.New("its role is unknown")
	case c.Key != "" || c.Owner != "" || len(c.Scopes) > 0 || len(c.Boards) > 0:
		return errors.New("it is a person's, but cut down as an API key's")
	}
	return nil
}

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	keys map[string]*rsa.PublicKey // by kid
	now  func() time.Time

	mu sync.Mutex
	// known is what tokens say whose signature was found to be good, by the
	// hash of the token: who works with one sends it again and again. The keys
	// never change, so only the time is left to be looked at.
	known map[[sha256.Size]byte]statement
}

// statement is what a token says.
type statement struct {
	registered jwt.Claims
	caller     access.Caller
}

// NewVerifier takes JSON Web Key Sets (RFC 7517) with public RSA keys; empty
// strings count as none. A token signed by any of the keys is good.
func NewVerifier(jwks ...string) (*Verifier, error) {
	v := &Verifier{keys: map[string]*rsa.PublicKey{}, now: time.Now}
	for _, text := range jwks {
		if text == "" {
			continue
		}
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(text), &set); err != nil {
			return nil, fmt.Errorf("the text is no JSON Web Key Set: %w", err)
		}
		for _, key := range set.Keys {
			if err := v.add(key); err != nil {
				return nil, fmt.Errorf("key %q of the JSON Web Key Set: %w", key.KeyID, err)
			}
		}
	}
	if len(v.keys) == 0 {
		return nil, errors.New("the JSON Web Key Sets hold no key")
	}
	return v, nil
}

func (v *Verifier) add(key jose.JSONWebKey) error {
	public, ok := key.Key.(*rsa.PublicKey)
	switch {
	case !ok:
		return errors.New("it must be a public RSA key, and nothing else")
	case key.KeyID == "":
		return errors.New("it has no kid")
	case key.Use != "" && key.Use != "sig", key.Algorithm != "" && key.Algorithm != string(jose.RS256):
		return errors.New("it is not for signing with RS256")
	case public.N.BitLen() < minKeyBits:
		return fmt.Errorf("it has %d bits, %d are the least", public.N.BitLen(), minKeyBits)
	}
	if other, ok := v.keys[key.KeyID]; ok && !other.Equal(public) {
		return errors.New("another key has the same kid")
	}
	v.keys[key.KeyID] = public
	return nil
}

// Verify gives the caller that a token is for. A token that is not good is a
// fault.Unauthenticated that says why.
func (v *Verifier) Verify(token string) (access.Caller, error) {
	caller, err := v.verify(token)
	if err != nil {
		return access.Caller{}, fault.New(fault.Unauthenticated, "The access token is not valid: %s. Log in again, or refresh the session.", err)
	}
	return caller, nil
}

func (v *Verifier) verify(token string) (access.Caller, error) {
	if len(token) > maxToken {
		return access.Caller{}, errors.New("it is too long")
	}
	said, err := v.said(token)
	if err != nil {
		return access.Caller{}, err
	}
	err = said.registered.ValidateWithLeeway(jwt.Expected{Issuer: name, AnyAudience: jwt.Audience{name}, Time: v.now()}, leeway)
	switch {
	case errors.Is(err, jwt.ErrExpired):
		return access.Caller{}, errors.New("it has expired")
	case err != nil:
		return access.Caller{}, errors.New("it is for another issuer, audience or time")
	}
	return said.caller, check(said.caller)
}

// said gives what a token says that one of the keys has signed.
func (v *Verifier) said(token string) (statement, error) {
	hash := sha256.Sum256([]byte(token))
	v.mu.Lock()
	said, ok := v.known[hash]
	v.mu.Unlock()
	if ok {
		return said, nil
	}
	said, err := v.read(token)
	if err != nil {
		return statement{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil || len(v.known) == maxKnown {
		v.known = map[[sha256.Size]byte]statement{}
	}
	v.known[hash] = said
	return said, nil
}

func (v *Verifier) read(token string) (statement, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return statement{}, errors.New("it is no JSON Web Token signed with RS256")
	}
	header := parsed.Headers[0]
	if header.ExtraHeaders[jose.HeaderType] != tokenType {
		return statement{}, errors.New("its type is not " + tokenType)
	}
	key, ok := v.keys[header.KeyID]
	if !ok {
		return statement{}, errors.New("it names no key that is known")
	}
	var registered jwt.Claims
	var own claims
	if err := parsed.Claims(key, &registered, &own); err != nil {
		return statement{}, errors.New("its signature or its claims are broken")
	}
	if registered.Expiry == nil || registered.IssuedAt == nil {
		return statement{}, errors.New("it does not say when it was made or when it ends")
	}
	return statement{registered, access.Caller{
		User:    registered.Subject,
		Role:    own.Role,
		Session: own.Session,
		Key:     own.Key,
		Scopes:  own.Scopes,
		Boards:  own.Boards,
		Owner:   own.Owner,
	}}, nil
}

// Signer makes tokens. It is safe for concurrent use.
type Signer struct {
	signer jose.Signer
	now    func() time.Time
}

// NewSigner takes an RSA private key of 2048 bits or more, PKCS 8 in PEM. Its
// errors never hold a part of it.
func NewSigner(privateKeyPEM string) (*Signer, error) {
	private, err := parsePrivate(privateKeyPEM)
	if err != nil {
		return nil, err
	}
	public, err := publicKey(private)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: private, KeyID: public.KeyID}},
		(&jose.SignerOptions{}).WithType(tokenType))
	if err != nil {
		return nil, fmt.Errorf("prepare the signing key: %w", err)
	}
	return &Signer{signer: signer, now: time.Now}, nil
}

func parsePrivate(privateKeyPEM string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(privateKeyPEM))
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("the signing key must be a PKCS 8 private key in PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the signing key is not a PKCS 8 private key")
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok || private.N.BitLen() < minKeyBits {
		return nil, fmt.Errorf("the signing key must be an RSA key of %d bits or more", minKeyBits)
	}
	return private, nil
}

// Sign makes a token for the caller. An error means a caller that no token can
// be for.
func (s *Signer) Sign(c access.Caller, lifetime time.Duration) (string, error) {
	if err := check(c); err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	now := s.now()
	registered := jwt.Claims{
		Issuer:   name,
		Audience: jwt.Audience{name},
		Subject:  c.User,
		IssuedAt: jwt.NewNumericDate(now),
		Expiry:   jwt.NewNumericDate(now.Add(lifetime)),
		ID:       rand.Text(),
	}
	own := claims{Role: c.Role, Session: c.Session, Key: c.Key, Scopes: c.Scopes, Boards: c.Boards, Owner: c.Owner}
	token, err := jwt.Signed(s.signer).Claims(registered).Claims(own).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return token, nil
}

// GenerateKey makes a key pair: the private key as NewSigner takes it, the
// public one as NewVerifier takes it.
func GenerateKey() (privateKeyPEM, publicJWKS string, err error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return "", "", fmt.Errorf("make a signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", fmt.Errorf("make a signing key: %w", err)
	}
	publicJWKS, err = publicSet(private)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), publicJWKS, err
}

// PublicKeys gives the public half of a private key as a JSON Web Key Set of
// one. Its errors never hold a part of the key.
func PublicKeys(privateKeyPEM string) (publicJWKS string, err error) {
	private, err := parsePrivate(privateKeyPEM)
	if err != nil {
		return "", err
	}
	return publicSet(private)
}

// Merge gives one JSON Web Key Set with the keys of all, each kid once.
func Merge(jwks ...string) (string, error) {
	var merged jose.JSONWebKeySet
	for _, text := range jwks {
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(text), &set); err != nil {
			return "", fmt.Errorf("the text is no JSON Web Key Set: %w", err)
		}
		for _, key := range set.Keys {
			if len(merged.Key(key.KeyID)) == 0 {
				merged.Keys = append(merged.Keys, key)
			}
		}
	}
	text, err := json.Marshal(merged)
	if err != nil {
		return "", fmt.Errorf("write the public keys: %w", err)
	}
	return string(text), nil
}

func publicSet(private *rsa.PrivateKey) (string, error) {
	public, err := publicKey(private)
	if err != nil {
		return "", err
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	if err != nil {
		return "", fmt.Errorf("write the public key: %w", err)
	}
	return string(set), nil
}

// publicKey gives the public half, named by its thumbprint (RFC 7638).
func publicKey(private *rsa.PrivateKey) (jose.JSONWebKey, error) {
	key := jose.JSONWebKey{Key: &private.PublicKey, Algorithm: string(jose.RS256), Use: "sig"}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("name the signing key: %w", err)
	}
	key.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	return key, nil
}
