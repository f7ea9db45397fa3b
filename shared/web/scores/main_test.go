package scores_test

import (
	"testing"

	"plaudit/shared/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
