// Package openapi checks responses against the API's OpenAPI document.
package openapi

import (
	"bytes"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Document is an OpenAPI 3.1 document to check responses against.
type Document struct {
	root    map[string]any
	paths   []path
	problem *jsonschema.Schema
}

type path struct {
	pattern  string
	segments []string
	methods  map[string]map[string]response // by method and status
}

type response struct {
	headers []string                      // required
	content map[string]*jsonschema.Schema // by media type
}

var methods = []string{"get", "put", "post", "delete", "patch"}

// Load parses a document. If a schema does not define whether an object may have
// additional fields, here it may not: everything in a response is documented.
func Load(text []byte) (*Document, error) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	root, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the document is not an object")
	}
	closeObjects(root["components"])
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	const name = "openapi.json"
	if err := compiler.AddResource(name, root); err != nil {
		return nil, err
	}
	d := &Document{root: root}
	if d.problem, err = compiler.Compile(name + "#/components/schemas/Problem"); err != nil {
		return nil, err
	}
	paths, _ := root["paths"].(map[string]any)
	for _, pattern := range slices.Sorted(maps.Keys(paths)) {
		p := path{pattern, strings.Split(pattern, "/"), map[string]map[string]response{}}
		for _, method := range methods {
			responses, pointer := d.find(fmt.Sprintf("#/paths/%s/%s/responses", escape(pattern), method))
			if responses == nil {
				continue
			}
			documented := map[string]response{}
			for status := range responses {
				r, err := d.response(compiler, name, pointer+"/"+status)
				if err != nil {
					return nil, fmt.Errorf("%s %s, %s: %w", method, pattern, status, err)
				}
				documented[status] = r
			}
			p.methods[strings.ToUpper(method)] = documented
		}
		d.paths = append(d.paths, p)
	}
	// A literal path comes before a path with a {name} that also matches.
	slices.SortStableFunc(d.paths, func(a, b path) int { return strings.Count(a.pattern, "{") - strings.Count(b.pattern, "{") })
	return d, nil
}

func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["properties"].(map[string]any); ok && v["type"] != nil && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, child := range v {
			closeObjects(child)
		}
	case []any:
		for _, child := range v {
			closeObjects(child)
		}
	}
}

// escape encodes a name for a JSON pointer (RFC 6901).
func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// find returns the object that a pointer refers to, or nil, and its location
// after following every $ref.
func (d *Document) find(pointer string) (map[string]any, string) {
	at, where := d.root, "#"
	for _, part := range strings.Split(pointer, "/")[1:] {
		child, ok := at[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)].(map[string]any)
		if !ok {
			return nil, ""
		}
		at, where = child, where+"/"+part
		if ref, ok := at["$ref"].(string); ok {
			if at, where = d.find(ref); at == nil {
				return nil, ""
			}
		}
	}
	return at, where
}

func (d *Document) response(compiler *jsonschema.Compiler, name, pointer string) (response, error) {
	found, where := d.find(pointer)
	if found == nil {
		return response{}, fmt.Errorf("no response object")
	}
	r := response{content: map[string]*jsonschema.Schema{}}
	headers, _ := found["headers"].(map[string]any)
	for header := range headers {
		if h, _ := d.find(where + "/headers/" + header); h["required"] == true {
			r.headers = append(r.headers, header)
		}
	}
	content, _ := found["content"].(map[string]any)
	for media := range content {
		parts := strings.Split(where+"/content/"+escape(media)+"/schema", "/")
		for i := range parts[1:] {
			parts[i+1] = url.PathEscape(parts[i+1])
		}
		schema, err := compiler.Compile(name + strings.Join(parts, "/"))
		if err != nil {
			return response{}, err
		}
		r.content[media] = schema
	}
	return r, nil
}

// Operations returns every method and path, as "GET /v1/boards/{board}".
func (d *Document) Operations() []string {
	var all []string
	for _, p := range d.paths {
		for method := range p.methods {
			all = append(all, method+" "+p.pattern)
		}
	}
	return all
}

// Operation returns an operation's object, including the parameters of its
// path, all resolved.
func (d *Document) Operation(method, pattern string) map[string]any {
	item, _ := d.find("#/paths/" + escape(pattern))
	op, _ := item[strings.ToLower(method)].(map[string]any)
	if op == nil {
		return nil
	}
	op = maps.Clone(op)
	var parameters []any
	for _, list := range []any{item["parameters"], op["parameters"]} {
		list, _ := list.([]any)
		for _, p := range list {
			if ref, ok := p.(map[string]any)["$ref"].(string); ok {
				p, _ = d.find(ref)
			}
			parameters = append(parameters, p)
		}
	}
	op["parameters"] = parameters
	return op
}

// Check returns an error if a response is not documented. HTML comes from the
// load balancer, which the document only describes in words.
func (d *Document) Check(method, target string, status int, header http.Header, body string) error {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		u = &url.URL{Path: "/"} // not a path of the API
	}
	media, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if media == "text/html" && status >= 400 {
		return nil
	}
	r, err := d.expected(method, u.EscapedPath(), status)
	if err == nil {
		err = r.check(method, media, header, body)
	}
	if err != nil {
		return fmt.Errorf("%s %s, %d: %w: %.500s", method, target, status, err, body)
	}
	return nil
}

// expected returns the documented response. Errors outside of any route are the
// same everywhere.
func (d *Document) expected(method, path string, status int) (response, error) {
	p := d.match(path)
	documented := map[string]response{}
	switch {
	case p == nil:
		documented["401"], documented["404"] = d.refusal("WWW-Authenticate"), d.refusal()
	case method == http.MethodOptions:
		documented["204"] = response{headers: []string{"Allow"}}
	case method == http.MethodHead && p.methods["GET"] != nil:
		documented = p.methods["GET"]
	case p.methods[method] != nil:
		documented = p.methods[method]
	default:
		documented["401"], documented["405"] = d.refusal("WWW-Authenticate"), d.refusal("Allow")
	}
	r, ok := documented[fmt.Sprint(status)]
	if !ok {
		return response{}, fmt.Errorf("the status is not documented, only %s", strings.Join(slices.Sorted(maps.Keys(documented)), ", "))
	}
	return r, nil
}

func (d *Document) refusal(headers ...string) response {
	return response{headers: headers, content: map[string]*jsonschema.Schema{"application/problem+json": d.problem}}
}

// match returns the documented path of a request, segment by segment, so that
// an escaped slash does not make a new segment. Literal paths come first.
func (d *Document) match(escaped string) *path {
	segments := strings.Split(escaped, "/")
	for i, p := range d.paths {
		if len(p.segments) == len(segments) && p.matches(segments) {
			return &d.paths[i]
		}
	}
	return nil
}

func (p path) matches(segments []string) bool {
	for i, want := range p.segments {
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" && i > 0 || !strings.HasPrefix(want, "{") && want != segments[i] {
			return false
		}
	}
	return true
}

func (r response) check(method, media string, header http.Header, body string) error {
	for _, name := range r.headers {
		if header.Get(name) == "" {
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	if method == http.MethodHead || len(r.content) == 0 {
		if body != "" {
			return fmt.Errorf("the response has a body")
		}
		return nil
	}
	schema, ok := r.content[media]
	if !ok {
		return fmt.Errorf("the media type %q is not documented", media)
	}
	if !strings.HasSuffix(media, "json") {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}
