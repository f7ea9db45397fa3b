package main

import (
	"encoding/json"
	"fmt"
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
// the stack is resolved again, with containerHost as the host of what listens on
// this machine.
func (c *cloud) samEnvironment(loaded *template.Template) (map[string]map[string]string, error) {
	stack, err := c.parts.all().ResolveOn(containerHost, loaded)
	if err != nil {
		return nil, err
	}
	return c.parts.functions.Variables(stack, fmt.Sprintf("http://%s:%d", containerHost, c.awsHeld))
}

// writeSAMEnvironment writes the file, which holds passwords.
func (c *cloud) writeSAMEnvironment() error {
	text, err := json.MarshalIndent(c.samEnv, "", "  ")
	if err != nil {
		return err
	}
	return part.ReplaceFile(c.samEnvFile(), append(text, '\n'))
}

func (c *cloud) removeSAMEnvironment() error {
	if err := os.Remove(c.samEnvFile()); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

func (c *cloud) samEnvFile() string { return filepath.Join(c.folder, samEnvFileName) }
