package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"plaudit/local/dynamodb"
	"plaudit/local/ecs"
	"plaudit/local/elb"
	"plaudit/local/engine"
	"plaudit/local/eventsource"
	"plaudit/local/idle"
	"plaudit/local/lambda"
	"plaudit/local/part"
	"plaudit/local/rds"
	"plaudit/local/s3"
	"plaudit/local/schedule"
	"plaudit/local/secretsmanager"
	"plaudit/local/ses"
	"plaudit/local/sqs"
)

// parts are the services that the laptop cloud runs, each in a folder of its own.
//
// They start row by row: the parts of a row side by side, once the row before has
// started. The programs of the project are built beside the first row, so the parts
// that run them are in later ones. The parts stop in the reverse order.
type parts struct {
	served    []part.List // before the AWS endpoint is served
	callers   []part.List // after it: these call AWS, until they end, or pass requests on to those that do
	functions *lambda.Part
}

// entrances are listeners of parts, whose ports were held before the parts were made.
type entrances struct{ balancer, inbox net.Listener }

// newParts makes the parts; bin is the folder of PostgreSQL's programs.
func newParts(l part.Laptop, on entrances, idleAfter time.Duration, bin string) parts {
	secrets := secretsmanager.New(l.Names)
	functions := lambda.NewPart(l, idleAfter)
	e := engine.New(l)
	balancer := elb.NewPart(l, on.balancer, functions)
	streams := eventsource.New(l, e, functions)
	return parts{
		served: []part.List{
			{idle.New(l), secrets, rds.NewPart(l, secrets, bin), e},
			{dynamodb.New(l, e), s3.New(l, e), sqs.New(l, e), ses.New(l, on.inbox, defaultBus{e})},
			{streams.Keeper()},
		},
		callers: []part.List{
			{functions},
			{streams, schedule.New(l, functions)},
			{ecs.NewPart(l, secrets, balancer)},
			{balancer},
		},
		functions: functions,
	}
}

// all returns the parts in the order of their start.
func (p parts) all() part.List { return slices.Concat(slices.Concat(p.served, p.callers)...) }

// programRunners returns the parts that run programs of the project.
func (p parts) programRunners() []part.ProgramRunner {
	var out []part.ProgramRunner
	for _, one := range p.all() {
		if runner, ok := one.(part.ProgramRunner); ok {
			out = append(out, runner)
		}
	}
	return out
}

// defaultBus is the default event bus of the engine.
type defaultBus struct{ engine *engine.Engine }

// PutAWS implements ses.Bus.
func (b defaultBus) PutAWS(ctx context.Context, e ses.Event) error {
	if b.engine.URL() == "" {
		return nil // no rule can match it
	}
	out, err := eventbridge.NewFromConfig(b.engine.Config()).PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		Source: aws.String(ses.Source), DetailType: &e.DetailType, Resources: e.Resources, Time: &e.Time, Detail: aws.String(string(e.Detail)),
	}}})
	if err == nil && out.FailedEntryCount > 0 {
		err = fmt.Errorf("%s: %s", aws.ToString(out.Entries[0].ErrorCode), aws.ToString(out.Entries[0].ErrorMessage))
	}
	return err
}
