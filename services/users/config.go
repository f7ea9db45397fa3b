package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"runtime/debug"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"plaudit/shared/access"
	"plaudit/shared/boot"
	"plaudit/shared/jose"
	"plaudit/shared/postgres"
	"plaudit/shared/user"
)

// config is everything that this service reads from its environment. The names
// are those in template.yaml. Secrets leave the environment once they are read.
type config struct {
	Host           string   `env:"HOST" envDefault:"127.0.0.1"` // address to listen on; 0.0.0.0 in the image
	Port           int      `env:"PORT,notEmpty"`               // port to listen on
	AllowedOrigins []string `env:"ALLOWED_ORIGINS"`             // origins whose pages may call from a browser, comma-separated; may be empty

	JWKS       string `env:"JWKS,notEmpty"`              // public keys that verify access tokens, a JSON Web Key Set; must include SIGNING_KEY's
	SigningKey string `env:"SIGNING_KEY,notEmpty,unset"` // RSA private key, PKCS 8 in PEM

	AdminEmail    string `env:"ADMIN_EMAIL,notEmpty"`          // of the first admin, whose account is made if it does not exist
	AdminPassword string `env:"ADMIN_PASSWORD,notEmpty,unset"` // of that account

	LoginsPerAddress int `env:"LOGINS_PER_ADDRESS,notEmpty"` // attempts at logging in from a client address in 15 minutes
	SignUpsPerHour   int `env:"SIGN_UPS_PER_HOUR,notEmpty"`  // sign-ups of a client address in an hour; as many requests to verify an address
	TokensPerSession int `env:"TOKENS_PER_SESSION,notEmpty"` // refreshes of a session, and exchanges of an API key, in an hour
	TokensPerAddress int `env:"TOKENS_PER_ADDRESS,notEmpty"` // refreshes and exchanges from a client address in an hour

	NotifyKey string `env:"NOTIFY_KEY,unset"` // the API key of the function that sends mail, at least 20 characters. Empty: none sends mail
	PublicURL string `env:"PUBLIC_URL"`       // http or https URL of this service, without a path, which the links in mails begin with. Empty: none sends mail

	EventsTable   string `env:"EVENTS_TABLE,notEmpty"`   // the audit log
	IndexTable    string `env:"INDEX_TABLE,notEmpty"`    // and its index
	ProfilesTable string `env:"PROFILES_TABLE,notEmpty"` // hands names, countries and erasures to the scores
	OutboxDays    int    `env:"OUTBOX_DAYS,notEmpty"`    // how long sent rows stay in the outbox

	DB            postgres.Env
	UsersDSN      string `env:"USERS_DSN,notEmpty"`   // the users database, as users_service
	UsersPassword string `env:"USERS_PASSWORD,unset"` // empty if DB_AUTH is iam
}

const (
	// connections is the pool size of one task; the relay of the outbox has one more. The
	// role's limit of 44 connections (shared/postgres/migrate/roles.go) covers two tasks
	// of this version and two of the previous one.
	connections = 10
	// A hash takes 19 MiB and about 20 ms.
	hashesAtOnce = 4
	// Requests that hash a password, and those for tokens, leave a connection for
	// others. The last one that waits does so for about half a second.
	hashing, tokens, waiting = 6, 3, 64
	// One client address holds at most half of the places to wait.
	perAddress = 32
)

// The memory of a task, in bytes. What may be alive at once stays within the limit
// that Go's garbage collector keeps to; above it are 64 MiB for what Go does not
// count: the program itself, and the kernel's buffers of connections.
//
//	program, database connections, keys, passwords that are too common    48 MiB
//	hashes: 4 × 19 MiB, and one more of each that is garbage              152 MiB
//	bodies in flight                                                       24 MiB
//	connections: 1,536 × 64 KiB                                            96 MiB
//	relay: 100 messages of at most some 10 KB, and 8 requests              16 MiB
//	                                                                      336 MiB
//	container (Memory in template.yaml)                                   400 MiB
const (
	mib = 1 << 20

	baseMemory   = 48 * mib
	hashMemory   = 2 * hashesAtOnce * user.HashMemory
	bodies       = 24 * mib
	relayMemory  = 16 * mib
	memoryLimit  = baseMemory + hashMemory + bodies + boot.MaxConnections*boot.ConnectionMemory + relayMemory
	outsideOfGo  = 64 * mib
	memoryOfTask = memoryLimit + outsideOfGo
)

// limitMemory sets the limit of Go's garbage collector, unless GOMEMLIMIT sets another
// one. The program does so itself, because it also runs outside of its image.
func limitMemory() {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(memoryLimit)
	}
	slog.Info("memory", "limit", debug.SetMemoryLimit(-1))
}

// awsConfig returns the configuration of AWS. ECS serves and renews a task's credentials;
// the SDK knows where.
func awsConfig(ctx context.Context) (aws.Config, error) {
	account, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("find AWS credentials: %w", err)
	}
	return account, nil
}

// database returns the users database with a pool of that size and name.
func (c config) database(account aws.Config, conns int, name string) postgres.Config {
	database := c.DB.Config(c.UsersDSN, c.UsersPassword)
	database.MaxConns, database.Name, database.Credentials = conns, name, account.Credentials
	return database
}

// minNotifyKey is the minimum length of notify's key, which is generated.
const minNotifyKey = 20

// checkMail returns an error if mail could not have links.
func (c config) checkMail() error {
	switch {
	case c.NotifyKey != "" && len(c.NotifyKey) < minNotifyKey:
		return fmt.Errorf("NOTIFY_KEY must have at least %d characters", minNotifyKey)
	case c.NotifyKey != "" && c.PublicURL == "":
		return errors.New("PUBLIC_URL must be set if NOTIFY_KEY is")
	case c.PublicURL == "":
		return nil
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Scheme+"://"+u.Host != c.PublicURL {
		return errors.New("PUBLIC_URL must be an http or https URL with a host and without a path or a slash at the end, such as https://plaudit.example")
	}
	return nil
}

// keys returns the signer, and the verifier of its tokens and those of every
// other key in JWKS.
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
		return nil, nil, fmt.Errorf("JWKS does not contain the public half of SIGNING_KEY, so no function would accept this service's tokens: %w", err)
	}
	return signer, verifier, nil
}
