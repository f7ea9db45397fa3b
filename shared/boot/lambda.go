package boot

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
)

// wholeProcessor is the memory, in MB, with which a function gets the time of one
// processor; the time is proportional to the memory
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html).
const wholeProcessor = 1769

// fitLambda adapts Go's runtime to the memory of a Lambda function, which is paid
// for whether it is used or not, and determines the processor time. A function sees
// more processors than it may use, and goroutines that wake each other across them
// cost a sixth of a request's time. Collecting garbage is not worthwhile while the
// memory has room for several requests.
func fitLambda() {
	mb, err := strconv.Atoi(os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
	if err != nil || mb <= 0 {
		return // not in Lambda
	}
	runtime.GOMAXPROCS(min(runtime.GOMAXPROCS(0), (mb+wholeProcessor-1)/wholeProcessor))
	debug.SetGCPercent(400)
	// Above this limit, it collects as often as necessary.
	debug.SetMemoryLimit(int64(mb) << 20 * 3 / 4)
}
