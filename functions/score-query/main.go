// Command score-query is the Lambda behind GET on /v1/boards and /v1/players.
//
//	ALB -> score-query -> scores DB (boards, standings, entries)
package main

import (
	"context"
	"time"

	"plaudit/shared/alb"
	"plaudit/shared/boot"
	"plaudit/shared/jose"
	"plaudit/shared/postgres"
	pgscores "plaudit/shared/postgres/scores"
	"plaudit/shared/score"
	"plaudit/shared/web"
)

// config is all this function reads from its environment. The names are the
// ones in template.yaml.
type config struct {
	Region         string   `env:"AWS_REGION,notEmpty"`   // for the database's IAM tokens; set by Lambda
	JWKS           string   `env:"JWKS,notEmpty"`         // public keys of the tokens that are good
	SampleJWKS     string   `env:"SAMPLE_JWKS"`           // those of the tokens in events/, on the laptop only
	AllowedOrigins []string `env:"ALLOWED_ORIGINS"`       // origins whose pages may call from a browser, comma-separated
	DBAuth         string   `env:"DB_AUTH,notEmpty"`      // iam or password
	ScoresDSN      string   `env:"SCORES_DSN,notEmpty"`   // the scores database, as score_query
	ScoresPassword string   `env:"SCORES_PASSWORD,unset"` // empty where DB_AUTH is iam
}

func main() { boot.Main("score-query", run) }

func run(ctx context.Context, cfg config) error {
	verifier, err := jose.NewVerifier(cfg.JWKS, cfg.SampleJWKS)
	if err != nil {
		return err
	}
	db, err := postgres.Open(postgres.Config{DSN: cfg.ScoresDSN, Auth: cfg.DBAuth, Password: cfg.ScoresPassword, Region: cfg.Region})
	if err != nil {
		return err
	}
	defer db.Close()
	reader := &score.Reader{Tables: pgscores.New(db), Now: time.Now}
	return alb.Serve(ctx, web.New(web.Config{
		Deployable: "score-query", Verifier: verifier, Origins: cfg.AllowedOrigins,
		Observe: boot.Observe,
	}, web.ScoreQuery(reader)))
}
