package template

import (
	"slices"
	"strings"
)

// order sorts the resources so that each comes after its dependencies, and
// otherwise by id.
func (t *Template) order(p *problems) {
	byID := map[string]*resource{}
	var waiting []string
	for _, r := range t.resources {
		byID[r.id] = r
		waiting = append(waiting, r.id)
	}
	slices.Sort(waiting)
	done := map[string]bool{}
	var sorted []*resource
	for len(waiting) > 0 {
		i := slices.IndexFunc(waiting, func(id string) bool {
			return !slices.ContainsFunc(byID[id].needs, func(need string) bool { return !done[need] })
		})
		if i < 0 {
			circle := findCircle(byID, waiting[0], done)
			p.add(byID[circle[0]].line, "Resources."+circle[0], "resources need each other in a circle: %s", strings.Join(circle, " → "))
			return
		}
		sorted = append(sorted, byID[waiting[i]])
		done[waiting[i]] = true
		waiting = slices.Delete(waiting, i, i+1)
	}
	t.resources = sorted
}

// findCircle follows needs that are not done. Every resource left has one, so
// the way must come back to itself.
func findCircle(byID map[string]*resource, id string, done map[string]bool) []string {
	var way []string
	for {
		if i := slices.Index(way, id); i >= 0 {
			return append(way[i:], id)
		}
		way = append(way, id)
		needs := byID[id].needs
		id = needs[slices.IndexFunc(needs, func(need string) bool { return !done[need] })]
	}
}
