package rds

import (
	"strings"
	"testing"

	"plaudit/local/part"
	"plaudit/local/part/parttest"
	"plaudit/local/secretsmanager"
	"plaudit/local/template"
)

const things = `
  Parameters:
    Type: AWS::RDS::DBParameterGroup
    Properties: { Family: postgres17, Parameters: { max_connections: "31" } }
  Db:
    Type: AWS::RDS::DBInstance
    Properties:
      DBName: things
      Engine: postgres
      DBParameterGroupName: !Ref Parameters
      MasterUsername: chief
      ManageMasterUserPassword: true
  Other:
    Type: AWS::RDS::DBInstance
    Properties: { DBName: others, Engine: postgres, MasterUsername: chief, MasterUserPassword: secret }
`

func read(t *testing.T, resources string) (*Part, *template.Stack, error) {
	t.Helper()
	l := parttest.Laptop()
	secrets := secretsmanager.New(l.Names)
	p := NewPart(l, secrets, "")
	stack, err := parttest.Read(t, part.List{p, secrets}, resources)
	return p, stack, err
}

func TestReadInstances(t *testing.T) {
	p, stack, err := read(t, things)
	if err != nil {
		t.Fatal(err)
	}
	other, db := p.planned[0], p.planned[1] // in the order of their dependencies
	if len(p.planned) != 2 || db.name != "things" || db.parameters["max_connections"] != "31" || db.user != "chief" || db.password != "" ||
		other.secretName != "" || other.password != "secret" || other.port == db.port {
		t.Errorf("databases %+v", p.planned)
	}
	r, _ := stack.Resource("Db")
	if got := p.Values(r); got["Endpoint.Address"] != "127.0.0.1" || got["MasterUserSecret.SecretArn"] != p.secrets.ARN(db.secretName) {
		t.Errorf("values %v", got)
	}
	if got := p.ValuesOn("host.docker.internal", r); got["Endpoint.Address"] != "host.docker.internal" || got["Endpoint.Port"] != p.Values(r)["Endpoint.Port"] {
		t.Errorf("values for containers %v", got)
	}
}

func TestInstanceThatCannotRun(t *testing.T) {
	for _, test := range []struct{ old, new, want string }{
		{"Engine: postgres\n", "Engine: mysql\n", "Db: Engine"},
		{"DBName: others", "DBName: things", "two instances have a database things"},
		{"DBParameterGroupName: !Ref Parameters", "DBParameterGroupName: other", "the stack has no group other"},
		{"ManageMasterUserPassword: true", "ManageMasterUserPassword: false", "set either"},
		{"max_connections: \"31\"", "max_connections: []", "Parameters"},
	} {
		if !strings.Contains(things, test.old) {
			t.Fatalf("no %q", test.old)
		}
		if _, _, err := read(t, strings.Replace(things, test.old, test.new, 1)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.new, err)
		}
	}
}
