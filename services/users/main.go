// Command users is the container behind every path that no function serves:
// sign-up, login, tokens, profiles and the public keys.
//
//	ALB -> users -> users DB (accounts, sessions, limits)
//
// `users` serves; `users health` checks a running one.
package main

import (
	"context"
	"net"
	"os"
	"strconv"

	_ "golang.org/x/crypto/x509roots/fallback"

	"plaudit/shared/boot"
	"plaudit/shared/postgres"
	pgusers "plaudit/shared/postgres/users"
	"plaudit/shared/user"
	"plaudit/shared/web"
	"plaudit/shared/web/users"
)

func main() { os.Exit(command(os.Args[1:], os.Stderr)) }

func run(ctx context.Context, cfg config) error {
	limitMemory()
	signer, verifier, err := keys(cfg)
	if err != nil {
		return err
	}
	database, err := cfg.database(ctx)
	if err != nil {
		return err
	}
	db, err := postgres.Open(database)
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
		First: user.Credentials{Email: cfg.AdminEmail, Password: cfg.AdminPassword},
	}
	if cfg.PrintLinks != "" {
		service.SendLink = printLinks(cfg.PrintLinks)
	}
	if err := service.Check(); err != nil {
		return err
	}
	go service.Run(ctx)
	edge := web.Config{Deployable: "users", Verifier: verifier, Origins: cfg.AllowedOrigins, Observe: boot.Observe, Room: web.NewRoom(bodies)}
	return boot.Serve(ctx, net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)), web.New(edge, users.Endpoints(service, cfg.JWKS)))
}
