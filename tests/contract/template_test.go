package contract

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"plaudit/local/template"
	"plaudit/shared/audit"
	"plaudit/shared/score"
	"plaudit/shared/web"
)

// stage resolves template.yaml with the parameters of one stage in
// samconfig.toml. Ref and GetAtt yield the resource's logical id, which is all
// that these tests need.
func stage(t *testing.T, name string) *template.Stack {
	t.Helper()
	return resolved(t, name, func(r template.Resource, _ string) (any, error) { return r.ID, nil })
}

// resolved resolves template.yaml with the parameters of a stage.
func resolved(t *testing.T, name string, attribute template.Attribute) *template.Stack {
	t.Helper()
	return resolvedWith(t, name, nil, attribute)
}

// resolvedWith does so after a change of parameters.
func resolvedWith(t *testing.T, name string, changes map[string]string, attribute template.Attribute) *template.Stack {
	t.Helper()
	config, err := template.ReadConfig(filepath.Join(root, "samconfig.toml"), name)
	if err != nil {
		t.Fatal(err)
	}
	params := maps.Clone(config.Parameters)
	for _, secret := range []string{"AdminPassword", "SigningKey", "NotifyKey", "Jwks"} {
		params[secret] = "made by plaudit secrets"
	}
	if params["AdminEmail"] == "" { // the deployer's
		params["AdminEmail"] = "ops@example.org"
	}
	if params["DbAuth"] == "password" {
		params["ScoresDbPassword"], params["UsersDbPassword"] = "a", "b"
	}
	maps.Copy(params, changes)
	pseudo := template.Pseudo{StackName: config.StackName, Region: config.Region, AccountID: "000000000000"}
	tmpl, err := template.Load(filepath.Join(root, "template.yaml"), pseudo, params)
	if err != nil {
		t.Fatal(err)
	}
	stack, err := tmpl.Resolve(attribute)
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// at follows property names and list indices into a resolved value.
func at(v any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[s]
		case int:
			l, _ := v.([]any)
			if s >= len(l) {
				return nil
			}
			v = l[s]
		}
	}
	return v
}

func of(stack *template.Stack, kind string) []template.Resource {
	return slices.DeleteFunc(slices.Clone(stack.Resources), func(r template.Resource) bool { return r.Type != kind })
}

// deployables returns the name of the deployable behind each target group.
func deployables(t *testing.T, stack *template.Stack) map[string]string {
	t.Helper()
	behind := map[string]string{}
	for _, g := range of(stack, "AWS::ElasticLoadBalancingV2::TargetGroup") {
		if id, ok := at(g.Properties, "Targets", 0, "Id").(string); ok {
			f, _ := stack.Resource(id)
			behind[g.ID] = folder(f)
		}
	}
	for _, s := range of(stack, "AWS::ECS::Service") {
		if id, ok := at(s.Properties, "LoadBalancers", 0, "TargetGroupArn").(string); ok {
			behind[id] = fmt.Sprint(at(s.Properties, "LoadBalancers", 0, "ContainerName"))
		}
	}
	return behind
}

func folder(function template.Resource) string {
	uri := fmt.Sprint(at(function.Properties, "Code", "CodeUri"))
	return strings.Trim(strings.TrimPrefix(uri, "functions/"), "/")
}

