package ddb_test

import (
	"testing"

	"plaudit/shared/audit"
	"plaudit/shared/audit/audittest"
)

// The log in memory, which tests of the API use, and this one pass the same tests.
func TestLogInDynamoDB(t *testing.T) {
	audittest.TestLog(t, func(t testing.TB) audit.Log {
		log, _ := newLog(t)
		return log
	})
}
