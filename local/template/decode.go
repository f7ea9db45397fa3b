package template

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Decode fills the struct that out points to from r.Properties, by field tags
// `cfn:"PropertyName"` or `cfn:"PropertyName,required"`. Fields are strings,
// integers, float64, bools, structs, pointers, slices, maps with string keys
// and any. Text, numbers and booleans convert into each other where
// CloudFormation does it: "8080" is 8080, true is "true".
//
// A property without a field is an error, unless ignored has its path, with the
// reason why it has no effect here. Paths have dots and no indexes:
// "ContainerDefinitions.HealthCheck". Errors name the logical id and the
// property's path, all of them at once, and show no value.
func Decode(r Resource, out any, ignored map[string]string) error {
	target := reflect.ValueOf(out)
	if target.Kind() != reflect.Pointer || target.IsNil() || target.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("%s: Decode wants a pointer to a struct, not %T", r.ID, out)
	}
	d := &decoder{r: r, ignored: ignored}
	d.object(target.Elem(), r.Properties, "", "")
	return errors.Join(d.errs...)
}

type decoder struct {
	r       Resource
	ignored map[string]string
	errs    []error
}

func (d *decoder) add(at, format string, args ...any) {
	d.errs = append(d.errs, fmt.Errorf("%s (%s): %s: %s", d.r.ID, d.r.Type, at, fmt.Sprintf(format, args...)))
}

// object fills a struct. at shows indexes, path does not.
func (d *decoder) object(target reflect.Value, in map[string]any, at, path string) {
	known := map[string]bool{}
	for i := range target.NumField() {
		name, option, _ := strings.Cut(target.Type().Field(i).Tag.Get("cfn"), ",")
		if name == "" {
			continue
		}
		known[name] = true
		if value, ok := in[name]; ok {
			d.value(target.Field(i), value, join(at, name), join(path, name))
		} else if option == "required" {
			d.add(join(at, name), "the property is missing")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if _, ok := d.ignored[join(path, name)]; !known[name] && !ok {
			d.add(join(at, name), "the property is not supported on a laptop")
		}
	}
}

func (d *decoder) value(target reflect.Value, in any, at, path string) {
	switch target.Kind() {
	case reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		d.value(target.Elem(), in, at, path)
	case reflect.Struct:
		if m, ok := in.(map[string]any); ok {
			d.object(target, m, at, path)
		} else {
			d.add(at, "wants a map, not %s", kindOf(in))
		}
	case reflect.Slice:
		list, ok := in.([]any)
		if !ok {
			d.add(at, "wants a list, not %s", kindOf(in))
			return
		}
		target.Set(reflect.MakeSlice(target.Type(), len(list), len(list)))
		for i, item := range list {
			d.value(target.Index(i), item, index(at, i), path)
		}
	case reflect.Map:
		m, ok := in.(map[string]any)
		if !ok {
			d.add(at, "wants a map, not %s", kindOf(in))
			return
		}
		target.Set(reflect.MakeMapWithSize(target.Type(), len(m)))
		for _, key := range slices.Sorted(maps.Keys(m)) {
			item := reflect.New(target.Type().Elem()).Elem()
			d.value(item, m[key], join(at, key), join(path, key))
			target.SetMapIndex(reflect.ValueOf(key).Convert(target.Type().Key()), item)
		}
	case reflect.Interface:
		target.Set(reflect.ValueOf(in))
	default:
		d.scalar(target, in, at)
	}
}

func (d *decoder) scalar(target reflect.Value, in any, at string) {
	text, ok := scalarText(in)
	switch {
	case target.Kind() == reflect.String:
		if !ok {
			d.add(at, "wants text, not %s", kindOf(in))
		}
		target.SetString(text)
	case target.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			d.add(at, "wants true or false, not %s", not(in))
		}
		target.SetBool(text == "true")
	case target.CanInt():
		number, ok := wholeNumber(text)
		if f, isFloat := in.(float64); isFloat {
			number, ok = int(f), f == math.Trunc(f) && math.Abs(f) < 1<<53
		}
		if _, isBool := in.(bool); isBool || !ok || target.OverflowInt(int64(number)) {
			d.add(at, "wants a whole number, not %s", not(in))
			return
		}
		target.SetInt(int64(number))
	case target.CanFloat():
		number, err := strconv.ParseFloat(text, 64)
		if !decimal.MatchString(text) || err != nil {
			d.add(at, "wants a number, not %s", not(in))
			return
		}
		target.SetFloat(number)
	default:
		d.add(at, "a field of type %s cannot be decoded", target.Type())
	}
}

// not describes a value without showing it: it may be a secret.
func not(in any) string {
	if _, ok := in.(string); ok {
		return "this text"
	}
	if _, ok := scalarText(in); ok {
		return "this " + strings.TrimPrefix(kindOf(in), "a ")
	}
	return kindOf(in)
}
