package template

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the folder of go.mod, where template.yaml and .local are.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above this test")
		}
		dir = filepath.Dir(dir)
	}
}

var testPseudo = Pseudo{StackName: "plaudit-local", Region: "ap-northeast-2", AccountID: "000000000000"}

// laptopParameters are those of the environment local and the secrets that
// the hook before the start makes.
func laptopParameters(t *testing.T) map[string]string {
	t.Helper()
	config, err := ReadConfig(filepath.Join(root(t), "samconfig.toml"), "local")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"AdminPassword", "SigningKey", "NotifyKey", "Jwks", "ScoresDbPassword", "UsersDbPassword"} {
		config.Parameters[name] = "a secret called " + name
	}
	return config.Parameters
}

func fakeAttribute(r Resource, name string) (any, error) {
	if name == "Endpoint.Port" {
		return 5432, nil
	}
	return fmt.Sprintf("<%s.%s>", r.ID, name), nil
}

func TestTheProductsTemplateResolvesForTheLaptop(t *testing.T) {
	loaded, err := Load(filepath.Join(root(t), "template.yaml"), testPseudo, laptopParameters(t))
	if err != nil {
		t.Fatal(err)
	}
	stack, err := loaded.Resolve(fakeAttribute)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := stack.Resource("HttpRedirectListener"); ok {
		t.Error("HttpRedirectListener is there, and there is no certificate")
	}
	seen := map[string]bool{}
	for _, r := range stack.Resources {
		for _, need := range r.DependsOn {
			if !seen[need] {
				t.Errorf("%s comes before %s, which it needs", r.ID, need)
			}
		}
		seen[r.ID] = true
		if strings.HasPrefix(r.Type, "AWS::Serverless::") {
			t.Errorf("%s is still of type %s", r.ID, r.Type)
		}
		if left := functionIn(r.Properties); left != "" {
			t.Errorf("%s has %s left in it", r.ID, left)
		}
	}

	var function struct {
		Name        string   `cfn:"FunctionName"`
		Memory      int      `cfn:"MemorySize"`
		Concurrency int      `cfn:"ReservedConcurrentExecutions"`
		Archs       []string `cfn:"Architectures"`
		Code        struct {
			Folder string `cfn:"CodeUri"`
		} `cfn:"Code"`
		Environment struct {
			Variables map[string]string `cfn:"Variables"`
		} `cfn:"Environment"`
		Logging struct {
			Application string `cfn:"ApplicationLogLevel"`
		} `cfn:"LoggingConfig"`
		Vpc struct {
			Groups []string `cfn:"SecurityGroupIds"`
		} `cfn:"VpcConfig"`
	}
	r, _ := stack.Resource("DbMigrateFunction")
	ignored := map[string]string{}
	for _, path := range []string{"Handler", "Runtime", "Role", "Description", "Timeout", "Tags", "TracingConfig", "LoggingConfig.LogFormat", "LoggingConfig.SystemLogLevel", "VpcConfig.SubnetIds"} {
		ignored[path] = "not looked at in this test"
	}
	if err := Decode(r, &function, ignored); err != nil {
		t.Fatal(err)
	}
	equal(t, function.Name, "plaudit-local-db-migrate")
	equal(t, function.Memory, 256)
	equal(t, function.Concurrency, 1)
	equal(t, function.Archs, []string{"x86_64"})
	equal(t, function.Code.Folder, "functions/db-migrate/")
	equal(t, function.Logging.Application, "DEBUG")
	equal(t, function.Vpc.Groups, []string{"<MigrateSecurityGroup.GroupId>"})
	equal(t, function.Environment.Variables, map[string]string{
		"AWS_ENDPOINT_URL": "", "DB_AUTH": "password", "SCORE_CONCURRENCY": "32", "OTHER_CONCURRENCY": "8",
		"SCORES_DSN":      "postgres://db_migrate@<ScoresDb.Endpoint.Address>:5432/scores?sslmode=disable",
		"USERS_DSN":       "postgres://db_migrate@<UsersDb.Endpoint.Address>:5432/users?sslmode=disable",
		"SCORES_PASSWORD": "a secret called ScoresDbPassword", "USERS_PASSWORD": "a secret called UsersDbPassword",
	})
	equal(t, r.Metadata, map[string]any{"BuildMethod": "makefile", "WorkingDirectory": ".", "ContextPath": "tools/sam/x86_64"})
	listener, _ := stack.Resource("Listener")
	equal(t, listener.Properties, map[string]any{
		"LoadBalancerArn": "<LoadBalancer.Ref>", "Port": 80, "Protocol": "HTTP",
		"DefaultActions": []any{map[string]any{"Type": "forward", "TargetGroupArn": "<UsersTargetGroup.Ref>"}},
	})
	equal(t, stack.Outputs[0], Output{Key: "Url", Value: "http://<LoadBalancer.DNSName>", Description: "URL of the API"})
}

func TestTheProductsTemplateLoadsForEveryStage(t *testing.T) {
	for _, stage := range []string{"dev", "prod"} {
		config, err := ReadConfig(filepath.Join(root(t), "samconfig.toml"), stage)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"AdminPassword", "SigningKey", "NotifyKey", "Jwks"} {
			config.Parameters[name] = "a secret called " + name
		}
		config.Parameters["AdminEmail"] = "ops@example.org"
		config.Parameters["CertificateArn"] = "arn:aws:acm:ap-northeast-2:000000000000:certificate/0a"
		// `sam deploy` takes what `sam build` made for the stage's processor, and
		// not what a bare `sam build` made for a laptop.
		equal(t, config.Template, filepath.Join(root(t), ".aws-sam", stage, "template.yaml"))
		loaded, err := Load(filepath.Join(root(t), "template.yaml"), Pseudo{config.StackName, config.Region, "000000000000"}, config.Parameters)
		if err != nil {
			t.Fatal(err)
		}
		stack, err := loaded.Resolve(fakeAttribute)
		if err != nil {
			t.Fatal(err)
		}
		listener, _ := stack.Resource("Listener")
		equal(t, listener.Properties["Protocol"], any("HTTPS"))
		if _, ok := stack.Resource("HttpRedirectListener"); !ok {
			t.Error("HttpRedirectListener is missing, and there is a certificate")
		}
	}
}

// functionIn finds what looks like an unresolved function.
func functionIn(v any) string {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if key == "Ref" || strings.HasPrefix(key, "Fn::") {
				return key
			}
			if found := functionIn(value); found != "" {
				return found
			}
		}
	case []any:
		for _, value := range v {
			if found := functionIn(value); found != "" {
				return found
			}
		}
	}
	return ""
}
