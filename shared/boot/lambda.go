package boot

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
)

// wholeProcessor is the memory, in MB, with which a function gets the time of
// one processor; with less it gets that part of it
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html).
const wholeProcessor = 1769

// fitLambda suits Go's runtime to the memory of a Lambda function, which is
// paid for whether it is used or not and sets the processor time. A function
// sees more processors than it is given: goroutines that wake each other
// across them cost a sixth of a request's time. And the garbage of one request
// is not worth collecting while there is room for that of several.
func fitLambda() {
	mb, err := strconv.Atoi(os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
	if err != nil || mb <= 0 {
		return // not in Lambda
	}
	runtime.GOMAXPROCS(min(runtime.GOMAXPROCS(0), (mb+wholeProcessor-1)/wholeProcessor))
	debug.SetGCPercent(400)
	// From here on it collects as often as it must.
	debug.SetMemoryLimit(int64(mb) << 20 * 3 / 4)
}
