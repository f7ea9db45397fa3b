// Package bus puts events on an EventBridge bus.
package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// Limits of PutEvents.
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
const (
	maxEntries    = 10
	maxTogether   = 1_000_000 // bytes; the service takes 1 MiB
	maxEntry      = 900_000   // bytes
	maxDetailType = 128       // characters
	maxSource     = 256       // characters
)

// Entry is an event for the bus.
type Entry struct {
	Source string
	Type   string
	Time   time.Time
	Detail []byte // a JSON object
}

// ErrRefused is the error of an entry that the bus will never take.
var ErrRefused = errors.New("the bus can never take the event")

// Bus is one bus.
type Bus struct {
	client *eventbridge.Client
	name   string
}

// New returns the bus with the name.
func New(cfg aws.Config, name string) *Bus { return &Bus{eventbridge.NewFromConfig(cfg), name} }

// Check returns an error unless the bus exists. PutEvents may answer that an entry for a
// bus that does not exist has been taken.
func (b *Bus) Check(ctx context.Context) error {
	_, err := b.client.DescribeEventBus(ctx, &eventbridge.DescribeEventBusInput{Name: &b.name})
	if missing := (*types.ResourceNotFoundException)(nil); errors.As(err, &missing) {
		return fmt.Errorf("the bus %s does not exist: EVENT_BUS must name one", b.name)
	}
	if err != nil {
		return fmt.Errorf("look for the bus %s: %w", b.name, err)
	}
	return nil
}

// Put puts the entries on the bus, in calls as large as the service takes. It sends those
// again that the service has refused for now, and no others, until ctx ends. It returns
// an error for each entry, which wraps ErrRefused if sending it again is of no use, and is
// nil if the bus has it.
func (b *Bus) Put(ctx context.Context, entries []Entry) []error {
	errs := make([]error, len(entries))
	var waiting []int // indices of entries
	for i, e := range entries {
		if n := b.size(e); n > maxEntry {
			errs[i] = fmt.Errorf("%w: it has %d bytes, and must have at most %d", ErrRefused, n, maxEntry)
		} else {
			waiting = append(waiting, i)
		}
	}
	for pause := firstPause; len(waiting) > 0; pause = min(2*pause, longestPause) {
		var again []int
		for len(waiting) > 0 {
			n := b.fitting(entries, waiting)
			again = append(again, b.put(ctx, entries, waiting[:n], errs)...)
			waiting = waiting[n:]
		}
		if waiting = again; len(waiting) == 0 {
			break
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errs
		}
	}
	return errs
}

// The pauses before entries are sent again.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// fitting returns how many of the next entries fit into one call.
func (b *Bus) fitting(entries []Entry, next []int) int {
	total := 0
	for n, i := range next {
		if total += b.size(entries[i]); n == maxEntries || n > 0 && total > maxTogether {
			return n
		}
	}
	return len(next)
}

// put sends entries in one call, sets their errors, and returns those to send again.
func (b *Bus) put(ctx context.Context, entries []Entry, which []int, errs []error) (again []int) {
	in := &eventbridge.PutEventsInput{}
	for _, i := range which {
		in.Entries = append(in.Entries, b.entry(entries[i]))
	}
	out, err := b.client.PutEvents(ctx, in)
	if err == nil && len(out.Entries) != len(which) {
		err = fmt.Errorf("the bus answered %d entries with %d", len(which), len(out.Entries))
	}
	for n, i := range which {
		if err != nil {
			errs[i], again = fmt.Errorf("put an event on the bus: %w", err), append(again, i)
			continue
		}
		code := aws.ToString(out.Entries[n].ErrorCode)
		if errs[i] = nil; code == "" {
			continue
		}
		errs[i] = fmt.Errorf("put an event on the bus: %s: %s", code, aws.ToString(out.Entries[n].ErrorMessage))
		if permanent[code] {
			errs[i] = fmt.Errorf("%w: %w", ErrRefused, errs[i])
		} else {
			again = append(again, i)
		}
	}
	return again
}

// permanent are the codes of entries that are wrong in themselves.
var permanent = map[string]bool{
	"InvalidArgument": true, "MalformedDetail": true, "NotAuthorizedForSourceException": true, "NotAuthorizedForDetailTypeException": true,
}

func (b *Bus) entry(e Entry) types.PutEventsRequestEntry {
	out := types.PutEventsRequestEntry{
		EventBusName: &b.name, Source: aws.String(source(e.Source)), DetailType: aws.String(detailType(e.Type)),
		Detail: aws.String(string(e.Detail)),
	}
	if !e.Time.IsZero() {
		out.Time = &e.Time
	}
	return out
}

// OtherSource is the source of an entry whose own source the bus would refuse. Its detail
// has the source.
const OtherSource = "other"

// source returns the entry's source, which must have at most 256 characters and must not
// begin with aws., the prefix of AWS's own.
func source(s string) string {
	if s == "" || utf8.RuneCountInString(s) > maxSource || strings.HasPrefix(strings.ToLower(s), "aws.") {
		return OtherSource
	}
	return s
}

// detailType returns the beginning of a type that is too long. The detail has all of it.
func detailType(s string) string {
	n := 0
	for i := range s {
		if n++; n > maxDetailType {
			return s[:i]
		}
	}
	return s
}

// size returns what an entry counts.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html
func (b *Bus) size(e Entry) int {
	n := len(source(e.Source)) + len(detailType(e.Type)) + len(e.Detail)
	if !e.Time.IsZero() {
		n += 14
	}
	return n
}
