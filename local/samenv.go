package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"plaudit/local/part"
	"plaudit/local/template"
)

// samEnvFileName is the file for `sam local invoke --env-vars`: variables by
// function, which override the template's. It exists while everything runs.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-using-invoke.html
const samEnvFileName = "sam-env.json"

// samEnvironment returns the functions' variables for containers, by logical id:
// the stack is resolved again, with containerHost as the databases' host.
func (c *cloud) samEnvironment(loaded *template.Template) (map[string]map[string]string, error) {
	inside := c.names
	inside.host = containerHost
	stack, err := loaded.Resolve(inside.attribute)
	if err != nil {
		return nil, err
	}
	p := &plan{}
	for _, r := range stack.Resources {
		if r.Type != "AWS::Lambda::Function" {
			continue
		}
		if err := p.addFunction(inside, r); err != nil {
			return nil, err
		}
	}
	out := map[string]map[string]string{}
	for _, f := range p.functions {
		variables := maps.Clone(f.config.Env)
		// sam overrides only variables that the template declares.
		if value, ok := variables[part.EndpointVariable]; ok && value == "" {
			variables[part.EndpointVariable] = fmt.Sprintf("http://%s:%d", containerHost, c.awsHeld)
		}
		out[f.id] = variables
	}
	return out, nil
}

// writeSAMEnvironment writes the file, which holds passwords.
func (c *cloud) writeSAMEnvironment() error {
	text, err := json.MarshalIndent(c.samEnv, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(c.samEnvFile(), append(text, '\n'))
}

func (c *cloud) removeSAMEnvironment() error {
	if err := os.Remove(c.samEnvFile()); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

func (c *cloud) samEnvFile() string { return filepath.Join(c.folder, samEnvFileName) }
