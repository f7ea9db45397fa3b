package audittest_test

import (
	"testing"

	"plaudit/shared/audit"
	"plaudit/shared/audit/audittest"
)

func TestLogInMemory(t *testing.T) {
	audittest.TestLog(t, func(testing.TB) audit.Log { return audittest.New() })
}
