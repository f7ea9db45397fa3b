package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"plaudit/shared/cloud"
)

// Attributes of messages. The first two are ours: redriven is on messages that a person
// has sent again, reason on those that a function has put into a dead-letter queue.
const (
	attributeRedriven = "redriven"
	attributeReason   = "reason"
	// EventBridge's, on what it could not deliver.
	// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
	attributeRule         = "RULE_ARN"
	attributeTarget       = "TARGET_ARN"
	attributeErrorCode    = "ERROR_CODE"
	attributeErrorMessage = "ERROR_MESSAGE"
	attributeRetries      = "RETRY_ATTEMPTS"
	attributeExhausted    = "EXHAUSTED_RETRY_CONDITION"
)

const (
	// maxPage is how many messages SQS returns at a time.
	maxPage = 10
	// listed is how many messages of a queue are listed unless --max says otherwise.
	listed = 100
	// hiddenFor is how long nobody else gets messages that are listed or sent again. They
	// are released earlier when that ends.
	hiddenFor = 2 * time.Minute
	// finalWait is how long the last look into a queue lasts: a shorter one asks only
	// some of the servers that have its messages.
	finalWait = time.Second
	// progressEvery is after how long it is shown how far sending again is.
	progressEvery = 5 * time.Second
)

// queue is a queue of the stack.
type queue struct {
	name, url, arn             string
	visible, inFlight, delayed int
	deadLetters                string   // ARN of the queue for messages that nobody could handle
	sources                    []string // ARNs of the queues for which it is that
	at                         time.Time
}

// isDead reports whether the queue keeps what nobody could handle. EventBridge's queues
// for that are named by no other queue; but a queue that somebody reads has one.
func (q *queue) isDead() bool { return len(q.sources) > 0 || q.deadLetters == "" }

// dlq is `plaudit dlq`: it lists the stack's queues with the messages that could not be
// handled, or sends these again.
func dlq(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("dlq", flag.ContinueOnError)
	stack := placeFlags(flags)
	name := flags.String("queue", "", "only this `QUEUE`, with or without the stack's name before it")
	redrive := flags.Bool("redrive", false, "send the messages to the queue from which they came, and remove them from the dead-letter queue")
	to := flags.String("to", "", "with --redrive and --queue: send them to this `QUEUE`")
	limit := flags.Int("max", 0, "at most `N` messages of each queue; 0 is 100 for a list, and all for --redrive")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	switch {
	case *limit < 0:
		return wrong(flags, stderr, errors.New("--max must not be negative"))
	case *to != "" && (!*redrive || *name == ""):
		return wrong(flags, stderr, errors.New("--to needs --redrive and --queue"))
	}
	at, err := stack.find(ctx, stdin)
	if err != nil {
		return err
	}
	// A request that is repeated would send a copy, or hide messages unread.
	at.config.HTTPClient = cloud.Whole(awshttp.NewBuildableClient())
	d := &desk{client: sqs.NewFromConfig(at.config), out: stdout, errs: stderr, limit: *limit}
	if d.stack, err = at.stack(); err != nil {
		return err
	}
	if err := d.find(ctx); err != nil {
		return fmt.Errorf("find the queues of %s: %w", d.stack, err)
	}
	chosen := d.queues
	if *name != "" {
		one, err := d.named(*name)
		if err != nil {
			return err
		}
		chosen = []*queue{one}
	}
	if !*redrive {
		return d.list(ctx, chosen)
	}
	if *to != "" {
		if d.to, err = d.named(*to); err != nil {
			return err
		}
	}
	if *name != "" && !chosen[0].isDead() {
		return fmt.Errorf("%s is not a dead-letter queue: its messages are handled without your help", chosen[0].name)
	}
	return d.redrive(ctx, chosen)
}

// desk works on the queues of a stack.
type desk struct {
	client    *sqs.Client
	stack     string
	queues    []*queue // by name
	out, errs io.Writer
	limit     int
	to        *queue // of --to
}

// stackTag is the tag by which CloudFormation names a resource's stack.
const stackTag = "aws:cloudformation:stack-name"

