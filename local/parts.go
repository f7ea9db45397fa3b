package main

import (
	"context"
	"net"
	"slices"
	"time"

	"plaudit/local/dynamodb"
	"plaudit/local/ecs"
	"plaudit/local/elb"
	"plaudit/local/engine"
	"plaudit/local/eventbridge"
	"plaudit/local/eventsource"
	"plaudit/local/idle"
	"plaudit/local/lambda"
	"plaudit/local/part"
	"plaudit/local/rds"
	"plaudit/local/s3"
	"plaudit/local/scheduler"
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
	queues := sqs.New(l, e)
	buses := eventbridge.New(l, functions, queues)
	return parts{
		served: []part.List{
			{idle.New(l), secrets, rds.NewPart(l, secrets, bin), e},
			{dynamodb.New(l, e), s3.New(l, e), queues},
			{streams.Keeper(), buses},
			{ses.New(l, on.inbox, defaultBus{buses})},
		},
		callers: []part.List{
			{functions},
			{streams, buses.Deliverer(), scheduler.New(l, functions)},
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

// defaultBus is the default event bus.
type defaultBus struct{ buses *eventbridge.Service }

// PutAWS implements ses.Bus.
func (b defaultBus) PutAWS(ctx context.Context, e ses.Event) error {
	return b.buses.Put(ctx, []eventbridge.Entry{{
		Source: ses.Source, DetailType: e.DetailType, Resources: e.Resources, Time: &eventbridge.Instant{Time: e.Time}, Detail: string(e.Detail),
	}})
}
