package web

// Env is what every deployable that verifies access tokens and answers
// browsers reads from its environment.
type Env struct {
	JWKS           string   `env:"JWKS,notEmpty"`   // public keys that verify access tokens, a JSON Web Key Set
	SampleJWKS     string   `env:"SAMPLE_JWKS"`     // keys of the tokens in events/; set only on a laptop
	AllowedOrigins []string `env:"ALLOWED_ORIGINS"` // origins whose pages may call from a browser, comma-separated; may be empty
}
