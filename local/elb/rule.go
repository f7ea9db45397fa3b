package elb

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of a rule, from "Quotas for your Application Load Balancers" and
// "Condition types for listener rules".
const (
	maxConditionValues = 3
	maxRuleValues      = 5
	maxRuleWildcards   = 5
	maxPathPattern     = 128
	maxMethod          = 40
	maxPriority        = 50000
	maxFixedBody       = 1024
)

// Condition holds when one of its values matches. Field is path-pattern (case
// sensitive; * is any number of characters, / included, ? is one) or
// http-request-method (exact). Other fields of AWS are errors in New.
type Condition struct {
	Field  string
	Values []string
}

// Rule applies its action when all its conditions hold. Lower priorities are
// asked first.
type Rule struct {
	Priority   int
	Conditions []Condition
	Action     Action
}

// Action is applied to a request. Type is forward, fixed-response or
// redirect, and the field of that name is set.
type Action struct {
	Type        string
	TargetGroup *TargetGroup
	Fixed       *FixedResponse
	Redirect    *Redirect
}

// FixedResponse is an answer of the balancer itself. StatusCode is 2xx, 4xx or
// 5xx; ContentType text/plain (if it is empty), text/css, text/html,
// application/javascript or application/json.
type FixedResponse struct {
	StatusCode  int
	ContentType string
	MessageBody string
}

// Redirect sends the client elsewhere. StatusCode is HTTP_301 or HTTP_302. An
// empty field keeps that part of the URL; the keywords #{protocol}, #{host},
// #{port}, #{path} (without its leading slash) and #{query} stand for the
// parts of the request's URL.
type Redirect struct {
	Protocol, Host, Port, Path, Query string
	StatusCode                        string
}

func (r Rule) matches(method, path string) bool {
	for _, c := range r.Conditions {
		if !c.matches(method, path) {
			return false
		}
	}
	return true
}

func (c Condition) matches(method, path string) bool {
	for _, v := range c.Values {
		if c.Field == "path-pattern" && matchPattern(v, path) || c.Field == "http-request-method" && v == method {
			return true
		}
	}
	return false
}

