// Package jose signs and verifies access tokens: JSON Web Tokens (RFC 7519)
// with the profile for access tokens (RFC 9068), signed with RS256. Verifying
// one takes the public keys and no network.
//
// The header has typ "at+jwt" and kid, the key's RFC 7638 thumbprint. The claims:
//
//	iss, aud  "plaudit"
//	sub       the account's id
//	iat, exp  when it was signed and when it expires, seconds since 1970
//	jti       a random id
//	role      member, organizer, auditor, admin, or service for an API key
//	sid       the session's id; absent for an API key
//	key       the API key's id; like the next three, for an API key only
//	scopes    what the key may do, e.g. ["entries:write"]
//	boards    the boards that the key is limited to; absent means every board of
//	          its owner
//	owner     the owner's role when the token was signed; absent for notify's own key
//
// RFC 9068's client_id is left out, because there is only one kind of client.
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
	"reflect"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

const (
	issuer    = "plaudit" // also the audience
	tokenType = "at+jwt"
	// keyBits is the size of a new key, minKeyBits the minimum of an accepted
	// one (RFC 7518, section 3.3).
	keyBits, minKeyBits = 2048, 2048
	// maxToken is the maximum length of a token, in bytes. One for an API key
	// with 100 boards of 63 characters has 10 KB; load balancers accept headers
	// of 16 KB.
	maxToken = 12 << 10
	// maxVerified is how many tokens a verifier caches: about 5 MB if all are
	// that long.
	maxVerified = 500
	// leeway is how far the clocks of signer and verifier may differ.
	leeway = 5 * time.Second
)

// claims are the claims beside the registered ones.
type claims struct {
	Role    access.Role `json:"role"`
	Session string      `json:"sid,omitempty"`
	Key     string      `json:"key,omitempty"`
	Scopes  []string    `json:"scopes,omitempty"`
	Boards  []string    `json:"boards,omitempty"`
	Owner   access.Role `json:"owner,omitempty"`
}

// checkCaller returns an error if the caller contradicts itself.
func checkCaller(c access.Caller) error {
	switch {
	case c.User == "":
		return errors.New("it names no account")
	case c.Notifies() && !reflect.DeepEqual(c, access.Notify()):
		return errors.New("it has the scope of notify's own key but is for another key")
	case c.Notifies():
		return nil
	case c.Role == access.Service && (c.Key == "" || !c.Owner.Valid()):
		return errors.New("it is for an API key but lacks the key's id or the owner's role")
	case c.Role == access.Service:
		return nil
	case !c.Role.Valid():
		return errors.New("its role is unknown")
	case c.Key != "" || c.Owner != "" || len(c.Scopes) > 0 || len(c.Boards) > 0:
		return errors.New("it is for a person but has the claims of an API key")
	}
	return nil
}

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	keys map[string]*rsa.PublicKey // by kid
	now  func() time.Time

	mu sync.Mutex
	// verified caches tokens whose signature is valid, by their hash, because
	// clients send the same token again and again. The keys never change, so
	// only the time has to be checked again.
	verified map[[sha256.Size]byte]token
}

// token is the content of a token.
type token struct {
	registered jwt.Claims
	caller     access.Caller
}

// NewVerifier accepts JSON Web Key Sets (RFC 7517) of public RSA keys. It
// ignores empty strings. A token signed by any of the keys is valid.
func NewVerifier(jwks ...string) (*Verifier, error) {
	v := &Verifier{keys: map[string]*rsa.PublicKey{}, now: time.Now}
	for _, text := range jwks {
		if text == "" {
			continue
		}
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(text), &set); err != nil {
			return nil, fmt.Errorf("not a JSON Web Key Set: %w", err)
		}
		for _, key := range set.Keys {
			if err := v.add(key); err != nil {
				return nil, fmt.Errorf("key %q of the JSON Web Key Set: %w", key.KeyID, err)
			}
		}
	}
	if len(v.keys) == 0 {
		return nil, errors.New("the JSON Web Key Sets contain no key")
	}
	return v, nil
}

func (v *Verifier) add(key jose.JSONWebKey) error {
	public, ok := key.Key.(*rsa.PublicKey)
	switch {
	case !ok:
		return errors.New("it must be a public RSA key")
	case key.KeyID == "":
		return errors.New("it has no kid")
	case key.Use != "" && key.Use != "sig", key.Algorithm != "" && key.Algorithm != string(jose.RS256):
		return errors.New("it is not for signing with RS256")
	case public.N.BitLen() < minKeyBits:
		return fmt.Errorf("it has %d bits and must have at least %d", public.N.BitLen(), minKeyBits)
	}
	if other, ok := v.keys[key.KeyID]; ok && !other.Equal(public) {
		return errors.New("another key has the same kid")
	}
	v.keys[key.KeyID] = public
	return nil
}

