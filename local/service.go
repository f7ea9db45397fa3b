package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"plaudit/local/ecs"
	"plaudit/local/part"
	"plaudit/local/secretsmanager"
	"plaudit/local/template"
)

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

func (p *plan) addService(stack *template.Stack, n names, r template.Resource) error {
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
	task, ok := find(stack, n, "AWS::ECS::TaskDefinition", "Ref", in.TaskDefinition)
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
	s := service{
		pkg:     "./services/" + c.Name,
		secrets: map[string]string{},
		config:  ecs.Config{Name: n.text(r, "Name"), Env: map[string]string{}, DesiredCount: 1, StopTimeout: seconds(c.StopTimeout)},
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
		s.config.HealthCheck = &ecs.HealthCheck{
			Command: h.Command, Interval: seconds(h.Interval), Timeout: seconds(h.Timeout), StartPeriod: seconds(h.StartPeriod), Retries: h.Retries,
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
		s.groups = append(s.groups, b.TargetGroupARN)
	}
	p.services = append(p.services, s)
	return nil
}

// environment returns a task's variables: its definition's, and the address of
// the AWS endpoint. The region is not among them, because ECS on EC2 sets none.
func (s service) environment(endpoint string, secrets *secretsmanager.Service) (map[string]string, error) {
	env := part.AWSEnvironment(endpoint)
	maps.Copy(env, s.config.Env)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.secrets)) {
		value, err := resolveSecret(secrets, s.secrets[name])
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
