package ddb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/guregu/dynamo/v2"

	"plaudit/shared/claim"
)

// Mails is the table of the claims on mails and of their hourly limits.
type Mails struct {
	table keyed
	life  time.Duration
}

var _ claim.Store = (*Mails)(nil)

// NewMails returns the claims in that table. life is how long they are kept: at least as
// long as an event can come again.
func NewMails(cfg aws.Config, table string, life time.Duration) *Mails {
	return &Mails{keyed{open(cfg).Table(table), "id", "", "MAILS_TABLE"}, life}
}

// Check returns an error unless the table exists.
func (m *Mails) Check(ctx context.Context) error { return check(ctx, m.table) }

// mailItem is a claim.
type mailItem struct {
	ID      string    `dynamo:"id,hash"`
	State   string    `dynamo:"state"`
	Until   int64     `dynamo:"until,omitempty"` // ms since 1970, of a lease
	Token   string    `dynamo:"token"`
	Message string    `dynamo:"message,omitempty"`
	Expires time.Time `dynamo:"expires,unixtime"`
}

func (i mailItem) claim() *claim.Claim {
	c := &claim.Claim{State: claim.State(i.State), Token: i.Token, Message: i.Message}
	if i.Until != 0 {
		c.Until = time.UnixMilli(i.Until)
	}
	return c
}

// mailKey is the key of a mail. What it is made of contains no #.
func mailKey(k claim.Key) string { return k.Rule + "#" + k.Of + "#" + k.User }

// Get implements claim.Store.
func (m *Mails) Get(ctx context.Context, key claim.Key) (*claim.Claim, error) {
	var item mailItem
	err := m.table.Get("id", mailKey(key)).Consistent(true).One(ctx, &item)
	if errors.Is(err, dynamo.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a claim: %w", err)
	}
	return item.claim(), nil
}

// Put implements claim.Store.
func (m *Mails) Put(ctx context.Context, key claim.Key, before *claim.Claim, next claim.Claim) (*claim.Claim, bool, error) {
	item := mailItem{ID: mailKey(key), State: string(next.State), Token: next.Token, Message: next.Message, Expires: time.Now().Add(m.life)}
	if !next.Until.IsZero() {
		item.Until = next.Until.UnixMilli()
	}
	put := m.table.Put(item).IncludeItemInCondCheckFail(true)
	if before == nil {
		put.If("attribute_not_exists('id')")
	} else {
		put.If("'token' = ?", before.Token)
	}
	err := put.Run(ctx)
	if err == nil {
		return nil, true, nil
	}
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) {
		return nil, false, fmt.Errorf("write a claim: %w", err)
	}
	if len(failed.Item) == 0 {
		return nil, false, nil // the one before is gone
	}
	var there mailItem
	if err := dynamo.UnmarshalItem(failed.Item, &there); err != nil {
		return nil, false, fmt.Errorf("read the claim that is there: %w", err)
	}
	// An attempt whose answer was lost has written it.
	if there.Token == next.Token {
		return nil, true, nil
	}
	return there.claim(), false, nil
}

// hourItem names the mails that an hour's limit allowed, so that one that is tried again
// counts once.
type hourItem struct {
	ID      string    `dynamo:"id,hash"`
	Mails   []string  `dynamo:"mails"`
	Token   string    `dynamo:"token"`
	Expires time.Time `dynamo:"expires,unixtime"`
}

const (
	// hourLife is how long the item of an hour is kept.
	hourLife = 2 * time.Hour
	// hourAttempts is how often the item is read again because another mail to the same
	// user was faster.
	hourAttempts = 10
)

// Allow implements claim.Store.
func (m *Mails) Allow(ctx context.Context, user string, now time.Time, mail claim.Key, limit int) (bool, error) {
	hour := now.UTC().Truncate(time.Hour)
	id, this := "hour#"+user+"#"+hour.Format(time.RFC3339), mailKey(mail)
	for range hourAttempts {
		var item hourItem
		err := m.table.Get("id", id).Consistent(true).One(ctx, &item)
		if err != nil && !errors.Is(err, dynamo.ErrNotFound) {
			return false, fmt.Errorf("read the mails of an hour: %w", err)
		}
		if slices.Contains(item.Mails, this) {
			return true, nil
		}
		if len(item.Mails) >= limit {
			return false, nil
		}
		put := m.table.Put(hourItem{id, append(item.Mails, this), rand.Text(), hour.Add(hourLife)})
		if item.Token == "" {
			put.If("attribute_not_exists('id')")
		} else {
			put.If("'token' = ?", item.Token)
		}
		err = put.Run(ctx)
		if err == nil {
			return true, nil
		}
		if !dynamo.IsCondCheckFailed(err) { // which a lost first attempt may cause, too
			return false, fmt.Errorf("count the mails of an hour: %w", err)
		}
	}
	return false, errors.New("count the mails of an hour: too many are sent at once")
}
