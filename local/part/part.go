// Package part defines how an AWS service takes part in the laptop cloud. Each
// service has a folder of its own, which holds the resource types that it runs,
// their names and ARNs, and the running service.
package part

import (
	"context"
	"net/http"

	"plaudit/local/template"
)

// Part is one AWS service. The laptop cloud calls Values and Read for each
// resource of the template, then Start once, and Stop in the end.
type Part interface {
	// Types returns the resource types of the service, such as
	// AWS::SecretsManager::Secret.
	Types() []string

	// Values returns what Ref (under "Ref") and GetAtt yield for a resource, as
	// the CloudFormation template reference defines them. The properties of the
	// resource are resolved.
	Values(r template.Resource) map[string]any

	// Read adds a resolved resource to what Start runs, and starts nothing. It
	// reports properties that the part does not support.
	Read(r template.Resource) error

	// Start runs everything that Read was given, and returns once it is usable.
	// What it starts outlives ctx, until Stop.
	Start(ctx context.Context) error

	// API returns the handler of the service's API, and the service's name in
	// the scope of a SigV4 signature, such as secretsmanager. One endpoint serves
	// the APIs of all parts.
	API() (service string, handler http.Handler)

	// Stop ends everything that Start has started.
	Stop()
}
