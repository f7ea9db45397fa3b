package event_test

import (
	"reflect"
	"testing"

	"plaudit/shared/event"
)

// Decode reads records of a stream, which may be anything: it returns an error or an
// event that is encoded and decoded again without a difference.
func FuzzDecode(f *testing.F) {
	document, err := sample().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(document)
	for _, doc := range []string{
		``, `null`, `[]`, `{}`, `{"id":{}}`, `{"id":1}`, `{"id":null}`, `{"subjectseq":"x"}`, `{"subjectseq":[1]}`, `{"x":[`, `{"x":1.5}`, `{"x":{"y":1}}`,
		`{"time":5}`, `{"data":1}x`, `{"data":1,"x":2}`, `{"data_base64":5}`, `{"data_base64":"AAA="}`, `{"data" : 1 }`, `{"id":"a"}{"id":"b"}`, `{"id":"a","id":"b"}`,
		`{"data_base64":"","data":1}`, `{"specversion":[]}`, `{"x":"","data":00`, `{"data": [1] \n}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		e, err := event.Decode(doc)
		if err != nil {
			return
		}
		text, err := e.Encode()
		if err != nil {
			t.Fatalf("%q is decoded as %#v, which cannot be encoded: %v", doc, e, err)
		}
		again, err := event.Decode(text)
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("%q is decoded as %#v, then as %#v, %v", doc, e, again, err)
		}
	})
}
