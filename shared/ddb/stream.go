package ddb

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-lambda-go/events"

	"plaudit/shared/audit"
)

// Image is an item as a stream's record has it.
type Image map[string]events.DynamoDBAttributeValue

// ErrForeign is the error of a record that does not have the form of our items.
var ErrForeign = errors.New("the record is not one of ours")

// Event returns the event of an item of the events table.
func (i Image) Event() (audit.Stored, error) {
	item := eventItem{LogID: i.text("logid"), Encoding: int(i.number("enc")), Restored: i.truth("restored")}
	if v, ok := i["event"]; ok && v.DataType() == events.DataTypeBinary {
		item.Document = v.Binary()
	}
	stored, err := item.stored()
	if err != nil {
		return stored, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return stored, nil
}

// Profile returns the profile of an item of the profiles table.
func (i Image) Profile() (audit.Profile, error) {
	p := audit.Profile{User: i.text("id"), Version: i.number("version"), Erased: i.truth("erased"), TraceParent: i.TraceParent()}
	for name, to := range map[string]**string{"display_name": &p.DisplayName, "country": &p.Country} {
		if v := i.text(name); v != "" {
			*to = &v
		}
	}
	if p.User == "" || p.Version < 1 {
		return p, fmt.Errorf("%w: a profile needs an id and a version", ErrForeign)
	}
	return p, nil
}

// TraceParent returns the trace of a profile's item, "" if there is none.
func (i Image) TraceParent() string { return i.text("traceparent") }

// The library's own getters panic if the type is another one.

func (i Image) text(name string) string {
	if v, ok := i[name]; ok && v.DataType() == events.DataTypeString {
		return v.String()
	}
	return ""
}

func (i Image) number(name string) int64 {
	if v, ok := i[name]; ok && v.DataType() == events.DataTypeNumber {
		n, _ := strconv.ParseInt(v.Number(), 10, 64) // 0 is in no item of ours
		return n
	}
	return 0
}

func (i Image) truth(name string) bool {
	v, ok := i[name]
	return ok && v.DataType() == events.DataTypeBoolean && v.Boolean()
}
