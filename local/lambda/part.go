package lambda

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"plaudit/local/part"
	"plaudit/local/template"
)

// Part is the part of a stack's functions, of the permissions to invoke them, and of
// what becomes of asynchronous invocations that fail.
type Part struct {
	laptop      part.Laptop
	idle        time.Duration
	service     *Service
	names       map[string]string // of the stack's functions, by ARN
	planned     []planned
	permissions []permission
	async       []async
}

// planned is a function of the template.
type planned struct {
	pkg    string // Go package, ./functions/score-add
	config Config
}

// async is an EventInvokeConfig of the template.
type async struct {
	id, function string
	config       Async
}

type permission struct{ id, function, action, principal, source string }

// NewPart returns the part. The process of a function ends when it has been idle
// for a while.
func NewPart(l part.Laptop, idleAfter time.Duration) *Part {
	return &Part{laptop: l, idle: idleAfter, service: NewService(l.Group, l.Log), names: map[string]string{}}
}

const (
	functionType   = "AWS::Lambda::Function"
	permissionType = "AWS::Lambda::Permission"
	asyncType      = "AWS::Lambda::EventInvokeConfig"
)

// Types implements part.Part.
func (p *Part) Types() []string { return []string{functionType, permissionType, asyncType} }

// Values implements part.Part.
func (p *Part) Values(r template.Resource) map[string]any {
	n := p.laptop.Names
	switch r.Type {
	case permissionType:
		return map[string]any{"Ref": n.Name(r, ""), "Id": n.Name(r, "")}
	case asyncType:
		return map[string]any{"Ref": n.Name(r, "")}
	}
	name := n.Short(r, "FunctionName", 64)
	return map[string]any{"Ref": name, "Arn": n.ARN("lambda", "function:"+name)}
}

// ignored are properties without effect on a laptop, by type, with the reason.
var ignored = map[string]map[string]string{
	functionType: {
		"FunctionName": "part of its ARN", "Description": "only a text", "Role": part.NoIAM, "VpcConfig": part.NoNetwork,
		"Architectures": "built for this machine", "Tags": "nothing reads them", "TracingConfig": "no X-Ray on a laptop; trace ids are passed on",
		"LoggingConfig.SystemLogLevel": "the laptop cloud has a log level of its own", "LoggingConfig.LogGroup": "logs go to the terminal and to .local/laptop.log",
		"EphemeralStorage": "/tmp is this machine's",
	},
	permissionType: {"SourceAccount": "a laptop has one account"},
}

func decode(r template.Resource, out any) error { return template.Decode(r, out, ignored[r.Type]) }

// Read implements part.Part.
func (p *Part) Read(r template.Resource) error {
	switch r.Type {
	case permissionType:
		return p.readPermission(r)
	case asyncType:
		return p.readAsync(r)
	}
	values := p.Values(r)
	p.names[values["Arn"].(string)] = values["Ref"].(string)
	f, err := p.readFunction(r)
	if err == nil {
		p.planned = append(p.planned, f)
	}
	return err
}

func (p *Part) readFunction(r template.Resource) (planned, error) {
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
		return planned{}, err
	}
	if in.Runtime != "provided.al2023" && in.Runtime != "provided.al2" {
		return planned{}, fmt.Errorf("%s: Runtime: the laptop cloud runs Go programs for provided.al2023, not %s", r.ID, in.Runtime)
	}
	folder := path.Clean(strings.TrimPrefix(in.Code.CodeURI, "./"))
	if !filepath.IsLocal(folder) || folder == "." {
		return planned{}, fmt.Errorf("%s: CodeUri: %s is not a folder below the template", r.ID, in.Code.CodeURI)
	}
	values := p.Values(r)
	f := planned{pkg: "./" + folder, config: Config{
		Name: values["Ref"].(string), ARN: values["Arn"].(string), Region: p.laptop.Region, Handler: in.Handler,
		Env: in.Environment.Variables, Timeout: part.Seconds(in.Timeout), MemoryMB: in.MemorySize,
		LogFormat: in.Logging.LogFormat, LogLevel: in.Logging.ApplicationLogLevel,
	}}
	if in.Concurrency != nil {
		if *in.Concurrency < 1 {
			return planned{}, fmt.Errorf("%s: ReservedConcurrentExecutions: %d would throttle every invocation; it must be at least 1", r.ID, *in.Concurrency)
		}
		f.config.Concurrency = *in.Concurrency
	}
	return f, nil
}

// Variables returns the variables of each function in a container that finds AWS
// at an endpoint, by logical id.
func (p *Part) Variables(stack *template.Stack, endpoint string) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	for _, r := range stack.Resources {
		if r.Type != functionType {
			continue
		}
		f, err := p.readFunction(r)
		if err != nil {
			return nil, err
		}
		// sam overrides only variables that the template declares.
		if value, ok := f.config.Env[part.EndpointVariable]; ok && value == "" {
			f.config.Env[part.EndpointVariable] = endpoint
		}
		out[r.ID] = f.config.Env
	}
	return out, nil
}