// find finds the queues, whose names begin with the stack's. The name of another stack
// may begin with it, too: that stack's queues have its name in a tag.
func (d *desk) find(ctx context.Context) error {
	pages := sqs.NewListQueuesPaginator(d.client, &sqs.ListQueuesInput{QueueNamePrefix: aws.String(d.stack + "-"), MaxResults: aws.Int32(1000)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, url := range page.QueueUrls {
			tags, err := d.client.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: &url})
			if err != nil {
				return err
			}
			if of := tags.Tags[stackTag]; of != "" && of != d.stack {
				continue
			}
			q, err := d.read(ctx, url)
			if err != nil {
				return err
			}
			d.queues = append(d.queues, q)
		}
	}
	slices.SortFunc(d.queues, func(a, b *queue) int { return cmp.Compare(a.name, b.name) })
	for _, q := range d.queues {
		if dead := d.withARN(q.deadLetters); dead != nil {
			dead.sources = append(dead.sources, q.arn)
		}
	}
	return nil
}

func (d *desk) read(ctx context.Context, url string) (*queue, error) {
	out, err := d.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil {
		return nil, err
	}
	q := &queue{url: url, name: url[strings.LastIndexByte(url, '/')+1:], arn: out.Attributes["QueueArn"], at: time.Now()}
	if at, ok := awsmiddleware.GetServerTime(out.ResultMetadata); ok {
		q.at = at
	}
	for name, to := range map[string]*int{
		"ApproximateNumberOfMessages": &q.visible, "ApproximateNumberOfMessagesNotVisible": &q.inFlight, "ApproximateNumberOfMessagesDelayed": &q.delayed,
	} {
		if *to, err = strconv.Atoi(out.Attributes[name]); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", q.name, name, err)
		}
	}
	if text := out.Attributes["RedrivePolicy"]; text != "" {
		var policy struct{ DeadLetterTargetArn string }
		if err := json.Unmarshal([]byte(text), &policy); err != nil {
			return nil, fmt.Errorf("%s: RedrivePolicy: %w", q.name, err)
		}
		q.deadLetters = policy.DeadLetterTargetArn
	}
	return q, nil
}

func (d *desk) withARN(arn string) *queue {
	if i := slices.IndexFunc(d.queues, func(q *queue) bool { return q.arn == arn }); i >= 0 && arn != "" {
		return d.queues[i]
	}
	return nil
}

// named finds a queue by its name, by the name without the stack's, or by the logical id
// that CloudFormation made a name of.
func (d *desk) named(name string) (*queue, error) {
	var names []string
	var like []*queue
	for _, q := range d.queues {
		short := strings.TrimPrefix(q.name, d.stack+"-")
		if name == q.name || name == short {
			return q, nil
		}
		if strings.HasPrefix(short, name+"-") {
			like = append(like, q)
		}
		names = append(names, q.name)
	}
	if len(like) == 1 {
		return like[0], nil
	}
	return nil, fmt.Errorf("the stack has no queue %q; its queues are %s", name, cmp.Or(strings.Join(names, ", "), "none"))
}

// list prints the queues, and the messages of those that keep what could not be handled.
// These stay where they are; only their receive count rises, as SQS has no other way to
// look at them.
func (d *desk) list(ctx context.Context, queues []*queue) error {
	if len(queues) == 0 {
		fmt.Fprintf(d.out, "the stack %s has no queues\n", d.stack)
	}
	for _, q := range queues {
		line := fmt.Sprintf("%s: %d visible, %d in flight, %d delayed", q.name, q.visible, q.inFlight, q.delayed)
		if q.isDead() {
			line += "; dead-letter queue"
			if len(q.sources) > 0 {
				line += " of " + strings.Join(names(q.sources), ", ")
			}
		}
		fmt.Fprintln(d.out, line)
		if !q.isDead() {
			continue
		}
		if err := d.show(ctx, q); err != nil {
			return fmt.Errorf("list the messages of %s: %w", q.name, err)
		}
	}
	return nil
}

// names returns the names of queues with these ARNs.
func names(arns []string) (out []string) {
	for _, arn := range arns {
		out = append(out, arn[strings.LastIndexByte(arn, ':')+1:])
	}
	return out
}

func (d *desk) show(ctx context.Context, q *queue) error {
	held := &holder{client: d.client, url: q.url}
	defer held.release()
	most := min(q.visible, cmp.Or(d.limit, listed))
	shown := map[string]bool{}
	for len(shown) < most {
		page, err := held.receive(ctx, most-len(shown))
		if err != nil || len(page) == 0 {
			return err
		}
		for _, m := range page {
			held.keep(m)
			if id := aws.ToString(m.MessageId); !shown[id] {
				shown[id] = true
				fmt.Fprintln(d.out, column+describeMessage(m))
			}
		}
	}
	if more := q.visible - len(shown); more > 0 {
		fmt.Fprintf(d.out, "%s… and %d more; --max lists more\n", column, more)
	}
	return nil
}

