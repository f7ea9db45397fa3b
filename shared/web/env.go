package web

// Env is the part of the environment that every deployable reads to verify access
// tokens and to answer browsers.
type Env struct {
	JWKS           string   `env:"JWKS,notEmpty"`   // public keys that verify access tokens, a JSON Web Key Set
	SampleJWKS     string   `env:"SAMPLE_JWKS"`     // keys of the tokens in events/; set only on a laptop
	AllowedOrigins []string `env:"ALLOWED_ORIGINS"` // origins whose pages may call from a browser, comma-separated; may be empty
}
