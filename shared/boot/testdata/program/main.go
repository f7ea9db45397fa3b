// Command program is a deployable for boot's tests. MODE says what it serves.
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

	"plaudit/shared/boot"
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
}

// key is a type whose own error tells the value.
type key string

func (k *key) UnmarshalText(b []byte) error {
	if string(b) != "ok" {
		return fmt.Errorf("bad key %q", b)
	}
	return nil
}

func main() { boot.Main("program", run) }

func run(ctx context.Context, cfg config) error {
	switch cfg.Mode {
	case "wait":
		slog.Info("waiting", "limit", cfg.Limit, "port", cfg.Database.Port)
		<-ctx.Done()
		slog.Debug("stopping")
		return nil
	case "fail":
		log.Print("a library's line")
		return errors.New("the database is of another release")
	case "serve":
		return boot.Serve(ctx, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			boot.Observe(r.Context(), r.Method, "/v1/boards/{board}", http.StatusOK, 1500*time.Microsecond)
			if r.URL.Path == "/slow" {
				slog.InfoContext(r.Context(), "slow")
				time.Sleep(300 * time.Millisecond)
			}
			io.WriteString(w, "done")
		}))
	case "invoke":
		return boot.Invoke(ctx, func(ctx context.Context, in struct{ Name string }) (map[string]string, error) {
			slog.InfoContext(ctx, "invoked")
			return map[string]string{"hello": in.Name}, nil
		})
	}
	return fmt.Errorf("MODE %q is unknown", cfg.Mode)
}
