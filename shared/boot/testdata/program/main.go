// Command program is a deployable for boot's tests. MODE selects what it serves.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"plaudit/shared/boot"
	"plaudit/shared/trace"
)

type config struct {
	Mode     string        `env:"MODE"`
	DSN      string        `env:"DSN,notEmpty"`
	Password string        `env:"PASSWORD"`
	Limit    int           `env:"LIMIT"`
	Every    time.Duration `env:"EVERY" envDefault:"1m"`
	Key      key           `env:"KEY" envDefault:"ok"`
	Database struct {
		Port uint16 `env:"PORT" envDefault:"5432"`
	} `envPrefix:"DB_"`
	Limits // embedded
}

// Limits is a configuration to embed.
type Limits struct {
	Rate  int `env:"RATE" envDefault:"7"`
	Burst struct {
		Size int `env:"SIZE" envDefault:"9"`
	} `envPrefix:"BURST_"`
}

// key is a type whose own error holds the value.
type key string

func (k *key) UnmarshalText(b []byte) error {
	if string(b) != "ok" {
		return fmt.Errorf("bad key %q", b)
	}
	return nil
}

// do handles a record, which names what to do.
func do(ctx context.Context, id, what string) error {
	slog.InfoContext(ctx, "record "+id)
	switch what {
	case "fail":
		return errors.New("the record is bad")
	case "panic":
		panic("the record is odd")
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func main() { boot.Main("program", run) }

func run(ctx context.Context, cfg config) error {
	switch cfg.Mode {
	case "wait":
		slog.Info("waiting", "limit", cfg.Limit, "port", cfg.Database.Port, "rate", cfg.Rate, "size", cfg.Burst.Size)
		<-ctx.Done()
		slog.Debug("stopping")
		return nil
	case "fail":
		log.Print("a library's line")
		return errors.New("the database is of another release")
	case "serve":
		return boot.Serve(ctx, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			boot.Observe(r.Context(), trace.Request{Method: r.Method, Pattern: "/v1/boards/{board}", Status: http.StatusOK, Took: 1500 * time.Microsecond})
			if r.URL.Path == "/slow" {
				slog.InfoContext(r.Context(), "slow")
				<-ctx.Done()                       // the signal to stop
				time.Sleep(300 * time.Millisecond) // long enough to be cut off
			}
			io.WriteString(w, "done")
		}))
	case "invoke":
		return boot.Invoke(ctx, func(ctx context.Context, in struct{ Name string }) (map[string]string, error) {
			slog.InfoContext(ctx, "invoked")
			switch in.Name {
			case "nobody":
				return nil, errors.New("the name is unknown")
			case "panic":
				panic("the name is bad")
			}
			return map[string]string{"hello": in.Name}, nil
		})
	case "stream":
		return boot.Batch(ctx, func(ctx context.Context, r events.DynamoDBEventRecord) error {
			return do(ctx, r.Change.SequenceNumber, r.Change.Keys["do"].String())
		}, func(r events.DynamoDBEventRecord) string { return r.Change.NewImage["traceparent"].String() })
	case "whole":
		return boot.WholeBatch(ctx, func(ctx context.Context, records []events.DynamoDBEventRecord) []error {
			errs := make([]error, len(records))
			for i, r := range records {
				errs[i] = do(ctx, r.Change.SequenceNumber, r.Change.Keys["do"].String())
			}
			return errs
		})
	case "queue":
		return boot.Batch(ctx, func(ctx context.Context, m events.SQSMessage) error { return do(ctx, m.MessageId, m.Body) }, nil)
	}
	return fmt.Errorf("MODE %q is unknown", cfg.Mode)
}
