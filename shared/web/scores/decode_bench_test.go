package scores

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"plaudit/shared/web"
)

// BenchmarkDecode reads the bodies of adds.
func BenchmarkDecode(b *testing.B) {
	few := func(i int) string {
		return fmt.Sprintf(`"player": "runner-%d", "points": %d, "occurred_at": "2026-04-05T12:00:00Z"`, i, i%100)
	}
	all := func(i int) string {
		return fmt.Sprintf(`"player": "runner-%d", "points": %d, "kind": "result", "note": "first in the half marathon", "tiebreak": %d,
			"occurred_at": "2026-04-05T12:00:00+09:00", "late": false, "metadata": {"lane": 4, "wind": -0.3, "splits": [1207, 1311]}, "key": "finish-%d",
			"profile": {"display_name": "Runner %d", "country": "KR", "attributes": {"age_group": "M40", "club": null}, "user": null}`, i, i%100, i, i, i)
	}
	batch := func(fields func(int) string) string {
		items := make([]string, 1000)
		for i := range items {
			items[i] = `{"board": "seoul-2026", ` + fields(i) + `}`
		}
		return `{"entries": [` + strings.Join(items, ", ") + `]}`
	}
	b.Run("an entry", benchmarkDecode[entryIn](`{`+few(7)+`}`))
	b.Run("an entry with every field", benchmarkDecode[entryIn](`{`+all(7)+`}`))
	b.Run("a batch", benchmarkDecode[batchIn](batch(few)))
	b.Run("a batch with every field", benchmarkDecode[batchIn](batch(all)))
}

func benchmarkDecode[T any](body string) func(b *testing.B) {
	return func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			r := httptest.NewRequest("POST", "/", bytes.NewReader([]byte(body)))
			r.Header.Set("Content-Type", "application/json")
			if _, err := web.Decode[T](r); err != nil {
				b.Fatal(err)
			}
		}
	}
}