// describeMessage returns a line for people: when it was sent, its id, how often it was
// received, why it is where it is, and the body in short.
func describeMessage(m types.Message) string {
	received := m.Attributes["ApproximateReceiveCount"]
	times := "received " + received + " times"
	if received == "1" {
		times = "received once"
	}
	return strings.Join([]string{sentAt(m).Local().Format("2006-01-02 15:04:05"), oneLine(aws.ToString(m.MessageId)), times, reasonOf(m), cut(inOneLine(aws.ToString(m.Body)))}, column)
}

// inOneLine returns a text as it is if it is JSON, without line breaks, else in quotes.
// What a terminal would obey is escaped in both.
func inOneLine(text string) string {
	if line := compact(json.RawMessage(text)); line != "" {
		return line
	}
	return plain(strconv.Quote(text))
}

func sentAt(m types.Message) time.Time {
	ms, _ := strconv.ParseInt(m.Attributes["SentTimestamp"], 10, 64) // SQS's own
	return time.UnixMilli(ms)
}

func reasonOf(m types.Message) string {
	if reason := attributeOf(m, attributeReason); reason != "" {
		return cut(oneLine(reason))
	}
	if code := attributeOf(m, attributeErrorCode); code != "" {
		return cut(oneLine(strings.TrimSuffix(code+": "+attributeOf(m, attributeErrorMessage), ": ")))
	}
	return "no reason is known"
}

func attributeOf(m types.Message, name string) string {
	return aws.ToString(m.MessageAttributes[name].StringValue)
}

// redrive sends the messages of dead-letter queues again. Only those that were there at
// the start: one that fails again at once would otherwise be sent forever.
func (d *desk) redrive(ctx context.Context, queues []*queue) error {
	moved, stay := 0, 0
	for _, q := range queues {
		if !q.isDead() || q.visible == 0 {
			continue
		}
		back := &redrive{desk: d, from: q, to: map[string]int{}, sent: map[string]bool{}, shown: time.Now()}
		err := back.run(ctx)
		moved += back.done
		stay += back.stay
		for _, name := range slices.Sorted(maps.Keys(back.to)) {
			fmt.Fprintf(d.out, "%s: %s went to %s\n", q.name, count(back.to[name]), name)
		}
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("interrupted: %s went back; the rest is in the dead-letter queue, and the command can be repeated: %w", count(moved), ctx.Err())
		case err != nil:
			return fmt.Errorf("send the messages of %s again: %w", q.name, err)
		}
	}
	if moved == 0 && stay == 0 {
		fmt.Fprintln(d.out, "no dead-letter queue has a message that can be sent again now")
	}
	if stay > 0 {
		return fmt.Errorf("%s could not be sent, and stayed in the dead-letter queue", count(stay))
	}
	return nil
}

