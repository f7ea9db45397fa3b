package boot

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestGoFitsTheFunctionsMemory(t *testing.T) {
	procs, percent, limit := runtime.GOMAXPROCS(0), debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64)
	restore := func() {
		runtime.GOMAXPROCS(procs)
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
	t.Cleanup(restore)
	for _, c := range []struct {
		mb             string
		procs, percent int
		limit          int64
	}{
		{"256", 1, 400, 192 << 20},
		{"1769", 1, 400, 1769 << 20 * 3 / 4},
		{"1770", min(procs, 2), 400, 1770 << 20 * 3 / 4},
		{"", procs, percent, limit}, // not in Lambda
	} {
		restore()
		t.Setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", c.mb)
		fitLambda()
		if n, p, l := runtime.GOMAXPROCS(0), debug.SetGCPercent(percent), debug.SetMemoryLimit(-1); n != c.procs || p != c.percent || l != c.limit {
			t.Errorf("%q MB: %d processors, %d %%, %d bytes", c.mb, n, p, l)
		}
	}
}
