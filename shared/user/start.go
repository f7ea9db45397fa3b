package user

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/fault"
)

const (
	retryAfter = 250 * time.Millisecond // between attempts to create the first admin
	sweepEvery = time.Minute
)

// Check returns an error if a limit allows nothing, or if the first admin's
// address or password is not valid.
func (s *Service) Check() error {
	if !s.Limits.positive() {
		return errors.New("the limits on logins, sign-ups and tokens must be at least 1")
	}
	_, err := s.first().account()
	if f, ok := fault.As(err); ok {
		return fmt.Errorf("the first admin's account: %s %s", f.Field, f.Detail)
	}
	return err
}

func (s *Service) first() SignUp {
	return SignUp{Email: s.First.Email, Password: s.First.Password, DisplayName: "Admin"}
}

// Run creates the first admin's account, retrying until the database is
// available and migrated, and then sweeps regularly until the context ends. Any
// number of tasks may run it at once.
func (s *Service) Run(ctx context.Context) {
	for try := 0; ; try++ {
		err := s.makeFirst(ctx)
		if err == nil {
			break
		}
		if try%240 == 20 { // after 5 s, then every minute: a deployment may still be migrating
			slog.WarnContext(ctx, "cannot create the first admin's account yet", "error", err)
		}
		if !sleep(ctx, retryAfter) {
			return
		}
	}
	s.started.Store(true)
	for sleep(ctx, sweepEvery) {
		if err := s.Store.Sweep(ctx); err != nil {
			slog.WarnContext(ctx, "cannot delete old rows yet", "error", err)
		}
	}
}

// makeFirst creates the account unless its address already has one, whatever
// its role. The deployment vouches for the address. That does not go for an account
// that somebody else has opened with it, which is no admin's.
func (s *Service) makeFirst(ctx context.Context) error {
	u, _, err := s.Store.ByAddress(ctx, s.First.Email)
	if err == nil && u.Role == access.Admin && !u.EmailVerified {
		return s.Store.SetVerified(ctx, u.ID, Self)
	}
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	if u, err = s.first().account(); err != nil {
		return err
	}
	u.Role, u.EmailVerified = access.Admin, true
	_, err = s.create(ctx, u, s.First.Password, func(User) string { return Self })
	if fault.Is(err, fault.AddressTaken) {
		return nil // another task was faster
	}
	if err == nil {
		slog.InfoContext(ctx, "created the first admin's account")
	}
	return err
}

// Ready returns an error while the database does not answer, is not migrated or
// has no first admin.
func (s *Service) Ready(ctx context.Context) error {
	if err := s.Store.Ready(ctx); err != nil {
		if _, ok := fault.As(err); ok {
			return err
		}
		return &fault.Error{Kind: fault.DatabaseUnavailable, Detail: "The users database is not ready. Try again in a moment.", RetryAfter: retryAfter, Cause: err}
	}
	if !s.started.Load() {
		return &fault.Error{Kind: fault.Busy, Detail: "The first admin's account does not exist yet. Try again in a moment.", RetryAfter: retryAfter, Cause: errors.New("starting")}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
