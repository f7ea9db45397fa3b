package part

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"plaudit/local/template"
)

// List is the parts of a laptop cloud.
type List []Part

// of returns the part that has a resource type.
func (l List) of(kind string) (Part, bool) {
	for _, p := range l {
		if slices.Contains(p.Types(), kind) {
			return p, true
		}
	}
	return nil, false
}

// Read resolves a template with the values of the parts, and lets each part read
// its resources. It starts nothing, and reports everything that is wrong at once.
func (l List) Read(loaded *template.Template) (*template.Stack, error) {
	var errs []error
	for _, r := range loaded.Resources() {
		if _, ok := l.of(r.Type); !ok {
			errs = append(errs, fmt.Errorf("%s: the laptop cloud does not support the type %s", r.ID, r.Type))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, r := range loaded.Resources() {
		p, _ := l.of(r.Type)
		if preparer, ok := p.(Preparer); ok {
			if err := preparer.Prepare(r); err != nil {
				return nil, err
			}
		}
	}
	stack, err := loaded.Resolve(attribute(l.values))
	if err != nil {
		return nil, err
	}
	for _, r := range stack.Resources {
		p, _ := l.of(r.Type)
		if err := p.Read(r); err != nil {
			errs = append(errs, err)
		}
	}
	for _, p := range l {
		if linker, ok := p.(Linker); ok {
			if err := linker.Link(stack); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return stack, errors.Join(errs...)
}

// ResolveOn resolves a template that was read for callers that reach this
// machine by the name host.
func (l List) ResolveOn(host string, loaded *template.Template) (*template.Stack, error) {
	return loaded.Resolve(attribute(func(r template.Resource) map[string]any {
		p, _ := l.of(r.Type)
		if hosted, ok := p.(Hosted); ok {
			return hosted.ValuesOn(host, r)
		}
		return p.Values(r)
	}))
}

func (l List) values(r template.Resource) map[string]any {
	p, _ := l.of(r.Type)
	return p.Values(r)
}

// attribute answers Ref and GetAtt.
func attribute(values func(template.Resource) map[string]any) template.Attribute {
	return func(r template.Resource, name string) (any, error) {
		values := values(r)
		value, ok := values[name]
		if !ok || value == nil {
			known := slices.Sorted(maps.Keys(values))
			return nil, fmt.Errorf("the laptop cloud knows %s of %s, not %s", strings.Join(known, ", "), r.Type, name)
		}
		return value, nil
	}
}
