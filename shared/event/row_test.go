package event_test

import (
	"testing"

	"plaudit/shared/event"
)

func TestIDsOfRows(t *testing.T) {
	const tag = "018f0000-0000-4000-8000-000000000001"
	for id, want := range map[string]int64{"17": 17, "17-" + tag: 17, "9223372036854775807": 1<<63 - 1} {
		if number, ok := event.RowNumber(id); number != want || !ok {
			t.Errorf("%q has the number %d, %t; want %d", id, number, ok, want)
		}
	}
	if event.RowID(17, tag) != "17-"+tag || event.RowID(17, "") != "17" {
		t.Errorf("the ids are %q and %q", event.RowID(17, tag), event.RowID(17, ""))
	}
	for _, id := range []string{"", "-", "0", "-17", "+17", "017", "17-", "x", tag, " 17", "17 ", "17x-" + tag, "9223372036854775808"} {
		if number, ok := event.RowNumber(id); ok {
			t.Errorf("%q has the number %d", id, number)
		}
	}
}
