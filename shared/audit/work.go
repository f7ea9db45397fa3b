package audit

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

// each calls do with the numbers below n, at most atOnce at a time. It calls all of them,
// also after an error, and returns the error of the lowest.
func each(ctx context.Context, atOnce, n int, do func(ctx context.Context, i int) error) error {
	errs := make([]error, n)
	var all errgroup.Group
	all.SetLimit(atOnce)
	for i := range n {
		all.Go(func() error {
			errs[i] = do(ctx, i)
			return nil
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// pause waits, or returns the error of ctx if that ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
