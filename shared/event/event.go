// Package event holds what all events of the audit log have in common: their
// types, their subjects, the envelope, and the rule that decides who is told by mail.
package event

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"time"
)

// Event is one record of the audit log, in the form of a CloudEvent 1.0
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md). Its JSON
// is the API's.
type Event struct {
	SpecVersion  string          `json:"specversion"` // 1.0
	ID           string          `json:"id"`          // unique within its source
	Source       string          `json:"source"`
	Type         Type            `json:"type"`
	Subject      string          `json:"subject"`
	Time         time.Time       `json:"time"`             // when it happened
	RecordedTime time.Time       `json:"recordedtime"`     // when it was committed; strictly increasing per subject
	LogID        string          `json:"logid"`            // see LogID
	Actor        string          `json:"actor"`            // user/<id> or key/<id>
	Notify       string          `json:"notify,omitempty"` // ids of the users who are told by mail, comma-separated
	TraceParent  string          `json:"traceparent,omitempty"`
	ContentType  string          `json:"datacontenttype"`
	Data         json.RawMessage `json:"data"` // JSON; encoding/json removes its white space
}

// LogID returns the id by which the log and its paths know an event: the
// base64url form of the SHA-256 of source and id, each preceded by its length as
// eight bytes, the most significant first. Source and id together are unique, and
// their lengths keep one pair from reading as another.
func LogID(source, id string) string {
	text := make([]byte, 0, 16+len(source)+len(id))
	for _, part := range []string{source, id} {
		text = binary.BigEndian.AppendUint64(text, uint64(len(part)))
		text = append(text, part...)
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
