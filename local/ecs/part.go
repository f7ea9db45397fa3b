package ecs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"plaudit/local/elb"
	"plaudit/local/part"
	"plaudit/local/secretsmanager"
	"plaudit/local/template"
)

// Part is the part of a stack's ECS services and their task definitions. A
// cluster has no effect on a laptop.
type Part struct {
	laptop   part.Laptop
	secrets  *secretsmanager.Service
	balancer *elb.Part

	tasks    map[string]template.Resource // by Ref
	services []template.Resource
	planned  []planned
	running  []*Service // the first of planned, or all
}

// planned is a service of the template.
type planned struct {
	pkg     string // Go package, ./services/users
	config  Config
	secrets map[string]string // variable → secret's name, ARN or ARN:key::
	groups  []*elb.TargetGroup
}

// NewPart returns the part. Its tasks use secrets, and are targets of the load
// balancer.
func NewPart(l part.Laptop, secrets *secretsmanager.Service, balancer *elb.Part) *Part {
	return &Part{laptop: l, secrets: secrets, balancer: balancer, tasks: map[string]template.Resource{}}
}

const (
	taskType    = "AWS::ECS::TaskDefinition"
	serviceType = "AWS::ECS::Service"
)

// Types implements part.Part.
func (p *Part) Types() []string { return []string{taskType, serviceType} }

// Values implements part.Part.
func (p *Part) Values(r template.Resource) map[string]any {
	n := p.laptop.Names
	if r.Type == taskType {
		arn := n.ARN("ecs", "task-definition/"+n.Name(r, "Family")+":1")
		return map[string]any{"Ref": arn, "TaskDefinitionArn": arn}
	}
	cluster, _ := r.Properties["Cluster"].(string)
	if cluster == "" {
		cluster = "default"
	}
	name := n.Name(r, "ServiceName")
	arn := n.ARN("ecs", "service/"+cluster+"/"+name)
	return map[string]any{"Ref": arn, "ServiceArn": arn, "Name": name}
}

