package ddb

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/guregu/dynamo/v2"

	"plaudit/shared/audit"
	"plaudit/shared/event"
)

// Log is the audit log in two tables.
type Log struct{ events, index keyed }

var _ audit.Log = (*Log)(nil)

// NewLog returns the log in these tables.
func NewLog(cfg aws.Config, events, index string) *Log {
	db := open(cfg)
	return &Log{
		events: keyed{db.Table(events), "logid", "", "EVENTS_TABLE"},
		index:  keyed{db.Table(index), "k", "s", "INDEX_TABLE"},
	}
}

// Check returns an error unless both tables exist.
func (l *Log) Check(ctx context.Context) error { return check(ctx, l.events, l.index) }

// eventItem is an event as its table has it. The document is the event: what else is
// here can be derived from it, or is a mark of ours that is not part of it.
type eventItem struct {
	LogID    string `dynamo:"logid,hash"`
	Encoding int    `dynamo:"enc"`
	Document []byte `dynamo:"event"`
	Restored bool   `dynamo:"restored,omitempty"`
}

// stored reads the item. Its error is an audit.Unreadable.
func (i eventItem) stored() (audit.Stored, error) {
	unreadable := func(format string, args ...any) (audit.Stored, error) {
		return audit.Stored{}, audit.Unreadable{LogID: i.LogID, Reason: fmt.Sprintf(format, args...)}
	}
	if i.Encoding != event.Encoding {
		return unreadable("it has the encoding %d, and this version of Plaudit knows %d", i.Encoding, event.Encoding)
	}
	e, err := event.Decode(i.Document)
	if err != nil {
		return unreadable("%v", err)
	}
	if e.LogID == "" || e.LogID != i.LogID {
		return unreadable("its document has the logid %q", e.LogID)
	}
	return audit.Stored{Event: e, Document: i.Document, Restored: i.Restored}, nil
}

// rawItem is an item as it is, which may be anything.
type rawItem = map[string]types.AttributeValue

// read reads an item as eventItem.stored does.
func read(raw rawItem) (audit.Stored, error) {
	var i eventItem
	if err := dynamo.UnmarshalItem(raw, &i); err != nil {
		return audit.Stored{}, audit.Unreadable{LogID: keyOf(raw), Reason: err.Error()}
	}
	return i.stored()
}

// keyOf returns the logid of an item.
func keyOf(raw rawItem) string {
	key, _ := raw["logid"].(*types.AttributeValueMemberS) // the table's key is a text
	if key == nil {
		return ""
	}
	return key.Value
}

// Put implements audit.Log.
func (l *Log) Put(ctx context.Context, e audit.Stored) (*audit.Stored, error) {
	// What cannot be indexed must not be written: no list would ever show it.
	if _, err := indexItems(e.Event); err != nil {
		return nil, err
	}
	err := l.events.Table.Put(eventItem{e.Event.LogID, event.Encoding, e.Document, e.Restored}).
		If("attribute_not_exists('logid')").IncludeItemInCondCheckFail(true).Run(ctx)
	if !dynamo.IsCondCheckFailed(err) {
		return nil, wrap(err)
	}
	// It may be there because an attempt whose answer was lost has written it.
	var there rawItem
	if _, err := dynamo.UnmarshalItemFromCondCheckFailed(err, &there); err != nil {
		return nil, err
	}
	other, err := read(there)
	if err != nil {
		return nil, audit.Unwritable{Reason: err.Error(), Taken: true}
	}
	if bytes.Equal(other.Document, e.Document) {
		return nil, nil
	}
	return &other, nil
}

// Index implements audit.Log.
func (l *Log) Index(ctx context.Context, events []event.Event) error {
	items, err := l.indexItems(events)
	if err != nil || len(items) == 0 {
		return err
	}
	puts := make([]any, len(items))
	for i, item := range items {
		puts[i] = item
	}
	// It sends what was not processed again, after a random time that grows, until ctx
	// ends.
	_, err = l.index.Batch().Write().Put(puts...).Run(ctx)
	return wrap(err)
}

// indexItems returns the index items of events, each once, which a batch demands.
func (l *Log) indexItems(events []event.Event) (all []indexItem, err error) {
	seen := map[indexItem]bool{}
	for _, e := range events {
		items, err := indexItems(e)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			if !seen[item] {
				seen[item] = true
				all = append(all, item)
			}
		}
	}
	return all, nil
}

// MissingIndex implements audit.Log.
func (l *Log) MissingIndex(ctx context.Context, events []event.Event) (missing []event.Event, err error) {
	items, err := l.indexItems(events)
	if err != nil || len(items) == 0 {
		return nil, err
	}
	keys := make([]dynamo.Keyed, len(items))
	for i, item := range items {
		keys[i] = dynamo.Keys{item.Partition, item.Sort}
	}
	var found []indexItem
	err = l.index.Batch("k", "s").Get(keys...).Consistent(true).All(ctx, &found)
	if err != nil && !errors.Is(err, dynamo.ErrNotFound) {
		return nil, wrap(err)
	}
	there := map[indexItem]bool{}
	for _, item := range found {
		there[item] = true
	}
	for _, e := range events {
		items, err := indexItems(e)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			if !there[item] {
				missing = append(missing, e)
				break
			}
		}
	}
	return missing, nil
}

// Get implements audit.Log.
func (l *Log) Get(ctx context.Context, logID string) (*audit.Stored, error) {
	if logID == "" {
		return nil, nil // no key is empty
	}
	var item rawItem
	err := l.events.Get("logid", logID).Consistent(true).One(ctx, &item)
	if errors.Is(err, dynamo.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap(err)
	}
	found, err := read(item)
	if err != nil {
		return nil, err
	}
	return &found, nil
}
