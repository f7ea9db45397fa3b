package scores_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plaudit/shared/postgres"
	"plaudit/shared/score"
)

// BenchmarkAdd measures a whole add, with an idempotency key, beside a plain
// insert of one row over the same driver and the same number of connections.
func BenchmarkAdd(b *testing.B) {
	s := newScores(b, 16)
	s.board(b, "bench", nil)
	owned := s.db.Config("db_migrate")
	owned.MaxConns = 16
	plain, err := postgres.Open(owned)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { plain.Close() })
	plain.MustExec(`CREATE TABLE plain (id bigint PRIMARY KEY, player text, points bigint, at timestamptz DEFAULT now())`)

	var n atomic.Int64
	for _, clients := range []int{1, 16} {
		for _, c := range []struct {
			name string
			once func(n int64) error
		}{
			{"insert", func(n int64) error {
				_, err := plain.Exec(`INSERT INTO plain (id, player, points) VALUES ($1, $2, $3)`, n, "p", n)
				return err
			}},
			{"add", func(n int64) error {
				_, err := s.adder.Add(ctxOf(b), owner, addRoute, "bench", score.Submission{
					Player: fmt.Sprintf("p%d", n%10_000), Points: ptr(n % 100), Key: fmt.Sprintf("k%d", n),
				})
				return err
			}},
		} {
			b.Run(fmt.Sprintf("%s/clients=%d", c.name, clients), func(b *testing.B) {
				start := time.Now()
				var left atomic.Int64
				left.Store(int64(b.N))
				var wg sync.WaitGroup
				for range clients {
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							if err := c.once(n.Add(1)); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "a_second")
			})
		}
	}
}