// The listener's rules send each route to the deployable that serves it.
func TestListenerRulesSendRoutesToTheirDeployable(t *testing.T) {
	stack := stage(t, "prod")
	behind := deployables(t, stack)
	rules := of(stack, "AWS::ElasticLoadBalancingV2::ListenerRule")
	priority := func(r template.Resource) int {
		n, err := strconv.Atoi(fmt.Sprint(r.Properties["Priority"]))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	slices.SortFunc(rules, func(a, b template.Resource) int { return priority(a) - priority(b) })
	listener, _ := stack.Resource("Listener")

	send := func(method, path string) string {
		for _, r := range rules {
			hit := true
			for _, c := range r.Properties["Conditions"].([]any) {
				paths, _ := at(c, "PathPatternConfig", "Values").([]any)
				methods, _ := at(c, "HttpRequestMethodConfig", "Values").([]any)
				hit = hit && (slices.ContainsFunc(paths, func(p any) bool { return glob(fmt.Sprint(p), path) }) || slices.Contains(methods, any(method)))
			}
			if hit {
				return behind[fmt.Sprint(at(r.Properties, "Actions", 0, "TargetGroupArn"))]
			}
		}
		return behind[fmt.Sprint(at(listener.Properties, "DefaultActions", 0, "TargetGroupArn"))]
	}
	for _, r := range web.Routes {
		path := regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(r.Pattern, "x-1")
		if got := send(r.Method, path); got != r.Deployable {
			t.Errorf("%s %s goes to %q, but %s serves it", r.Method, r.Pattern, got, r.Deployable)
		}
	}
	for _, c := range []struct{ method, path, want string }{
		{"HEAD", "/v1/boards/x", "score-query"},
		{"OPTIONS", "/v1/boards/x/entries", "board-admin"},
		{"DELETE", "/v1/boards/x", "board-admin"},
		{"GET", "/v1/players/x/standings", "score-query"},
		{"POST", "/v1/entries/batch", "score-add"},
		{"GET", "/v1/entries/batch", "board-admin"},
		{"GET", "/v1/audit/events", "audit-query"},
		{"HEAD", "/v1/audit/events/x", "audit-query"},
		{"GET", "/v1/audit/export", "audit-query"},
		{"POST", "/v1/audit/events", "audit-add"},
		{"OPTIONS", "/v1/audit/events", "audit-add"},
		{"DELETE", "/v1/audit/events/x", "audit-add"},
		{"GET", "/v1/audit", "users"},
		{"GET", "/", "users"},
	} {
		if got := send(c.method, c.path); got != c.want {
			t.Errorf("%s %s goes to %q, want %s", c.method, c.path, got, c.want)
		}
	}
}

// glob matches as a path-pattern does: `*` takes slashes too.
func glob(pattern, path string) bool {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")
	return regexp.MustCompile("^" + strings.ReplaceAll(quoted, `\?`, ".") + "$").MatchString(path)
}

const endpointVariable = "AWS_ENDPOINT_URL"

// A deployable's config reads exactly the variables that the template sets.
func TestEnvironmentsAreWhatIsRead(t *testing.T) {
	stack := stage(t, "prod")
	given := map[string][]string{}
	for _, f := range of(stack, "AWS::Lambda::Function") {
		vars, _ := at(f.Properties, "Environment", "Variables").(map[string]any)
		// The AWS SDK reads this one.
		if endpoint, ok := vars[endpointVariable]; !ok || endpoint != "" {
			t.Errorf("%s: %s must be there for sam local invoke, and empty", f.ID, endpointVariable)
		}
		delete(vars, endpointVariable)
		given["functions/"+folder(f)] = slices.Sorted(maps.Keys(vars))
	}
	for _, task := range of(stack, "AWS::ECS::TaskDefinition") {
		container := at(task.Properties, "ContainerDefinitions", 0)
		var names []string
		for _, list := range []string{"Environment", "Secrets"} {
			for _, v := range at(container, list).([]any) {
				names = append(names, fmt.Sprint(at(v, "Name")))
			}
		}
		slices.Sort(names)
		given["services/"+fmt.Sprint(at(container, "Name"))] = names
	}

	for _, parent := range []string{"functions", "services"} {
		for _, name := range folders(t, parent) {
			dir := parent + "/" + name
			want, ok := given[dir]
			if !ok {
				t.Errorf("%s is not in template.yaml", dir)
				continue
			}
			delete(given, dir)
			// Lambda sets the region itself, the image the address.
			read := slices.DeleteFunc(configured(t, dir), func(v string) bool {
				return v == "AWS_REGION" && parent == "functions" || v == "HOST"
			})
			if !slices.Equal(read, want) {
				t.Errorf("%s reads %v, and template.yaml sets %v", dir, read, want)
			}
		}
	}
	for dir := range given {
		t.Errorf("template.yaml runs %s, which does not exist", dir)
	}
}

// configured lists the environment variables that the struct config of a main
// package reads, sorted. It follows fields whose type is a struct of this
// module, embedded or not.
func configured(t *testing.T, dir string) []string {
	t.Helper()
	names := variables(t, dir, "config")
	if len(names) == 0 {
		t.Errorf("%s has no struct config with env tags", dir)
	}
	slices.Sort(names)
	if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) {
		t.Errorf("%s reads a variable into two fields: %v", dir, names)
	}
	return names
}

