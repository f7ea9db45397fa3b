package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// mailReplay is how the name of a replay begins whose events notify sends mails for.
const mailReplay = "mail-"

// replay is `plaudit replay`: it puts events of the bus's archive on the bus again, and
// waits for the end of that.
func replay(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	stack := placeFlags(flags)
	var from, to instant
	flags.Var(&from, "from", "replay the events from this `TIME` on, e.g. 2026-04-05T12:00:00Z; required")
	flags.Var(&to, "to", "replay the events up to this `TIME`; the default is now")
	rule := flags.String("rule", "", "send them to this `RULE` only, with or without the stack's name before it: told, security or links. The default is every rule of the bus")
	name := flags.String("name", "", "`NAME` of the replay; the default is "+mailReplay+" and the time. notify ignores the events of replays whose name does not begin with "+mailReplay)
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	now := time.Now()
	if to.IsZero() {
		to.Time = now
	}
	switch {
	case from.IsZero():
		return wrong(flags, stderr, errors.New("--from is missing"))
	case !from.Before(to.Time):
		return wrong(flags, stderr, errors.New("--from must be before --to, which is now if it is not given"))
	}
	if *name == "" {
		*name = mailReplay + now.UTC().Format("20060102T150405.000Z")
	}
	at, err := stack.find(ctx, stdin)
	if err != nil {
		return err
	}
	p := player{client: eventbridge.NewFromConfig(at.config), out: stdout, errs: stderr}
	if p.stack, err = at.stack(); err != nil {
		return err
	}
	in, err := p.plan(ctx, *name, *rule, from.Time, to.Time)
	if err != nil {
		return fmt.Errorf("replay events of %s: %w", p.stack, err)
	}
	if err := p.run(ctx, in, now, time.Second); err != nil {
		return fmt.Errorf("replay %s: %w", *name, err)
	}
	return nil
}

// player replays the archive of a stack's bus, which is called like the stack.
type player struct {
	client    *eventbridge.Client
	stack     string
	out, errs io.Writer
}

// plan finds what a replay needs, and prints what it will do.
func (p player) plan(ctx context.Context, name, rule string, from, to time.Time) (*eventbridge.StartReplayInput, error) {
	bus, err := p.client.DescribeEventBus(ctx, &eventbridge.DescribeEventBusInput{Name: &p.stack})
	if err != nil {
		return nil, fmt.Errorf("find the bus: %w", err)
	}
	archive, err := p.archive(ctx, *bus.Arn)
	if err != nil {
		return nil, err
	}
	in := &eventbridge.StartReplayInput{
		ReplayName: &name, EventSourceArn: archive.ArchiveArn, EventStartTime: &from, EventEndTime: &to,
		Destination: &types.ReplayDestination{Arn: bus.Arn},
	}
	target := "every rule of the bus " + p.stack
	if rule != "" {
		found, err := p.rule(ctx, rule)
		if err != nil {
			return nil, err
		}
		in.Destination.FilterArns = []string{*found.Arn}
		target = "the rule " + *found.Name
	}
	fmt.Fprintf(p.out, "%s: sends the events from %s to %s to %s again\n", name, from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339), target)
	fmt.Fprintf(p.errs, "the archive %s has %d events of all times; how many of them are replayed, EventBridge does not count\n", *archive.ArchiveName, archive.EventCount)
	if !strings.HasPrefix(name, mailReplay) {
		fmt.Fprintf(p.errs, "notify ignores these events, because the name of the replay does not begin with %s: nobody gets a mail\n", mailReplay)
	}
	return in, nil
}

// archive finds the archive of the bus.
func (p player) archive(ctx context.Context, busARN string) (*eventbridge.DescribeArchiveOutput, error) {
	list, err := p.client.ListArchives(ctx, &eventbridge.ListArchivesInput{EventSourceArn: &busARN})
	if err != nil {
		return nil, fmt.Errorf("find the archive: %w", err)
	}
	if len(list.Archives) != 1 {
		return nil, fmt.Errorf("the bus %s must have one archive, and has %d", p.stack, len(list.Archives))
	}
	found, err := p.client.DescribeArchive(ctx, &eventbridge.DescribeArchiveInput{ArchiveName: list.Archives[0].ArchiveName})
	if err != nil {
		return nil, fmt.Errorf("find the archive: %w", err)
	}
	return found, nil
}

// rule finds a rule of the bus by its name, by the name without the stack's, or by how
// that begins.
func (p player) rule(ctx context.Context, name string) (types.Rule, error) {
	var rules []types.Rule
	in := &eventbridge.ListRulesInput{EventBusName: &p.stack}
	for {
		page, err := p.client.ListRules(ctx, in)
		if err != nil {
			return types.Rule{}, fmt.Errorf("list the rules: %w", err)
		}
		rules = append(rules, page.Rules...)
		if in.NextToken = page.NextToken; in.NextToken == nil {
			break
		}
	}
	var like []types.Rule
	var names []string
	for _, r := range rules {
		short := strings.TrimPrefix(*r.Name, p.stack+"-")
		if name == *r.Name || strings.EqualFold(name, short) {
			return r, nil
		}
		if strings.HasPrefix(strings.ToLower(short), strings.ToLower(name)) {
			like = append(like, r)
		}
		names = append(names, *r.Name)
	}
	if len(like) == 1 {
		return like[0], nil
	}
	slices.Sort(names)
	return types.Rule{}, fmt.Errorf("the bus %s has no rule %q; its rules are %s", p.stack, name, strings.Join(names, ", "))
}

// run starts a replay and waits for its end. It shows its progress as often as said.
func (p player) run(ctx context.Context, in *eventbridge.StartReplayInput, began time.Time, every time.Duration) error {
	_, err := p.client.StartReplay(ctx, in)
	var exists *types.ResourceAlreadyExistsException
	if errors.As(err, &exists) && p.ours(ctx, in, began) {
		err = nil
	}
	if err != nil {
		return err
	}
	var last time.Time
	for {
		now, err := p.client.DescribeReplay(ctx, &eventbridge.DescribeReplayInput{ReplayName: in.ReplayName})
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: it continues nevertheless; end it with `aws events cancel-replay --replay-name %s`: %w", *in.ReplayName, ctx.Err())
		}
		if err != nil {
			return err
		}
		if at := aws.ToTime(now.EventLastReplayedTime); at.After(last) {
			last = at
			fmt.Fprintf(p.errs, "%s: the events up to %s are sent\n", now.State, at.UTC().Format(time.RFC3339))
		}
		switch now.State {
		case types.ReplayStateCompleted:
			if last.IsZero() {
				fmt.Fprintln(p.out, "the replay is complete; the archive has no event of that time")
			} else {
				fmt.Fprintln(p.out, "the replay is complete")
			}
			return nil
		case types.ReplayStateFailed, types.ReplayStateCancelled:
			return fmt.Errorf("it ended as %s: %s", now.State, aws.ToString(now.StateReason))
		}
		if err := sleep(ctx, every); err != nil {
			continue // the next look reports the interruption
		}
	}
}

// ours reports whether the replay that exists is the one that was just started: the SDK
// repeats a request whose answer it lost.
func (p player) ours(ctx context.Context, in *eventbridge.StartReplayInput, began time.Time) bool {
	found, err := p.client.DescribeReplay(ctx, &eventbridge.DescribeReplayInput{ReplayName: in.ReplayName})
	return err == nil && !aws.ToTime(found.ReplayStartTime).Before(began.Truncate(time.Second)) &&
		aws.ToTime(found.EventStartTime).Truncate(time.Second).Equal(in.EventStartTime.Truncate(time.Second))
}
