package main

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"plaudit/local/ecs"
	"plaudit/local/elb"
	"plaudit/local/lambda"
	"plaudit/local/part"
	"plaudit/local/template"
)

// plan is what the laptop cloud is to run for a stack, besides what its parts
// have read. Making it starts nothing.
type plan struct {
	databases []database
	functions []function
	services  []service
	balancer  *elb.Config                 // nil: the stack has none
	groups    map[string]*elb.TargetGroup // by ARN
	invokes   map[string]string           // target group's ARN → function's ARN
}

type database struct {
	id, name       string // logical id; of the database and the cluster
	port           int
	user, password string // password is "" if RDS manages it
	parameters     map[string]string
	secretName     string // of the password that RDS manages; "" if it does not
	wanted         string // EngineVersion
}

type function struct {
	id     string // logical id
	pkg    string // Go package, ./functions/score-add
	config lambda.Config
}

type service struct {
	pkg     string // Go package, ./services/users
	config  ecs.Config
	secrets map[string]string // variable → secret's name, ARN or ARN:key::
	groups  []string          // ARNs of its target groups
}

// ignored are properties without effect on a laptop, by type, with the reason.
var ignored = map[string]map[string]string{
	"AWS::RDS::DBInstance": {
		"AllocatedStorage": "the disk is this machine's", "MaxAllocatedStorage": "the disk is this machine's",
		"StorageType": "the disk is this machine's", "StorageEncrypted": "the disk is this machine's",
		"DBInstanceClass": "the processor is this machine's", "DBInstanceIdentifier": "only a name",
		"MultiAZ": part.NoNetwork, "PubliclyAccessible": part.NoNetwork, "DBSubnetGroupName": part.NoNetwork, "VPCSecurityGroups": part.NoNetwork,
		"AvailabilityZone": part.NoNetwork, "Port": "a free port of this machine takes its place",
		"EnableIAMDatabaseAuthentication": "logins have passwords: DbAuth is password",
		"BackupRetentionPeriod":           "no backups are made", "PreferredBackupWindow": "no backups are made",
		"CopyTagsToSnapshot": "no backups are made", "DeletionProtection": "`make clean` deletes it",
		"AutoMinorVersionUpgrade": "the installed version runs", "PreferredMaintenanceWindow": "the installed version runs",
		"EnableCloudwatchLogsExports": "its log is in .local", "EnablePerformanceInsights": "not monitored",
		"MonitoringInterval": "not monitored", "MonitoringRoleArn": part.NoIAM, "CACertificateIdentifier": "it speaks no TLS on 127.0.0.1",
		"Tags": "nothing reads them",
	},
	"AWS::RDS::DBParameterGroup": {
		"Description": "only a text", "Family": "the installed version runs", "DBParameterGroupName": "only a name", "Tags": "nothing reads them",
	},
	"AWS::Lambda::Function": {
		"FunctionName": "part of its ARN", "Description": "only a text", "Role": part.NoIAM, "VpcConfig": part.NoNetwork,
		"Architectures": "built for this machine", "Tags": "nothing reads them", "TracingConfig": "no X-Ray on a laptop; trace ids are passed on",
		"LoggingConfig.SystemLogLevel": "the laptop cloud has a log level of its own", "LoggingConfig.LogGroup": "logs go to the terminal and to .local/laptop.log",
		"EphemeralStorage": "/tmp is this machine's",
	},
	"AWS::ECS::TaskDefinition": {
		"Family": "only a name", "NetworkMode": part.NoNetwork, "RequiresCompatibilities": "a task is a process of this machine",
		"RuntimePlatform": "built for this machine", "TaskRoleArn": part.NoIAM, "ExecutionRoleArn": part.NoIAM,
		"Cpu": "not limited", "Memory": "not limited", "Tags": "nothing reads them",
		"ContainerDefinitions.Image":                  "built from its Go source",
		"ContainerDefinitions.Essential":              "the only container",
		"ContainerDefinitions.Cpu":                    "not limited",
		"ContainerDefinitions.Memory":                 "not limited",
		"ContainerDefinitions.MemoryReservation":      "not limited",
		"ContainerDefinitions.ReadonlyRootFilesystem": "no file system of its own",
		"ContainerDefinitions.User":                   "runs as the user who starts the laptop cloud",
		"ContainerDefinitions.LogConfiguration":       "logs go to the terminal and to .local/laptop.log",
		"ContainerDefinitions.PortMappings.HostPort":  "always the container's port",
		"ContainerDefinitions.PortMappings.Name":      "only a name",
	},
	"AWS::ECS::Service": {
		"Cluster": "one machine", "LaunchType": "a task is a process of this machine", "CapacityProviderStrategy": "a task is a process of this machine",
		"PlacementStrategies": "one machine", "NetworkConfiguration": part.NoNetwork, "Tags": "nothing reads them", "PropagateTags": "nothing reads them",
		"HealthCheckGracePeriodSeconds": "the container's StartPeriod covers it", "DeploymentConfiguration": "nothing is deployed while it runs",
		"AvailabilityZoneRebalancing": "one machine", "EnableECSManagedTags": "nothing reads them",
	},
	"AWS::Lambda::Permission": {"SourceAccount": "a laptop has one account"},
	"AWS::ElasticLoadBalancingV2::LoadBalancer": {
		"Name": "part of its ARN", "Scheme": part.NoNetwork, "Subnets": part.NoNetwork, "SecurityGroups": part.NoNetwork, "IpAddressType": part.NoNetwork, "Tags": "nothing reads them",
	},
	"AWS::ElasticLoadBalancingV2::Listener": {"SslPolicy": "no TLS on a laptop"},
	"AWS::ElasticLoadBalancingV2::TargetGroup": {
		"Name": "part of its ARN", "VpcId": part.NoNetwork, "Port": "the port of a registered target counts", "IpAddressType": part.NoNetwork, "Tags": "nothing reads them",
		"HealthCheckProtocol": "checked where the target listens",
	},
}