func count(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

// redrive is the work on one dead-letter queue.
type redrive struct {
	*desk
	from  *queue
	to    map[string]int  // messages, by the name of the queue that got them
	sent  map[string]bool // ids of the messages that were sent, which they keep if SQS brings them back
	done  int
	stay  int // messages that could not be sent
	shown time.Time
}

func (r *redrive) run(ctx context.Context) error {
	held := &holder{client: r.client, url: r.from.url}
	defer held.release()
	most := r.from.visible
	if r.limit > 0 {
		most = min(most, r.limit)
	}
	// The server's clock has seconds only.
	start := r.from.at.Add(time.Second)
	// Those that have come since, or come back, count apart: SQS mixes them with the others,
	// whose places they must not take.
	for looked, others := 0, 0; looked < most && others < 10*most+100; {
		page, err := held.receive(ctx, most-looked)
		if err != nil || len(page) == 0 {
			return err
		}
		for i, m := range page {
			if ctx.Err() != nil {
				held.keep(page[i:]...)
				return ctx.Err()
			}
			if sentAt(m).After(start) || r.sent[aws.ToString(m.MessageId)] {
				others++
				held.keep(m)
				continue
			}
			looked++
			if err := r.move(ctx, m); err != nil {
				held.keep(m)
				r.stay++
				fmt.Fprintf(r.errs, "%s stays in %s: %v\n", oneLine(aws.ToString(m.MessageId)), r.from.name, err)
				continue
			}
			r.done++
			if time.Since(r.shown) > progressEvery {
				r.shown = time.Now()
				fmt.Fprintf(r.errs, "%s: %d of %d went back\n", r.from.name, r.done, most)
			}
		}
	}
	return nil
}

// move sends a message, and deletes it when it is sent. If this program is killed between
// the two, there is a copy.
func (r *redrive) move(ctx context.Context, m types.Message) error {
	target, err := r.target(m)
	if err != nil {
		return err
	}
	body := aws.ToString(m.Body)
	if rule := attributeOf(m, attributeRule); rule != "" {
		if body, err = ruleBody(r.stack, rule, body); err != nil {
			return err
		}
	}
	ctx = context.WithoutCancel(ctx) // Ctrl-C makes no copy
	in := &sqs.SendMessageInput{QueueUrl: &target.url, MessageBody: &body, MessageAttributes: map[string]types.MessageAttributeValue{
		attributeRedriven: {DataType: aws.String("String"), StringValue: aws.String("1")},
	}}
	for name, value := range m.MessageAttributes {
		switch name {
		case attributeRedriven, attributeReason: // the former is set
		case attributeRule, attributeTarget, attributeErrorCode, attributeErrorMessage, attributeRetries, attributeExhausted:
		default:
			in.MessageAttributes[name] = types.MessageAttributeValue{DataType: value.DataType, StringValue: value.StringValue, BinaryValue: value.BinaryValue}
		}
	}
	out, err := r.client.SendMessage(ctx, in)
	if err != nil {
		return err
	}
	r.sent[aws.ToString(out.MessageId)] = true
	r.to[target.name]++
	if _, err := r.client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &r.from.url, ReceiptHandle: m.ReceiptHandle}); err != nil {
		return fmt.Errorf("it was sent to %s, and could not be deleted here: %w", target.name, err)
	}
	return nil
}

// target returns the queue that a message was meant for.
func (r *redrive) target(m types.Message) (*queue, error) {
	if r.desk.to != nil {
		return r.desk.to, nil
	}
	arn := cmp.Or(attributeOf(m, attributeTarget), m.Attributes[string(types.MessageSystemAttributeNameDeadLetterQueueSourceArn)])
	if arn == "" && len(r.from.sources) == 1 {
		arn = r.from.sources[0]
	}
	if arn == "" {
		return nil, errors.New("nothing tells which queue it was meant for; name it by --queue and --to")
	}
	target := r.withARN(arn)
	switch {
	case target == nil:
		return nil, fmt.Errorf("it was meant for %s, which is not a queue of the stack; name one by --queue and --to", oneLine(arn))
	case target == r.from:
		return nil, errors.New("it was meant for the queue in which it is")
	}
	return target, nil
}

// holder receives messages, and releases in the end those that it should keep from being
// received again meanwhile.
type holder struct {
	client *sqs.Client
	url    string
	kept   []types.Message
}

// receive returns at most limit messages, none if nothing is there. Interrupted, it would
// lose what SQS is about to return, until that is visible again.
func (h *holder) receive(ctx context.Context, limit int) ([]types.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out, err := h.client.ReceiveMessage(context.WithoutCancel(ctx), &sqs.ReceiveMessageInput{
		QueueUrl: &h.url, MaxNumberOfMessages: int32(min(limit, maxPage)), VisibilityTimeout: int32(hiddenFor.Seconds()), WaitTimeSeconds: int32(finalWait.Seconds()),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}, MessageAttributeNames: []string{"All"},
	})
	if err != nil {
		return nil, err
	}
	return out.Messages, nil
}

func (h *holder) keep(messages ...types.Message) { h.kept = append(h.kept, messages...) }

// release makes the messages visible again. Those for which that fails become so later.
func (h *holder) release() {
	for page := range slices.Chunk(h.kept, maxPage) {
		var entries []types.ChangeMessageVisibilityBatchRequestEntry
		for i, m := range page {
			entries = append(entries, types.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle})
		}
		_, _ = h.client.ChangeMessageVisibilityBatch(context.Background(), &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &h.url, Entries: entries})
	}
}
