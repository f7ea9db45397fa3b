package ddb

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"plaudit/shared/audit"
	"plaudit/shared/event"
)

const (
	// shards is over how many partitions the index items of one value are spread.
	shards = 8
	// sortTime is the form of times in keys: of one width, so that they sort as text.
	sortTime = "2006-01-02T15:04:05.000000Z"
	// The limits of DynamoDB's keys, in bytes.
	maxPartitionKey = 2048
)

// indexItem is an item of the index. It has nothing but its keys.
type indexItem struct {
	Partition string `dynamo:"k,hash"`
	Sort      string `dynamo:"s,range"`
}

// partition is the partition key of a shard of a dimension's value. The value may
// contain anything: it is between the first and the last #.
func partition(d audit.Dimension, value string, shard int) string {
	return fmt.Sprintf("%s#%s#%02d", d, value, shard)
}

// sortKey is the sort key of a place.
func sortKey(p audit.Place) string { return timeKey(p.RecordedTime) + "#" + p.LogID }

func timeKey(t time.Time) string { return t.UTC().Format(sortTime) }

// placeOf is the place of a sort key.
func placeOf(key string) (audit.Place, error) {
	at, logID, ok := strings.Cut(key, "#")
	t, err := time.Parse(sortTime, at)
	if !ok || err != nil {
		return audit.Place{}, fmt.Errorf("the index has an item with the sort key %q", key)
	}
	return audit.Place{RecordedTime: t, LogID: logID}, nil
}

// shardOf returns the shard of an event: its logid is a hash, so its first byte spreads
// evenly.
func shardOf(logID string) (int, error) {
	sum, err := base64.RawURLEncoding.DecodeString(logID)
	if err != nil || len(sum) != 32 {
		return 0, audit.Unwritable{Reason: fmt.Sprintf("its logid %q is not the base64url form of 32 bytes", logID)}
	}
	return int(sum[0]) % shards, nil
}

// indexItems returns the index items of an event: one for each dimension in which it
// has a value.
func indexItems(e event.Event) ([]indexItem, error) {
	shard, err := shardOf(e.LogID)
	if err != nil {
		return nil, err
	}
	if e.RecordedTime.IsZero() || e.RecordedTime.UTC().Year() > 9999 {
		return nil, audit.Unwritable{Reason: "its recordedtime is missing or after the year 9999"}
	}
	sort := sortKey(audit.Place{RecordedTime: e.RecordedTime, LogID: e.LogID})
	items := []indexItem{{partition(audit.All, "", shard), sort}}
	for _, d := range []struct {
		dimension audit.Dimension
		value     string
	}{
		{audit.BySubject, e.Subject}, {audit.ByRoot, event.Root(e.Subject)}, {audit.ByActor, e.Actor}, {audit.ByType, string(e.Type)},
	} {
		if d.value == "" {
			continue
		}
		key := partition(d.dimension, d.value, shard)
		if len(key) > maxPartitionKey {
			return nil, audit.Unwritable{Reason: fmt.Sprintf("its %s is too long to be indexed", d.dimension)}
		}
		items = append(items, indexItem{key, sort})
	}
	return items, nil
}
