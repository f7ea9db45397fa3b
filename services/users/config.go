package main

import (
	"fmt"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/jose"
	"plaudit/shared/postgres"
)

// config is all this service reads from its environment. The names are the
// ones in template.yaml. Secrets leave the environment as they are read.
type config struct {
	Host           string   `env:"HOST" envDefault:"127.0.0.1"`   // address to listen on; in the image 0.0.0.0
	Port           int      `env:"PORT,notEmpty"`                 // and its port
	Region         string   `env:"AWS_REGION,notEmpty"`           // for the database's IAM tokens
	AllowedOrigins []string `env:"ALLOWED_ORIGINS"`               // origins whose pages may call from a browser, comma-separated; may be empty
	JWKS           string   `env:"JWKS,notEmpty"`                 // public keys of the tokens that are good; must hold SIGNING_KEY's
	SigningKey     string   `env:"SIGNING_KEY,notEmpty,unset"`    // RSA private key, PKCS 8 in PEM
	AdminEmail     string   `env:"ADMIN_EMAIL,notEmpty"`          // the first admin's account, made where the address has none
	AdminPassword  string   `env:"ADMIN_PASSWORD,notEmpty,unset"` // and its password

	LoginsPerAddress int `env:"LOGINS_PER_ADDRESS,notEmpty"` // failed logins of one client address in 15 minutes
	SignUpsPerHour   int `env:"SIGN_UPS_PER_HOUR,notEmpty"`  // sign-ups of one client address

	DBAuth        string `env:"DB_AUTH,notEmpty"`     // iam or password
	UsersDSN      string `env:"USERS_DSN,notEmpty"`   // the users database, as users_service
	UsersPassword string `env:"USERS_PASSWORD,unset"` // empty where DB_AUTH is iam
}

const (
	// connections of one task. The role may have 40: two tasks of this version
	// and two of the one before, see shared/postgres/roles.go.
	connections = 10
	// A hash takes 19 MiB and some 20 ms, the container has 384 MB: the last
	// one that waits does so for about half a second.
	hashesAtOnce, hashesWaiting = 4, 64
)

func (c config) database() postgres.Config {
	return postgres.Config{DSN: c.UsersDSN, Auth: c.DBAuth, Password: c.UsersPassword, Region: c.Region, MaxConns: connections, Name: "users"}
}

// keys gives the signer, and the verifier of its tokens and those of every
// other key that is good now.
func keys(cfg config) (*jose.Signer, *jose.Verifier, error) {
	signer, err := jose.NewSigner(cfg.SigningKey)
	if err != nil {
		return nil, nil, fmt.Errorf("SIGNING_KEY: %w", err)
	}
	verifier, err := jose.NewVerifier(cfg.JWKS)
	if err != nil {
		return nil, nil, fmt.Errorf("JWKS: %w", err)
	}
	token, err := signer.Sign(access.Caller{User: "start", Role: access.Member}, time.Minute)
	if err != nil {
		return nil, nil, err
	}
	if _, err := verifier.Verify(token); err != nil {
		return nil, nil, fmt.Errorf("JWKS does not hold the public half of SIGNING_KEY, so nobody would take this service's tokens: %w", err)
	}
	return signer, verifier, nil
}
