// Package event holds what all events of the audit log have in common: their
// types, their subjects, the envelope with its one encoding, and the rule that
// decides who is told by mail.
package event

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
	"time"
)

// Event is one record of the audit log, in the form of a CloudEvent 1.0
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md). Encode
// returns its JSON, which is also the API's.
type Event struct {
	ID              string // unique within its source
	Source          string
	Type            Type
	Subject         string
	Time            time.Time // when it happened; zero if the sender does not say
	RecordedTime    time.Time // when it was recorded, to the microsecond; of our own events strictly increasing per subject
	LogID           string    // see LogID
	Actor           string    // user/<id>, key/<id>, or service/<name> for a part of Plaudit that acts by itself
	Notify          string    // ids of the users who are told by mail, comma-separated
	TraceParent     string
	SubjectSeq      int64 // 1, 2, 3 … of the events of a subject, those of entries aside; 0 if it has none
	DataContentType string
	DataSchema      string
	Extensions      map[string]any // further attributes by name: a string, a bool or an int32 each

	// The data: at most one of the two. JSON is the value of the member `data`,
	// with the bytes that came, and Binary what `data_base64` encodes.
	JSON   []byte
	Binary []byte
}

// Encoding is the version of what Encode returns. The log's items carry it, because a
// signature over an event is one over these bytes.
const Encoding = 1

// LogID returns the id by which the log and its paths know an event: the
// base64url form of the SHA-256 of source and id, each preceded by its length as
// eight bytes, the most significant first. Source and id together are unique, and
// their lengths keep one pair from reading as another.
func LogID(source, id string) string {
	sum := logSum(source, id)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// RowID returns the id of the event in a row of an outbox. The number comes again after
// the database was set back or replaced, and the tag does not. It is empty for a row that
// was written before rows had tags.
func RowID(number int64, tag string) string {
	id := strconv.FormatInt(number, 10)
	if tag != "" {
		id += "-" + tag
	}
	return id
}

// RowNumber returns the number in an id that RowID returned, and whether it is one.
func RowNumber(id string) (number int64, ok bool) {
	text, tag, _ := strings.Cut(id, "-")
	number, err := strconv.ParseInt(text, 10, 64)
	return number, err == nil && number > 0 && RowID(number, tag) == id
}

// Schema returns the dataschema of our own events of a type, which is the $id of its
// schema in docs/events.
func Schema(t Type) string { return "urn:plaudit:event:" + string(t) }

func logSum(source, id string) [sha256.Size]byte {
	text := make([]byte, 0, 16+len(source)+len(id))
	for _, part := range []string{source, id} {
		text = binary.BigEndian.AppendUint64(text, uint64(len(part)))
		text = append(text, part...)
	}
	return sha256.Sum256(text)
}