// Verify returns the caller that a token is for. For an invalid token it
// returns a fault of kind Unauthenticated with the reason.
func (v *Verifier) Verify(text string) (access.Caller, error) {
	caller, err := v.verify(text)
	if err != nil {
		return access.Caller{}, fault.New(fault.Unauthenticated, "The access token is not valid: %s. Log in again, or refresh the session.", err)
	}
	return caller, nil
}

func (v *Verifier) verify(text string) (access.Caller, error) {
	if len(text) > maxToken {
		return access.Caller{}, errors.New("it is too long")
	}
	t, err := v.cached(text)
	if err != nil {
		return access.Caller{}, err
	}
	err = t.registered.ValidateWithLeeway(jwt.Expected{Issuer: issuer, AnyAudience: jwt.Audience{issuer}, Time: v.now()}, leeway)
	switch {
	case errors.Is(err, jwt.ErrExpired):
		return access.Caller{}, errors.New("it has expired")
	case err != nil:
		return access.Caller{}, errors.New("it is for another issuer, audience or time")
	}
	return t.caller, checkCaller(t.caller)
}

// cached parses a token and verifies its signature, unless it is in the cache.
func (v *Verifier) cached(text string) (token, error) {
	hash := sha256.Sum256([]byte(text))
	v.mu.Lock()
	t, ok := v.verified[hash]
	v.mu.Unlock()
	if ok {
		return t, nil
	}
	t, err := v.parse(text)
	if err != nil {
		return token{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.verified == nil || len(v.verified) == maxVerified {
		v.verified = map[[sha256.Size]byte]token{}
	}
	v.verified[hash] = t
	return t, nil
}

// parse parses a token and verifies its signature.
func (v *Verifier) parse(text string) (token, error) {
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return token{}, errors.New("it is not a JSON Web Token signed with RS256")
	}
	header := parsed.Headers[0]
	if header.ExtraHeaders[jose.HeaderType] != tokenType {
		return token{}, errors.New("its type is not " + tokenType)
	}
	key, ok := v.keys[header.KeyID]
	if !ok {
		return token{}, errors.New("its key is unknown")
	}
	var registered jwt.Claims
	var own claims
	if err := parsed.Claims(key, &registered, &own); err != nil {
		return token{}, errors.New("its signature or its claims are invalid")
	}
	if registered.Expiry == nil || registered.IssuedAt == nil {
		return token{}, errors.New("it lacks iat or exp")
	}
	return token{registered, access.Caller{
		User:    registered.Subject,
		Role:    own.Role,
		Session: own.Session,
		Key:     own.Key,
		Scopes:  own.Scopes,
		Boards:  own.Boards,
		Owner:   own.Owner,
	}}, nil
}

// Signer signs tokens. It is safe for concurrent use.
type Signer struct {
	signer jose.Signer
	now    func() time.Time
}

// NewSigner accepts an RSA private key of at least 2048 bits, PKCS 8 in PEM.
// Its errors never contain a part of it.
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
		return nil, fmt.Errorf("the signing key must be an RSA key of at least %d bits", minKeyBits)
	}
	return private, nil
}

// Sign returns a token for the caller. It fails if the caller contradicts
// itself.
func (s *Signer) Sign(c access.Caller, lifetime time.Duration) (string, error) {
	if err := checkCaller(c); err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	now := s.now()
	registered := jwt.Claims{
		Issuer:   issuer,
		Audience: jwt.Audience{issuer},
		Subject:  c.User,
		IssuedAt: jwt.NewNumericDate(now),
		Expiry:   jwt.NewNumericDate(now.Add(lifetime)),
		ID:       rand.Text(),
	}
	own := claims{Role: c.Role, Session: c.Session, Key: c.Key, Scopes: c.Scopes, Boards: c.Boards, Owner: c.Owner}
	text, err := jwt.Signed(s.signer).Claims(registered).Claims(own).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return text, nil
}

// GenerateKey returns a new key pair in the forms that NewSigner and
// NewVerifier accept.
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

// PublicKeys returns the public half of a private key as a JSON Web Key Set.
// Its errors never contain a part of the key.
func PublicKeys(privateKeyPEM string) (publicJWKS string, err error) {
	private, err := parsePrivate(privateKeyPEM)
	if err != nil {
		return "", err
	}
	return publicSet(private)
}

// Merge returns one JSON Web Key Set with the keys of all, each kid once.
func Merge(jwks ...string) (string, error) {
	var merged jose.JSONWebKeySet
	for _, text := range jwks {
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(text), &set); err != nil {
			return "", fmt.Errorf("not a JSON Web Key Set: %w", err)
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

// publicKey returns the public half, with its thumbprint as its id (RFC 7638).
func publicKey(private *rsa.PrivateKey) (jose.JSONWebKey, error) {
	key := jose.JSONWebKey{Key: &private.PublicKey, Algorithm: string(jose.RS256), Use: "sig"}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("name the signing key: %w", err)
	}
	key.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	return key, nil
}