// variables lists the variables in the env tags of a struct.
func variables(t *testing.T, dir, name string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != name {
				return true
			}
			for _, field := range spec.Type.(*ast.StructType).Fields.List {
				var tag reflect.StructTag
				if field.Tag != nil {
					text, err := strconv.Unquote(field.Tag.Value)
					if err != nil {
						t.Fatal(err)
					}
					tag = reflect.StructTag(text)
				}
				if variable, _, _ := strings.Cut(tag.Get("env"), ","); variable != "" {
					names = append(names, variable)
					continue
				}
				nested, ok := field.Type.(*ast.SelectorExpr)
				if !ok {
					t.Errorf("%s: a field of %s has neither a variable nor a struct of another package", path, name)
					continue
				}
				for _, variable := range variables(t, imported(t, file, nested.X.(*ast.Ident).Name), nested.Sel.Name) {
					names = append(names, tag.Get("envPrefix")+variable)
				}
			}
			return false
		})
	}
	if len(names) == 0 {
		t.Errorf("%s has no struct %s with env tags", dir, name)
	}
	return names
}

// imported returns the folder of a package that a file imports under a name.
func imported(t *testing.T, file *ast.File, name string) string {
	t.Helper()
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		folder, ours := strings.CutPrefix(path, "plaudit/")
		if ours && (spec.Name != nil && spec.Name.Name == name || spec.Name == nil && folder[strings.LastIndexByte(folder, '/')+1:] == name) {
			return folder
		}
	}
	t.Fatalf("no package of this module is imported as %s", name)
	return ""
}

// If concurrency is reserved, all environments together fit in 80 % of the
// databases' connections. In the cloud they must fit twice, because those of the
// old version keep theirs during a deployment.
func TestConcurrencyFitsInConnections(t *testing.T) {
	for name, versions := range map[string]int{"local": 1, "prod": 2} {
		stack := stage(t, name)
		group, _ := stack.Resource("DbParameters")
		limit, err := strconv.Atoi(fmt.Sprint(at(group.Properties, "Parameters", "max_connections")))
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, f := range of(stack, "AWS::Lambda::Function") {
			vars, _ := at(f.Properties, "Environment", "Variables").(map[string]any)
			if vars["SCORES_DSN"] == nil {
				continue
			}
			n, err := strconv.Atoi(fmt.Sprint(f.Properties["ReservedConcurrentExecutions"]))
			if err != nil {
				t.Fatalf("%s, %s: %v", name, f.ID, err)
			}
			sum += n * versions
		}
		if sum == 0 || sum*100 > limit*80 {
			t.Errorf("%s: the functions could use %d connections of %d", name, sum, limit)
		}
	}
}

// The audit log takes the event of every board's change.
func TestCataloguesFitIntoEvents(t *testing.T) {
	config, err := template.ReadConfig(filepath.Join(root, "samconfig.toml"), "local")
	if err != nil {
		t.Fatal(err)
	}
	for size, fits := range map[int]bool{score.MaxCatalogue: true, score.MaxCatalogue + 1: false} {
		params := maps.Clone(config.Parameters)
		params["CatalogueBytes"] = strconv.Itoa(size)
		_, err := template.Load(filepath.Join(root, "template.yaml"), template.Pseudo{StackName: config.StackName, Region: config.Region, AccountID: "000000000000"}, params)
		if refused := err != nil && strings.Contains(err.Error(), "CatalogueBytes"); refused == fits {
			t.Errorf("template.yaml allows a catalogue of %d bytes: %t (%v)", size, fits, err)
		}
	}
}

