package main

import (
	"plaudit/local/part"
	"plaudit/local/secretsmanager"
)

// parts are the services that have a folder of their own behind part.Part. The
// others are still in this package: see kinds and plan.
type parts struct {
	all     []part.Part
	byType  map[string]part.Part    // by resource type
	secrets *secretsmanager.Service // one of all; databases and tasks use it too
}

func newParts(n part.Names) parts {
	p := parts{byType: map[string]part.Part{}, secrets: secretsmanager.New(n)}
	p.all = []part.Part{p.secrets}
	for _, one := range p.all {
		for _, kind := range one.Types() {
			p.byType[kind] = one
		}
	}
	return p
}
