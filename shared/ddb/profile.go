package ddb

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/guregu/dynamo/v2"

	"plaudit/shared/audit"
)

// Profiles is the table of the users' profiles, one item a user.
type Profiles struct{ table keyed }

var _ audit.Profiles = (*Profiles)(nil)

// NewProfiles returns the profiles in that table.
func NewProfiles(cfg aws.Config, table string) *Profiles {
	return &Profiles{keyed{open(cfg).Table(table), "id", "", "PROFILES_TABLE"}}
}

// Check returns an error unless the table exists.
func (p *Profiles) Check(ctx context.Context) error { return check(ctx, p.table) }

type profileItem struct {
	User        string  `dynamo:"id,hash"`
	Version     int64   `dynamo:"version"`
	DisplayName *string `dynamo:"display_name,omitempty"`
	Country     *string `dynamo:"country,omitempty"`
	Erased      bool    `dynamo:"erased"`
	TraceParent string  `dynamo:"traceparent"`
}

// Put implements audit.Profiles.
func (p *Profiles) Put(ctx context.Context, profile audit.Profile) error {
	if profile.User == "" {
		return audit.Unwritable{Reason: "the profile names no user"}
	}
	put := p.table.Put(profileItem(profile))
	if profile.Erased {
		put.If("attribute_not_exists('id') OR 'erased' = ?", false)
	} else {
		put.If("attribute_not_exists('id') OR ('version' < ? AND 'erased' = ?)", profile.Version, false)
	}
	err := put.Run(ctx)
	if dynamo.IsCondCheckFailed(err) {
		return nil // also if a lost first attempt has written it
	}
	return wrap(err)
}
