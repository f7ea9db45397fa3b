package main

import (
	"slices"

	"plaudit/local/idle"
	"plaudit/local/part"
	"plaudit/local/secretsmanager"
)

// parts are the services that have a folder of their own behind part.Part. The
// others are still in this package: see kinds and plan.
//
// A row starts when the row before has started, and its parts start side by
// side. They stop in the reverse order.
type parts struct {
	served  []part.List // before the AWS endpoint is served
	callers []part.List // after it: they call AWS, or their requests make others call it
	all     part.List
	byType  map[string]part.Part    // by resource type
	secrets *secretsmanager.Service // one of all; databases and tasks use it too
}

func newParts(l part.Laptop) parts {
	p := parts{byType: map[string]part.Part{}, secrets: secretsmanager.New(l.Names)}
	p.served = []part.List{{idle.New(l), p.secrets}}
	p.all = slices.Concat(slices.Concat(p.served, p.callers)...)
	for _, one := range p.all {
		for _, kind := range one.Types() {
			p.byType[kind] = one
		}
	}
	return p
}
