// Command users is the container behind every path that no function serves:
// sign-up, login, tokens, profiles and the public keys.
//
//	ALB -> users -> users DB (accounts, sessions, limits, outbox)
//	users DB (outbox) -> users -> events, event-index, profiles (DynamoDB)
//
// `users` serves; `users health` checks a running one.
package main

import (
	"cmp"
	"context"
	"maps"
	"net"
	"os"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	_ "golang.org/x/crypto/x509roots/fallback"

	"plaudit/shared/audit"
	"plaudit/shared/boot"
	"plaudit/shared/ddb"
	"plaudit/shared/postgres"
	pgusers "plaudit/shared/postgres/users"
	"plaudit/shared/trace"
	"plaudit/shared/user"
	"plaudit/shared/web"
	"plaudit/shared/web/pages"
	"plaudit/shared/web/users"
)

func main() { os.Exit(command(os.Args[1:], os.Stderr)) }

func run(ctx context.Context, cfg config) error {
	limitMemory()
	signer, verifier, err := keys(cfg)
	if err != nil {
		return err
	}
	account, err := awsConfig(ctx)
	if err != nil {
		return err
	}
	db, err := postgres.Open(cfg.database(account, connections, "users"))
	if err != nil {
		return err
	}
	defer db.Close()
	service := &user.Service{
		Store:     pgusers.New(db),
		Signer:    signer,
		Passwords: user.NewPasswords(hashesAtOnce),
		Hashing:   user.NewTurns(hashing, waiting, perAddress),
		Tokens:    user.NewTurns(tokens, waiting, perAddress),
		Limits: user.Limits{
			LoginsPerAddress: cfg.LoginsPerAddress, SignUpsPerHour: cfg.SignUpsPerHour,
			TokensPerSession: cfg.TokensPerSession, TokensPerAddress: cfg.TokensPerAddress,
		},
		First:     user.Credentials{Email: cfg.AdminEmail, Password: cfg.AdminPassword},
		NotifyKey: cfg.NotifyKey, PublicURL: cfg.PublicURL,
	}
	if err := cmp.Or(service.Check(), cfg.checkMail()); err != nil {
		return err
	}
	go service.Run(ctx)
	observe, stop, err := relay(ctx, cfg, account)
	if err != nil {
		return err
	}
	defer stop() // after the last request
	edge := web.Config{Deployable: "users", Verifier: verifier, Origins: cfg.AllowedOrigins, Observe: observe, Room: web.NewRoom(bodies)}
	endpoints := users.Endpoints(service, cfg.JWKS)
	maps.Copy(endpoints, pages.Endpoints(service))
	return boot.Serve(ctx, net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)), web.New(edge, endpoints))
}

// relay starts the relay of the outbox. It returns what observes requests, and what ends
// the relay.
func relay(ctx context.Context, cfg config, account aws.Config) (observe func(context.Context, trace.Request), stop func(), err error) {
	keep, err := audit.KeepDays(cfg.OutboxDays)
	if err != nil {
		return nil, nil, err
	}
	// A pool of its own: while the log is slow, the relay holds a connection.
	db, err := postgres.Open(cfg.database(account, 1, "users relay"))
	if err != nil {
		return nil, nil, err
	}
	log, profiles := ddb.NewLog(account, cfg.EventsTable, cfg.IndexTable), ddb.NewProfiles(account, cfg.ProfilesTable)
	d := newDrain(pgusers.New(db), log, profiles, keep, log.Check, profiles.Check)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.run(ctx)
	}()
	return d.observe(boot.Observe), func() {
		cancel()
		<-ended
		db.Close()
	}, nil
}