func decode(r template.Resource, out any) error { return template.Decode(r, out, ignored[r.Type]) }

// makePlan reads every resource, also into the parts, and reports everything
// that is wrong at once.
func makePlan(stack *template.Stack, n names) (*plan, error) {
	p := &plan{groups: map[string]*elb.TargetGroup{}, invokes: map[string]string{}}
	var errs []error
	for _, r := range stack.Resources {
		var err error
		switch r.Type {
		case "AWS::RDS::DBInstance":
			err = p.addDatabase(stack, n, r)
		case "AWS::RDS::DBParameterGroup":
			_, err = readParameterGroup(r)
		case "AWS::Lambda::Function":
			err = p.addFunction(n, r)
		case "AWS::ECS::Service":
			err = p.addService(stack, n, r)
		default:
			if one, ok := n.parts.byType[r.Type]; ok {
				err = one.Read(r)
			}
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	for _, one := range n.parts.all {
		if linker, ok := one.(part.Linker); ok {
			if err := linker.Link(stack); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if err := p.addBalancer(stack, n); err != nil {
		errs = append(errs, err)
	}
	return p, errors.Join(errs...)
}

type dbParameterGroup struct {
	Parameters map[string]string `cfn:"Parameters"`
}

func readParameterGroup(r template.Resource) (map[string]string, error) {
	var group dbParameterGroup
	err := decode(r, &group)
	return group.Parameters, err
}

func (p *plan) addDatabase(stack *template.Stack, n names, r template.Resource) error {
	var in struct {
		DBName               string `cfn:"DBName,required"`
		Engine               string `cfn:"Engine,required"`
		EngineVersion        string `cfn:"EngineVersion"`
		DBParameterGroupName string `cfn:"DBParameterGroupName"`
		MasterUsername       string `cfn:"MasterUsername,required"`
		MasterUserPassword   string `cfn:"MasterUserPassword"`
		ManageMasterUser     bool   `cfn:"ManageMasterUserPassword"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	if in.Engine != "postgres" {
		return fmt.Errorf("%s: Engine: the laptop cloud runs postgres, not %s", r.ID, in.Engine)
	}
	if in.ManageMasterUser == (in.MasterUserPassword != "") {
		return fmt.Errorf("%s: set either ManageMasterUserPassword or MasterUserPassword", r.ID)
	}
	if slices.ContainsFunc(p.databases, func(d database) bool { return d.name == in.DBName }) {
		return fmt.Errorf("%s: DBName: two instances have a database %s; on a laptop each needs a name of its own", r.ID, in.DBName)
	}
	d := database{
		id: r.ID, name: in.DBName, port: n.databasePorts[r.ID], wanted: in.EngineVersion,
		user: in.MasterUsername, password: in.MasterUserPassword,
	}
	if in.ManageMasterUser {
		d.secretName = n.masterSecretName(r)
	}
	if in.DBParameterGroupName != "" {
		group, ok := find(stack, n, "AWS::RDS::DBParameterGroup", "Ref", in.DBParameterGroupName)
		if !ok {
			return fmt.Errorf("%s: DBParameterGroupName: the stack has no group %s", r.ID, in.DBParameterGroupName)
		}
		var err error
		if d.parameters, err = readParameterGroup(group); err != nil {
			return nil // reported for the group itself
		}
	}
	p.databases = append(p.databases, d)
	return nil
}

func (p *plan) addFunction(n names, r template.Resource) error {
	var in struct {
		Code struct {
			CodeURI string `cfn:"CodeUri,required"`
		} `cfn:"Code,required"`
		Handler     string `cfn:"Handler"`
		Runtime     string `cfn:"Runtime,required"`
		MemorySize  int    `cfn:"MemorySize"`
		Timeout     int    `cfn:"Timeout"`
		Concurrency *int   `cfn:"ReservedConcurrentExecutions"`
		Environment struct {
			Variables map[string]string `cfn:"Variables"`
		} `cfn:"Environment"`
		Logging struct {
			LogFormat           string `cfn:"LogFormat"`
			ApplicationLogLevel string `cfn:"ApplicationLogLevel"`
		} `cfn:"LoggingConfig"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	if in.Runtime != "provided.al2023" && in.Runtime != "provided.al2" {
		return fmt.Errorf("%s: Runtime: the laptop cloud runs Go programs for provided.al2023, not %s", r.ID, in.Runtime)
	}
	folder := path.Clean(strings.TrimPrefix(in.Code.CodeURI, "./"))
	if !filepath.IsLocal(folder) || folder == "." {
		return fmt.Errorf("%s: CodeUri: %s is not a folder below the template", r.ID, in.Code.CodeURI)
	}
	f := function{id: r.ID, pkg: "./" + folder, config: lambda.Config{
		Name: n.text(r, "Ref"), ARN: n.text(r, "Arn"), Region: n.Region, Handler: in.Handler,
		Env: in.Environment.Variables, Timeout: seconds(in.Timeout), MemoryMB: in.MemorySize,
		LogFormat: in.Logging.LogFormat, LogLevel: in.Logging.ApplicationLogLevel,
	}}
	if in.Concurrency != nil {
		if *in.Concurrency < 1 {
			return fmt.Errorf("%s: ReservedConcurrentExecutions: %d would throttle every invocation; it must be at least 1", r.ID, *in.Concurrency)
		}
		f.config.Concurrency = *in.Concurrency
	}
	p.functions = append(p.functions, f)
	return nil
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// find returns the resource of a type whose attribute has a value.
func find(stack *template.Stack, n names, kind, attribute, value string) (template.Resource, bool) {
	for _, r := range stack.Resources {
		if r.Type == kind && n.text(r, attribute) == value {
			return r, true
		}
	}
	return template.Resource{}, false
}
