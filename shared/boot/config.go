package boot

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
)

// parse reads the environment into cfg, a pointer to a struct. Its error begins with
// an earlier error and names every variable that is missing or invalid. It contains
// no values, because any of them may be a secret.
func parse(cfg any, before error) error {
	var faults []string
	if before != nil {
		faults = append(faults, before.Error())
	}
	err := env.ParseWithOptions(cfg, env.Options{RequiredIfNoDef: true})
	var all env.AggregateError
	if err != nil && !errors.As(err, &all) {
		all.Errors = []error{err}
	}
	for _, e := range all.Errors {
		faults = append(faults, configFault(e, reflect.TypeOf(cfg).Elem()))
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("invalid environment: %s", strings.Join(faults, "; "))
}

// configFault describes the fault of one variable. The library's own message
// about an invalid value contains the value, but not the variable's name.
func configFault(err error, config reflect.Type) string {
	var (
		missing env.VarIsNotSetError
		empty   env.EmptyVarError
		file    env.LoadFileContentError
		wrong   env.ParseError
	)
	switch {
	case errors.As(err, &missing):
		return missing.Key + " is not set"
	case errors.As(err, &empty):
		return empty.Key + " is empty"
	case errors.As(err, &file):
		return file.Key + " names a file that cannot be read"
	case errors.As(err, &wrong):
		return fmt.Sprintf("%s is not a valid %s", variable(config, "", wrong.Name), wrong.Type)
	}
	return err.Error() // a mistake in the struct's tags
}

// variable returns the variable of the config's field with that name. If nested
// or embedded structs have fields of the same name, it returns all of them.
func variable(config reflect.Type, prefix, field string) string {
	var found []string
	for i := range config.NumField() {
		f := config.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		if f.Name == field && key != "" {
			found = append(found, prefix+key)
		}
		if f.Type.Kind() == reflect.Struct {
			if v := variable(f.Type, prefix+f.Tag.Get("envPrefix"), field); v != "" {
				found = append(found, v)
			}
		}
	}
	return strings.Join(found, " or ")
}
