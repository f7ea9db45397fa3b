package template

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// Config is one environment of samconfig.toml. A command's parameters take
// precedence over those of the command global.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-config.html
type Config struct {
	Template          string // path, default template.yaml beside samconfig.toml
	StackName, Region string
	Parameters        map[string]string // parameter_overrides of deploy
	Before, After     []string          // argv of the hooks in [<env>.laptop.parameters]
	Ports             []string          // names of parameters that are ports, from there too
}

// ReadConfig reads one environment of the samconfig.toml at path. A relative
// template_file is taken from the file's folder.
func ReadConfig(path, env string) (Config, error) {
	var file table
	if _, err := toml.DecodeFile(path, &file); err != nil {
		var syntax toml.ParseError
		if errors.As(err, &syntax) {
			return Config{}, fmt.Errorf("%s: line %d: %s", path, syntax.Position.Line, syntax.Message)
		}
		return Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	config, err := readEnvironment(file, env)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	if !filepath.IsAbs(config.Template) {
		config.Template = filepath.Join(filepath.Dir(path), config.Template)
	}
	return config, nil
}

type table = map[string]any

func readEnvironment(file table, env string) (Config, error) {
	if file["version"] != 0.1 {
		return Config{}, errors.New("wants version = 0.1")
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(file)), func(name string) bool { return name == "version" })
	if !slices.Contains(names, env) {
		return Config{}, fmt.Errorf("the environment %q does not exist; the environments are %s", env, strings.Join(names, ", "))
	}
	commands, err := below(file, env, env)
	if err != nil {
		return Config{}, err
	}
	values := table{}
	for _, name := range []string{"global", "deploy"} {
		command, err := below(commands, name, env+"."+name)
		if err != nil {
			return Config{}, err
		}
		parameters, err := below(command, "parameters", env+"."+name+".parameters")
		if err != nil {
			return Config{}, err
		}
		maps.Copy(values, parameters)
	}
	config := Config{Template: "template.yaml"}
	var errs []error
	for _, field := range []struct {
		key string
		to  *string
	}{{"template_file", &config.Template}, {"stack_name", &config.StackName}, {"region", &config.Region}} {
		value, given := values[field.key]
		text, isText := value.(string)
		switch {
		case given && !isText:
			errs = append(errs, fmt.Errorf("%s of the environment %s wants text", field.key, env))
		case given:
			*field.to = text
		}
		if *field.to == "" && (!given || isText) {
			errs = append(errs, fmt.Errorf("%s is missing in [%s.global.parameters]", field.key, env))
		}
	}
	if config.Parameters, err = readOverrides(values["parameter_overrides"]); err != nil {
		errs = append(errs, fmt.Errorf("parameter_overrides of the environment %s: %w", env, err))
	}
	errs = append(errs, readLaptop(commands, env+".laptop", &config))
	return config, errors.Join(errs...)
}

// readLaptop reads [<env>.laptop.parameters], which sam ignores.
func readLaptop(commands table, at string, config *Config) error {
	command, err := below(commands, "laptop", at)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(command)) {
		if key != "parameters" {
			return fmt.Errorf("[%s] has no key %s; its only key is parameters", at, key)
		}
	}
	at += ".parameters"
	parameters, err := below(command, "parameters", at)
	if err != nil {
		return err
	}
	fields := map[string]*[]string{"before": &config.Before, "after": &config.After, "ports": &config.Ports}
	for _, key := range slices.Sorted(maps.Keys(parameters)) {
		to, ok := fields[key]
		if !ok {
			return fmt.Errorf("[%s] has no key %s; its keys are after, before and ports", at, key)
		}
		items, ok := parameters[key].([]any)
		for _, item := range items {
			text, isText := item.(string)
			*to, ok = append(*to, text), ok && isText
		}
		if !ok {
			return fmt.Errorf("[%s] %s wants a list of texts", at, key)
		}
	}
	return nil
}

// below returns a table within a table. It is empty if the key is missing.
func below(in table, key, at string) (table, error) {
	value, ok := in[key]
	if !ok {
		return table{}, nil
	}
	out, ok := value.(table)
	if !ok {
		return nil, fmt.Errorf("[%s] wants a table", at)
	}
	return out, nil
}

// readOverrides reads parameter_overrides as sam does: a text with one or more
// K=V, or a list of such texts.
func readOverrides(value any) (map[string]string, error) {
	out := map[string]string{}
	switch v := value.(type) {
	case nil:
		return out, nil
	case string:
		return out, parseOverrides(v, out)
	case []any:
		for i, item := range v {
			text, ok := item.(string)
			if !ok {
				return nil, fmt.Errorf("item %d wants text such as \"Key=value\"", i)
			}
			if err := parseOverrides(text, out); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return nil, errors.New("wants a text or a list of texts")
}

// The grammar is sam's own: a value is quoted or has no spaces; a backslash
// keeps a space or a quote.
const overrideValue = `("(?:\\.|[^"\\]+)*"|'(?:\\.|[^'\\]+)*'|(?:\\.|[^ "\\]+)+)`

var (
	override     = regexp.MustCompile(`^\s*([A-Za-z0-9]+)=` + overrideValue + `(?:\s+|$)`)
	longOverride = regexp.MustCompile(`^\s*ParameterKey=([A-Za-z0-9]+),ParameterValue=` + overrideValue + `(?:\s+|$)`)
	unescape     = strings.NewReplacer(`\ `, ` `, `\"`, `"`, `\'`, `'`)
)

// parseOverrides adds the pairs of one text to out. Its errors show keys and
// never values, which may be secrets.
func parseOverrides(text string, out map[string]string) error {
	form, last := override, "the beginning"
	if strings.HasPrefix(strings.TrimSpace(text), "ParameterKey=") {
		form = longOverride
	}
	for strings.TrimSpace(text) != "" {
		found := form.FindStringSubmatch(text)
		if found == nil || form == override && found[1] == "ParameterKey" {
			return fmt.Errorf("the text after %s is neither Key=value nor Key='a value' (nor ParameterKey=Key,ParameterValue=value throughout); an empty value is Key=''", last)
		}
		key, value := found[1], found[2]
		if _, twice := out[key]; twice {
			return fmt.Errorf("%s appears more than once", key)
		}
		if len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[0] == value[len(value)-1] {
			value = value[1 : len(value)-1]
		}
		out[key] = unescape.Replace(value)
		text, last = text[len(found[0]):], key
	}
	return nil
}
