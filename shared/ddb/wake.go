package ddb

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"plaudit/shared/audit"
)

// wakeLife is how long an item of the wake table lives. Only its insertion matters.
const wakeLife = time.Hour

// Waker wakes the relay by an item of a table whose stream starts it.
type Waker struct{ table keyed }

// NewWaker returns the waker over that table.
func NewWaker(cfg aws.Config, table string) *Waker {
	return &Waker{keyed{open(cfg).Table(table), "id", "", "WAKE_TABLE"}}
}

var _ audit.Waker = (*Waker)(nil)

// Check returns an error unless the table exists.
func (w *Waker) Check(ctx context.Context) error { return check(ctx, w.table) }

// Wake implements audit.Waker.
func (w *Waker) Wake(ctx context.Context) error {
	type item struct {
		ID      string    `dynamo:"id,hash"`
		Expires time.Time `dynamo:"expires,unixtime"`
	}
	return wrap(w.table.Put(item{rand.Text(), time.Now().Add(wakeLife)}).Run(ctx))
}
