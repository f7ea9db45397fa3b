// Command users is the container behind everything that no function serves:
// sign-up, login, tokens, profiles and the public keys.
//
//	ALB -> users -> users DB (accounts, sessions, limits)
//
// `users` serves, `users health` asks a running one whether it does.
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
)

func main() { os.Exit(command(os.Args[1:], os.Stderr)) }

func run(ctx context.Context, cfg config) error {
	signer, verifier, err := keys(cfg)
	if err != nil {
		return err
	}
	db, err := postgres.Open(cfg.database())
	if err != nil {
		return err
	}
	defer db.Close()
	users := &user.Service{
		Store:     pgusers.New(db),
		Signer:    signer,
		Passwords: user.NewPasswords(hashesAtOnce, hashesWaiting),
		Limits:    user.Limits{LoginsPerAddress: cfg.LoginsPerAddress, SignUpsPerHour: cfg.SignUpsPerHour},
		First:     user.Credentials{Email: cfg.AdminEmail, Password: cfg.AdminPassword},
	}
	if err := users.Check(); err != nil {
		return err
	}
	go users.Run(ctx)
	edge := web.Config{Deployable: "users", Verifier: verifier, Origins: cfg.AllowedOrigins, Observe: boot.Observe}
	return boot.Serve(ctx, net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)), web.New(edge, web.Users(users, cfg.JWKS)))
}