// The template refuses what the functions would.
func TestOutboxDaysAreEnoughForChecks(t *testing.T) {
	config, err := template.ReadConfig(filepath.Join(root, "samconfig.toml"), "local")
	if err != nil {
		t.Fatal(err)
	}
	for days := range 4 {
		params := maps.Clone(config.Parameters)
		params["OutboxDays"] = strconv.Itoa(days)
		_, err := template.Load(filepath.Join(root, "template.yaml"), template.Pseudo{StackName: config.StackName, Region: config.Region, AccountID: "000000000000"}, params)
		refused := err != nil && strings.Contains(err.Error(), "OutboxDays")
		if _, err := audit.KeepDays(days); (err != nil) != refused {
			t.Errorf("template.yaml refuses OutboxDays: %d: %t; the functions: %v", days, refused, err)
		}
	}
}

// The tokens in events/ are valid on a laptop only.
func TestSampleKeyIsLocal(t *testing.T) { testIsLocal(t, "SampleJwks", "s") }

// testIsLocal checks that a parameter is set in the stage local alone, and that the
// template refuses the value in the others.
func testIsLocal(t *testing.T, parameter, value string) {
	t.Helper()
	pseudo := template.Pseudo{StackName: "x", Region: "ap-northeast-2", AccountID: "000000000000"}
	for _, name := range []string{"local", "dev", "prod"} {
		config, err := template.ReadConfig(filepath.Join(root, "samconfig.toml"), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := config.Parameters[parameter] != ""; got != (name == "local") {
			t.Errorf("stage %s sets %s: %t", name, parameter, got)
		}
		if name == "local" {
			continue
		}
		params := map[string]string{"Stage": name, "AdminEmail": "ops@example.org", "AdminPassword": "0123456789", "SigningKey": "k", "NotifyKey": "0123456789abcdefghij", "Jwks": "j"}
		if _, err := template.Load(filepath.Join(root, "template.yaml"), pseudo, params); err != nil {
			t.Errorf("the template refuses the stage %s without %s: %v", name, parameter, err)
		}
		params[parameter] = value
		if _, err := template.Load(filepath.Join(root, "template.yaml"), pseudo, params); err == nil || !strings.Contains(err.Error(), parameter) {
			t.Errorf("the template allows %s in the stage %s: %v", parameter, name, err)
		}
	}
}

// An address that everybody knows is where an attacker would begin.
func TestFirstAdminsAddressIsTheDeployers(t *testing.T) {
	for name, want := range map[string]string{"local": "admin@example.com", "dev": "", "prod": ""} {
		config, err := template.ReadConfig(filepath.Join(root, "samconfig.toml"), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := config.Parameters["AdminEmail"]; got != want {
			t.Errorf("stage %s has the first admin %q, want %q", name, got, want)
		}
	}
	pseudo := template.Pseudo{StackName: "x", Region: "ap-northeast-2", AccountID: "000000000000"}
	for _, c := range []struct {
		stage, email string
		ok           bool
	}{
		{"prod", "ops@example.org", true}, {"dev", "Ops+plaudit@mail.example.org", true},
		{"prod", "", false}, {"prod", "-", false}, {"prod", "ops", false}, {"dev", "ops@localhost", false}, {"prod", "a b@example.org", false},
		{"prod", "admin@example.com", false}, {"dev", "admin@example.com", false},
	} {
		params := map[string]string{"Stage": c.stage, "AdminPassword": "0123456789", "SigningKey": "k", "NotifyKey": "0123456789abcdefghij", "Jwks": "j"}
		if c.email != "-" { // not set at all
			params["AdminEmail"] = c.email
		}
		_, err := template.Load(filepath.Join(root, "template.yaml"), pseudo, params)
		if c.ok && err != nil || !c.ok && (err == nil || !strings.Contains(err.Error(), "AdminEmail")) {
			t.Errorf("stage %s with the first admin %q: %v", c.stage, c.email, err)
		}
	}
}