// matchPattern goes back to the latest * only, which is enough: whatever an
// earlier * could take in addition, the latest one can take too.
func matchPattern(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

func (r Rule) check() error {
	var errs []error
	if r.Priority < 1 || r.Priority > maxPriority {
		errs = append(errs, fmt.Errorf("a priority is 1 to %d", maxPriority))
	}
	if len(r.Conditions) == 0 {
		errs = append(errs, errors.New("it has no condition"))
	}
	values, wildcards := 0, 0
	var seen []string
	for _, c := range r.Conditions {
		if err := c.check(); err != nil {
			errs = append(errs, err)
		}
		if slices.Contains(seen, c.Field) {
			errs = append(errs, fmt.Errorf("two conditions on %s", c.Field))
		}
		seen = append(seen, c.Field)
		values += len(c.Values)
		if c.Field == "path-pattern" {
			for _, v := range c.Values {
				wildcards += strings.Count(v, "*") + strings.Count(v, "?")
			}
		}
	}
	if values > maxRuleValues {
		errs = append(errs, fmt.Errorf("%d values in its conditions: a rule has at most %d", values, maxRuleValues))
	}
	if wildcards > maxRuleWildcards {
		errs = append(errs, fmt.Errorf("%d wildcards: a rule has at most %d", wildcards, maxRuleWildcards))
	}
	return errors.Join(append(errs, r.Action.check())...)
}

func (c Condition) check() error {
	if n := len(c.Values); n < 1 || n > maxConditionValues {
		return fmt.Errorf("condition %s has %d values: it takes 1 to %d", c.Field, n, maxConditionValues)
	}
	for _, v := range c.Values {
		switch c.Field {
		case "path-pattern":
			if v == "" || len(v) > maxPathPattern || strings.ContainsFunc(v, func(r rune) bool {
				return !isAlphanumeric(r) && !strings.ContainsRune("_-.$/~\"'@:+&*?", r)
			}) {
				return fmt.Errorf("path pattern %q: 1 to %d of A-Z a-z 0-9 _-.$/~\"'@:+&*?", v, maxPathPattern)
			}
		case "http-request-method":
			if v == "" || len(v) > maxMethod || strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != "" {
				return fmt.Errorf("method %q: 1 to %d of A-Z, - and _", v, maxMethod)
			}
		default:
			return fmt.Errorf("condition %s is not built: use path-pattern or http-request-method", c.Field)
		}
	}
	return nil
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// resolve copies the structs of the action and fills in the defaults, so that
// the caller's values stay as they were.
func (a *Action) resolve() {
	if a.Fixed != nil {
		f := *a.Fixed
		if f.ContentType == "" {
			f.ContentType = "text/plain"
		}
		a.Fixed = &f
	}
	if a.Redirect != nil {
		r := *a.Redirect
		for _, d := range []struct {
			field   *string
			keyword string
		}{{&r.Protocol, "#{protocol}"}, {&r.Host, "#{host}"}, {&r.Port, "#{port}"}, {&r.Path, "/#{path}"}, {&r.Query, "#{query}"}} {
			if *d.field == "" {
				*d.field = d.keyword
			}
		}
		a.Redirect = &r
	}
}

func (a Action) check() error {
	switch {
	case a.Type == "forward" && a.TargetGroup != nil && a.Fixed == nil && a.Redirect == nil:
		return nil
	case a.Type == "fixed-response" && a.Fixed != nil && a.TargetGroup == nil && a.Redirect == nil:
		return a.Fixed.check()
	case a.Type == "redirect" && a.Redirect != nil && a.TargetGroup == nil && a.Fixed == nil:
		return a.Redirect.check()
	}
	return fmt.Errorf("action %q: it is forward with a target group, fixed-response or redirect, each with its own settings only", a.Type)
}

func (f FixedResponse) check() error {
	if f.StatusCode < 200 || f.StatusCode > 599 || f.StatusCode/100 == 3 {
		return fmt.Errorf("fixed response status %d: it is 2xx, 4xx or 5xx", f.StatusCode)
	}
	if !slices.Contains([]string{"text/plain", "text/css", "text/html", "application/javascript", "application/json"}, f.ContentType) {
		return fmt.Errorf("fixed response content type %q: it is text/plain, text/css, text/html, application/javascript or application/json", f.ContentType)
	}
	if len(f.MessageBody) > maxFixedBody {
		return fmt.Errorf("fixed response body of %d bytes: at most %d", len(f.MessageBody), maxFixedBody)
	}
	return nil
}

func (r Redirect) check() error {
	switch {
	case r.StatusCode != "HTTP_301" && r.StatusCode != "HTTP_302":
		return fmt.Errorf("redirect status %q: it is HTTP_301 or HTTP_302", r.StatusCode)
	case r.Protocol != "HTTP" && r.Protocol != "HTTPS" && r.Protocol != "#{protocol}":
		return fmt.Errorf("redirect protocol %q: it is HTTP, HTTPS or #{protocol}", r.Protocol)
	case !strings.HasPrefix(r.Path, "/"):
		return fmt.Errorf("redirect path %q does not begin with /", r.Path)
	case r.Protocol == "#{protocol}" && r.Host == "#{host}" && r.Port == "#{port}" && r.Path == "/#{path}":
		return errors.New("redirect changes neither protocol, host, port nor path: it would repeat forever")
	}
	return nil
}

// location returns the URL of a redirect. ALB always includes the port, and a ?
// only with a query.
func (r Redirect) location(l Listener, host, path, query string) string {
	expand := strings.NewReplacer(
		"#{protocol}", l.Protocol, "#{host}", host, "#{port}", l.portText(),
		"#{path}", strings.TrimPrefix(path, "/"), "#{query}", query).Replace
	u := strings.ToLower(expand(r.Protocol)) + "://" + expand(r.Host) + ":" + expand(r.Port) + expand(r.Path)
	if q := expand(r.Query); q != "" {
		u += "?" + q
	}
	return u
}
