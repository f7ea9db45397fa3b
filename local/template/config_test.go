package template

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "samconfig.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadConfig(t *testing.T) {
	path := writeConfig(t, `
version = 0.1
[a.global.parameters]
stack_name = "from-global"
region = "eu-west-1"
template_file = "other.yaml"
[a.build.parameters]
cached = false
region = "us-east-1"
[a.deploy.parameters]
stack_name = "from-deploy"
capabilities = "CAPABILITY_IAM"
parameter_overrides = ["A=1", "B='two words' C=3"]
[a.laptop.parameters]
before = ["one", "two"]
after = ["three"]
ports = ["P"]
[b.global.parameters]
stack_name = "b"
region = "eu-west-1"
parameter_overrides = "ParameterKey=A,ParameterValue=1 ParameterKey=B,ParameterValue=\"two words\""
`)
	got, err := ReadConfig(path, "a")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, Config{
		Template: filepath.Join(filepath.Dir(path), "other.yaml"), StackName: "from-deploy", Region: "eu-west-1",
		Parameters: map[string]string{"A": "1", "B": "two words", "C": "3"},
		Before:     []string{"one", "two"}, After: []string{"three"}, Ports: []string{"P"},
	})
	got, err = ReadConfig(path, "b")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, Config{
		Template: filepath.Join(filepath.Dir(path), "template.yaml"), StackName: "b", Region: "eu-west-1",
		Parameters: map[string]string{"A": "1", "B": "two words"},
	})
}

func TestTheProductsConfigHasTheLaptopsHooks(t *testing.T) {
	config, err := ReadConfig(filepath.Join(root(t), "samconfig.toml"), "local")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, config.StackName, "plaudit-local")
	equal(t, config.Template, filepath.Join(root(t), "template.yaml"))
	equal(t, config.Parameters["Stage"], "local")
	if len(config.Before) == 0 || len(config.After) == 0 || len(config.Ports) == 0 {
		t.Errorf("hooks or ports are missing: %+v", config)
	}
}

func TestAWrongConfigIsAnError(t *testing.T) {
	const good = "version = 0.1\n[a.global.parameters]\nstack_name = 's'\nregion = 'eu-west-1'\n"
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"no TOML", "a = ", []string{"line 1"}},
		{"no version", "[a.global.parameters]\n", []string{"version = 0.1"}},
		{"another version", "version = 1\n[a.global.parameters]\n", []string{"version = 0.1"}},
		{"no such environment", "version = 0.1\n[b.x.parameters]\n[c.x.parameters]\n", []string{`the environment "a" does not exist`, "b, c"}},
		{"an environment that is text", "version = 0.1\na = 'b'\n", []string{"[a] wants a table"}},
		{"no name and no region", "version = 0.1\n[a.deploy.parameters]\n", []string{"stack_name is missing", "region is missing"}},
		{"a name that is a number", "version = 0.1\n[a.global.parameters]\nstack_name = 5\nregion = 'x'\n", []string{"stack_name of the environment a wants text"}},
		{"parameters that are text", "version = 0.1\n[a.deploy]\nparameters = 'x'\n", []string{"[a.deploy.parameters] wants a table"}},
		{"an unknown key of the laptop", good + "[a.laptop.parameters]\nbefor = ['x']\n", []string{"[a.laptop.parameters] has no key befor"}},
		{"another table of the laptop", good + "[a.laptop.options]\nx = 1\n", []string{"[a.laptop] has no key options"}},
		{"a hook that is text", good + "[a.laptop.parameters]\nbefore = 'x y'\n", []string{"before wants a list"}},
		{"a hook with a number", good + "[a.laptop.parameters]\nafter = ['x', 5]\n", []string{"after wants a list"}},
		{"laptop parameters that are text", good + "[a.laptop]\nparameters = 'x'\n", []string{"[a.laptop.parameters] wants a table"}},
		{"overrides that are a number", good + "[a.deploy.parameters]\nparameter_overrides = 5\n", []string{"parameter_overrides", "a text or a list"}},
		{"an override that is a number", good + "[a.deploy.parameters]\nparameter_overrides = ['A=b', 5]\n", []string{"item 1"}},
		{"an override without a value", good + "[a.deploy.parameters]\nparameter_overrides = ['A=b', 'B=']\n", []string{"Key=''"}},
		{"an override that sam would cut", good + "[a.deploy.parameters]\nparameter_overrides = 'A=b C={\"d\":1}'\n", []string{"the text after A"}},
		{"words after a value", good + "[a.deploy.parameters]\nparameter_overrides = ['A=b c']\n", []string{"the text after A"}},
		{"an open quote", good + "[a.deploy.parameters]\nparameter_overrides = \"A='b c\"\n", []string{"parameter_overrides"}},
		{"both forms", good + "[a.deploy.parameters]\nparameter_overrides = 'A=b ParameterKey=C,ParameterValue=d'\n", []string{"the text after A"}},
		{"a key twice", good + "[a.deploy.parameters]\nparameter_overrides = ['A=b', 'A=c']\n", []string{"A appears more than once"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := writeConfig(t, c.text)
			_, err := ReadConfig(path, "a")
			mention(t, err, append(c.want, path)...)
		})
	}
	_, err := ReadConfig("nowhere/samconfig.toml", "a")
	mention(t, err, "nowhere/samconfig.toml")
}

func TestOverridesAreReadAsSamReadsThem(t *testing.T) {
	values := []any{
		"A=b",
		"A=b C='d e' F=\"g h\"",
		"A=''",
		`A=b\ c D=e`,
		`A='{"keys":[{"kty":"RSA"}]}'`,
		`A="{\"k\":1}"`,
		`A='it\'s'`,
		"A=d'e",
		"A=b=c,d",
		"ParameterKey=A,ParameterValue=b ParameterKey=C,ParameterValue='d e'",
		[]any{"A=b", "C='d e' F=g"},
		[]any{"ParameterKey=A,ParameterValue=b", "C=d"},
	}
	given, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(root(t), ".local/venv/bin/python")
	data, err := exec.CommandContext(t.Context(), python, "testdata/overrides.py", string(given)).Output()
	if err != nil {
		t.Fatalf("the AWS SAM CLI is not installed; run `make tools` (%v)", err)
	}
	var want []map[string]string
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	for i, value := range values {
		got, err := readOverrides(value)
		if err != nil {
			t.Errorf("%v: %v", value, err)
			continue
		}
		equal(t, got, want[i])
	}
}
