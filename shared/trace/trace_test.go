package trace

import (
	"context"
	"testing"
)

const valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestParentKeepsOnlyAValidHeader(t *testing.T) {
	if got := Parent(valid); got != valid {
		t.Errorf("a valid one became %q", got)
	}
	made := map[string]bool{}
	for name, header := range map[string]string{
		"none":             "",
		"a short one":      valid[:54],
		"more behind it":   valid + "-x",
		"another version":  "01" + valid[2:],
		"capitals":         "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
		"an empty trace":   "00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"an empty span":    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"a line behind it": valid + "\n",
	} {
		got := Parent(header)
		if got == header || Parent(got) != got || got[52:] != "-00" || made[got] {
			t.Errorf("%s: %q became %q", name, header, got)
		}
		made[got] = true
	}
}

func TestInfoTravelsInTheContext(t *testing.T) {
	if got := From(context.Background()); got != (Info{}) || got.TraceID() != "" {
		t.Errorf("a bare context carries %+v", got)
	}
	info := Info{RequestID: "r-1", Parent: valid}
	if got := From(With(context.Background(), info)); got != info || got.TraceID() != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("got %+v", got)
	}
}
