// Package part defines how an AWS service takes part in the laptop cloud. Each
// service has a folder of its own, which holds the resource types that it runs,
// their names and ARNs, and the running service.
package part

import (
	"context"
	"net/http"
	"time"

	"plaudit/local/template"
)

// Part is one AWS service. The laptop cloud calls Values and Read for each
// resource of the template, then Start once, and Stop in the end. A part that
// needs more implements some of the interfaces below, too.
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

	// Start runs everything that Read was given, and returns once other parts
	// can use it. What it starts outlives ctx, until Stop.
	Start(ctx context.Context) error

	// API returns the handler of the service's API, and the service's name in
	// the scope of a SigV4 signature, such as secretsmanager; for a part without
	// an API, nil and "". One endpoint serves the APIs of all parts; functions and
	// tasks start after it and stop before it, so their own part may be asked
	// before its Start.
	API() (service string, handler http.Handler)

	// Stop ends everything that Start has started, also after a Start that
	// failed halfway. The parts that started later have stopped by then.
	Stop()
}

// Preparer is a part whose values depend on more than the template, such as a
// port that is free on this machine.
type Preparer interface {
	// Prepare is called for each resource before its first Values. The
	// properties are not resolved yet.
	Prepare(r template.Resource) error
}

// Linker is a part whose resources refer to other resources, of this part or of
// another one.
type Linker interface {
	// Link is called after every part has read its resources, and before
	// anything starts. It reports references that lead nowhere.
	Link(stack *template.Stack) error
}

// Hosted is a part whose values contain the host on which it listens.
type Hosted interface {
	// ValuesOn is Values for a caller that reaches this machine by the name
	// host instead of 127.0.0.1, as containers do.
	ValuesOn(host string, r template.Resource) map[string]any
}

// ProgramRunner is a part that runs Go programs of the project.
type ProgramRunner interface {
	// Programs returns what the part calls its programs, such as functions, and
	// their packages, such as ./functions/score-add. They are built before the
	// part starts.
	Programs() (kind string, packages []string)

	// Replace makes the part run the program of a package that was built again.
	Replace(pkg string)
}

// Awaited is a part that is not ready when Start returns, because it needs what
// the hook `after` sets up.
type Awaited interface {
	// Await is called after the hook, and returns once the part is ready.
	Await(ctx context.Context) error
}

// Seconds returns the duration that a property of whole seconds means.
func Seconds(n int) time.Duration { return time.Duration(n) * time.Second }
