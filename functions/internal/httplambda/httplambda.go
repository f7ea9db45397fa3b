// Package httplambda wires what the Lambdas behind the load balancer have in
// common.
package httplambda

import (
	"context"

	"plaudit/shared/alb"
	"plaudit/shared/boot"
	"plaudit/shared/jose"
	"plaudit/shared/web"
)

// Serve answers the load balancer's events with the endpoints of the deployable
// of that name until ctx ends. It returns an error if the endpoints cannot be
// served at all.
func Serve(ctx context.Context, deployable string, env web.Env, endpoints map[string]web.Endpoint) error {
	verifier, err := jose.NewVerifier(env.JWKS, env.SampleJWKS)
	if err != nil {
		return err
	}
	return alb.Serve(ctx, web.New(web.Config{
		Deployable: deployable, Verifier: verifier, Origins: env.AllowedOrigins, Observe: boot.Observe,
	}, endpoints))
}