func (p *Part) readPermission(r template.Resource) error {
	var in struct {
		FunctionName string `cfn:"FunctionName,required"`
		Action       string `cfn:"Action,required"`
		Principal    string `cfn:"Principal,required"`
		SourceARN    string `cfn:"SourceArn"`
	}
	err := decode(r, &in)
	if err == nil {
		p.permissions = append(p.permissions, permission{r.ID, in.FunctionName, in.Action, in.Principal, in.SourceARN})
	}
	return err
}

func (p *Part) readAsync(r template.Resource) error {
	var in struct {
		FunctionName      string         `cfn:"FunctionName,required"`
		Qualifier         string         `cfn:"Qualifier,required"`
		Retries           *int           `cfn:"MaximumRetryAttempts"`
		MaxAge            *int           `cfn:"MaximumEventAgeInSeconds"`
		DestinationConfig map[string]any `cfn:"DestinationConfig"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	var errs []error
	wrong := func(property, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s: %s", r.ID, property, fmt.Sprintf(format, args...)))
	}
	out := async{r.ID, in.FunctionName, Async{Retries: maxRetries, MaxAge: maxEventAge}}
	if in.Qualifier != "$LATEST" {
		wrong("Qualifier", "it must be $LATEST, not %q: the laptop cloud has no versions and aliases", in.Qualifier)
	}
	if in.Retries != nil {
		if out.config.Retries = *in.Retries; *in.Retries < 0 || *in.Retries > maxRetries {
			wrong("MaximumRetryAttempts", "it must be between 0 and %d, not %d", maxRetries, *in.Retries)
		}
	}
	if in.MaxAge != nil {
		out.config.MaxAge = time.Duration(*in.MaxAge) * time.Second
		if out.config.MaxAge < minEventAge || out.config.MaxAge > maxEventAge {
			wrong("MaximumEventAgeInSeconds", "it must be between %.0f and %.0f, not %d", minEventAge.Seconds(), maxEventAge.Seconds(), *in.MaxAge)
		}
	}
	if len(in.DestinationConfig) > 0 {
		wrong("DestinationConfig", "the laptop cloud does not support destinations of asynchronous invocations")
	}
	p.async = append(p.async, out)
	return errors.Join(errs...)
}

// Link implements part.Linker.
func (p *Part) Link(*template.Stack) error {
	var errs []error
	for _, one := range p.async {
		i := slices.IndexFunc(p.planned, func(f planned) bool { return one.function == f.config.Name || one.function == f.config.ARN })
		switch {
		case i < 0:
			errs = append(errs, fmt.Errorf("%s: FunctionName: the stack has no function %s", one.id, one.function))
		case p.planned[i].config.Async != nil:
			errs = append(errs, fmt.Errorf("%s: the function %s has another %s", one.id, one.function, asyncType))
		default:
			p.planned[i].config.Async = &one.config
		}
	}
	return errors.Join(errs...)
}

// Permissions returns the logical ids of the permissions by which a service
// (principal) may invoke a function for one of its resources (source). ok is
// false if the stack has no such function. It is complete after every Read.
func (p *Part) Permissions(functionARN, principal, source string) (ids []string, ok bool) {
	name, ok := p.names[functionARN]
	for _, one := range p.permissions {
		if (one.function == functionARN || one.function == name) &&
			(one.action == "lambda:InvokeFunction" || one.action == "lambda:*") &&
			one.principal == principal &&
			(one.source == "" || part.ARNLike(one.source, source)) {
			ids = append(ids, one.id)
		}
	}
	return ids, ok
}

// Programs implements part.ProgramRunner.
func (p *Part) Programs() (kind string, packages []string) {
	for _, f := range p.planned {
		packages = append(packages, f.pkg)
	}
	return "functions", packages
}

// Start implements part.Part. It starts no process: the first invocation does.
func (p *Part) Start(context.Context) error {
	p.service.Output = p.laptop.JSONLog("")
	for _, f := range p.planned {
		f.config.Binary = p.laptop.Program(f.pkg)
		f.config.Endpoint = p.laptop.Endpoint
		f.config.IdleAfter = p.idle
		if _, err := p.service.Add(f.config); err != nil {
			return err
		}
	}
	return p.laptop.ChangeRun(func(r *part.Run) {
		for _, f := range p.planned {
			r.Functions[path.Base(f.pkg)] = f.config.Name
		}
	})
}

// Function returns a function that Start has added; see Service.Function.
func (p *Part) Function(nameOrARN string) (*Function, bool) { return p.service.Function(nameOrARN) }

// Replace implements part.ProgramRunner.
func (p *Part) Replace(pkg string) {
	for _, planned := range p.planned {
		if f, ok := p.Function(planned.config.Name); ok && planned.pkg == pkg {
			f.Replace(p.laptop.Program(pkg))
		}
	}
}

// API implements part.Part.
func (p *Part) API() (string, http.Handler) { return "lambda", p.service.Handler() }

// Stop implements part.Part. Invocations in flight get a moment to end.
func (p *Part) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	p.service.Close(ctx)
}