// ignored are properties without effect on a laptop, by type, with the reason.
var ignored = map[string]map[string]string{
	taskType: {
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
	serviceType: {
		"Cluster": "one machine", "LaunchType": "a task is a process of this machine", "CapacityProviderStrategy": "a task is a process of this machine",
		"PlacementStrategies": "one machine", "NetworkConfiguration": part.NoNetwork, "Tags": "nothing reads them", "PropagateTags": "nothing reads them",
		"HealthCheckGracePeriodSeconds": "the container's StartPeriod covers it", "DeploymentConfiguration": "nothing is deployed while it runs",
		"AvailabilityZoneRebalancing": "one machine", "EnableECSManagedTags": "nothing reads them",
	},
}

func decode(r template.Resource, out any) error { return template.Decode(r, out, ignored[r.Type]) }

// Read implements part.Part.
func (p *Part) Read(r template.Resource) error {
	if r.Type == taskType {
		p.tasks[p.Values(r)["Ref"].(string)] = r
	} else {
		p.services = append(p.services, r)
	}
	return nil
}

// Link implements part.Linker.
func (p *Part) Link(*template.Stack) error {
	var errs []error
	for _, r := range p.services {
		if err := p.addService(r); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

type taskDefinition struct {
	Containers []container `cfn:"ContainerDefinitions,required"`
}

type container struct {
	Name         string `cfn:"Name,required"`
	StopTimeout  int    `cfn:"StopTimeout"`
	PortMappings []struct {
		ContainerPort int    `cfn:"ContainerPort,required"`
		Protocol      string `cfn:"Protocol"`
	} `cfn:"PortMappings"`
	HealthCheck *struct {
		Command     []string `cfn:"Command,required"`
		Interval    int      `cfn:"Interval"`
		Timeout     int      `cfn:"Timeout"`
		StartPeriod int      `cfn:"StartPeriod"`
		Retries     int      `cfn:"Retries"`
	} `cfn:"HealthCheck"`
	Environment []struct {
		Name  string `cfn:"Name,required"`
		Value string `cfn:"Value"`
	} `cfn:"Environment"`
	Secrets []struct {
		Name      string `cfn:"Name,required"`
		ValueFrom string `cfn:"ValueFrom,required"`
	} `cfn:"Secrets"`
}

func (p *Part) addService(r template.Resource) error {
	var in struct {
		ServiceName    string `cfn:"ServiceName"`
		TaskDefinition string `cfn:"TaskDefinition,required"`
		DesiredCount   *int   `cfn:"DesiredCount"`
		LoadBalancers  []struct {
			ContainerName  string `cfn:"ContainerName,required"`
			ContainerPort  int    `cfn:"ContainerPort,required"`
			TargetGroupARN string `cfn:"TargetGroupArn,required"`
		} `cfn:"LoadBalancers"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	task, ok := p.tasks[in.TaskDefinition]
	if !ok {
		return fmt.Errorf("%s: TaskDefinition: the stack has no task definition %s", r.ID, in.TaskDefinition)
	}
	var definition taskDefinition
	if err := decode(task, &definition); err != nil {
		return err
	}
	if len(definition.Containers) != 1 {
		return fmt.Errorf("%s: ContainerDefinitions: the laptop cloud runs one container a task, not %d", task.ID, len(definition.Containers))
	}
	c := definition.Containers[0]
	s := planned{
		pkg:     "./services/" + c.Name,
		secrets: map[string]string{},
		config:  Config{Name: p.Values(r)["Name"].(string), Env: map[string]string{}, DesiredCount: 1, StopTimeout: part.Seconds(c.StopTimeout)},
	}
	if in.DesiredCount != nil {
		s.config.DesiredCount = *in.DesiredCount
	}
	if len(c.PortMappings) > 1 {
		return fmt.Errorf("%s: PortMappings: the laptop cloud knows one port a container", task.ID)
	}
	for _, m := range c.PortMappings {
		if m.Protocol != "" && m.Protocol != "tcp" {
			return fmt.Errorf("%s: PortMappings: the laptop cloud knows tcp, not %s", task.ID, m.Protocol)
		}
		s.config.Port = m.ContainerPort
	}
	if h := c.HealthCheck; h != nil {
		s.config.HealthCheck = &HealthCheck{
			Command: h.Command, Interval: part.Seconds(h.Interval), Timeout: part.Seconds(h.Timeout), StartPeriod: part.Seconds(h.StartPeriod), Retries: h.Retries,
		}
	}
	for _, e := range c.Environment {
		s.config.Env[e.Name] = e.Value
	}
	for _, e := range c.Secrets {
		s.secrets[e.Name] = e.ValueFrom
	}
	for _, b := range in.LoadBalancers {
		if b.ContainerName != c.Name || b.ContainerPort != s.config.Port {
			return fmt.Errorf("%s: LoadBalancers: the task has no container %s with port %d", r.ID, b.ContainerName, b.ContainerPort)
		}
		group, ok := p.balancer.Group(b.TargetGroupARN)
		if !ok {
			return fmt.Errorf("ECS service %s: the stack has no target group %s", s.config.Name, b.TargetGroupARN)
		}
		s.groups = append(s.groups, group)
		s.config.Targets = append(s.config.Targets, group)
	}
	p.planned = append(p.planned, s)
	return nil
}

// Programs implements part.ProgramRunner.
func (p *Part) Programs() (kind string, packages []string) {
	for _, s := range p.planned {
		packages = append(packages, s.pkg)
	}
	return "services", packages
}

// Start implements part.Part. It does not wait for the tasks' health: Await does.
func (p *Part) Start(context.Context) error {
	for _, s := range p.planned {
		env, err := p.environment(s)
		if err != nil {
			return err
		}
		config := s.config
		config.Binary = p.laptop.Program(s.pkg)
		config.Dir = filepath.Join(p.laptop.Folder, "services", config.Name)
		if err := os.MkdirAll(config.Dir, 0o755); err != nil {
			return err
		}
		config.Env = env
		config.Log = p.laptop.Log
		config.Output = p.laptop.JSONLog(config.Name)
		config.Changed = func(pid int) {
			err := p.laptop.ChangeRun(func(r *part.Run) {
				delete(r.PIDs, config.Name)
				if pid != 0 {
					r.PIDs[config.Name] = pid
				}
			})
			if err != nil {
				p.laptop.Log.Error("run.json is not up to date", "error", err)
			}
		}
		running, err := Start(p.laptop.Group, config)
		if err != nil {
			return err
		}
		p.running = append(p.running, running)
	}
	return nil
}

// environment returns a task's variables: its definition's, and the address of
// the AWS endpoint. The region is not among them, because ECS on EC2 sets none.
func (p *Part) environment(s planned) (map[string]string, error) {
	env := part.AWSEnvironment(p.laptop.Endpoint)
	maps.Copy(env, s.config.Env)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.secrets)) {
		value, err := resolveSecret(p.secrets, s.secrets[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("secret %s of ECS service %s: %w", name, s.config.Name, err))
		}
		env[name] = value
	}
	return env, errors.Join(errs...)
}

// resolveSecret returns the value that a ValueFrom refers to: a secret's ARN or
// name, or ARN:json-key:version-stage:version-id.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
func resolveSecret(secrets *secretsmanager.Service, from string) (string, error) {
	if value, ok := secrets.Value(from); ok {
		return value, nil
	}
	// arn:aws:secretsmanager:region:account:secret:name has seven parts.
	parts := strings.Split(from, ":")
	if len(parts) != 10 {
		return "", fmt.Errorf("the secret %s does not exist", from)
	}
	key, stage, version := parts[7], parts[8], parts[9]
	value, ok := secrets.Value(strings.Join(parts[:7], ":"))
	if !ok {
		return "", fmt.Errorf("the secret %s does not exist", from)
	}
	if stage != "" && stage != "AWSCURRENT" || version != "" {
		return "", fmt.Errorf("%s: a secret has only its current version on the laptop", from)
	}
	if key == "" {
		return value, nil
	}
	var object map[string]any
	if json.Unmarshal([]byte(value), &object) != nil {
		return "", fmt.Errorf("%s: the secret is not a JSON object", from)
	}
	text, ok := object[key].(string)
	if !ok {
		return "", fmt.Errorf("%s: the secret has no text %s", from, key)
	}
	return text, nil
}

// Await implements part.Awaited: it returns once every task answers the health
// check of its target groups.
func (p *Part) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("it does not answer its target group's health check within a minute"))
	defer cancel()
	for _, s := range p.planned {
		if s.config.DesiredCount == 0 {
			continue
		}
		began := time.Now()
		for _, group := range s.groups {
			url := fmt.Sprintf("http://127.0.0.1:%d%s", s.config.Port, group.HealthPath())
			if err := awaitOK(ctx, url); err != nil {
				return fmt.Errorf("ECS service %s, %s: %w", s.config.Name, group.HealthPath(), err)
			}
		}
		p.laptop.Started(s.config.Name+" service", fmt.Sprintf("127.0.0.1:%d", s.config.Port), time.Since(began))
	}
	return nil
}

func awaitOK(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 2 * time.Second}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Replace implements part.ProgramRunner.
func (p *Part) Replace(pkg string) {
	for i, running := range p.running {
		if p.planned[i].pkg == pkg {
			running.Restart()
		}
	}
}

// API implements part.Part.
func (p *Part) API() (string, http.Handler) { return "", nil }

// Stop implements part.Part.
func (p *Part) Stop() {
	for _, running := range slices.Backward(p.running) {
		running.Stop()
	}
}
