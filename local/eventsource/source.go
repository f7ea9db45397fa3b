package eventsource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// Source reads DynamoDB streams. The client of aws-sdk-go-v2 is one.
type Source interface {
	ListStreams(context.Context, *dynamodbstreams.ListStreamsInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.ListStreamsOutput, error)
	DescribeStream(context.Context, *dynamodbstreams.DescribeStreamInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.DescribeStreamOutput, error)
	GetShardIterator(context.Context, *dynamodbstreams.GetShardIteratorInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetShardIteratorOutput, error)
	GetRecords(context.Context, *dynamodbstreams.GetRecordsInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetRecordsOutput, error)
}

// live is a Source that follows the engine's address, which may change when the
// engine starts again.
//
// MiniStack's iterators are positions in a stream, which count from 0 in each
// process: the next process takes one for a position behind records that nobody
// has read. So each client and each iterator belong to one process.
type live struct {
	config func() aws.Config
	ended  func() int // how many processes of the engine have ended

	mu     sync.Mutex
	url    string
	before int // processes that ended before the client's
	client *dynamodbstreams.Client
}

func newLive(config func() aws.Config, ended func() int) *live {
	return &live{config: config, ended: ended}
}

// errNoEngine keeps a request without an address from going to AWS.
var errNoEngine = errors.New("the engine does not run")

// errNextEngine keeps a request for one process of the engine from going to the next.
var errNextEngine = errors.New("the engine was started again")

// now returns a client for the process that the engine has now, and how many
// processes ended before it.
func (l *live) now() (*dynamodbstreams.Client, int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.ended()
	c := l.config()
	url := aws.ToString(c.BaseEndpoint)
	if url == "" {
		return nil, 0, errNoEngine
	}
	if l.client == nil || url != l.url || before != l.before {
		var dialer net.Dialer
		c.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				connection, err := dialer.DialContext(ctx, network, address)
				// The next process starts after the end of this one was counted.
				if err == nil && l.ended() != before {
					connection.Close()
					return nil, errNextEngine
				}
				return connection, err
			}
		})
		l.client, l.url, l.before = dynamodbstreams.NewFromConfig(c), url, before
	}
	return l.client, before, nil
}

// tagged returns an iterator with the process that it belongs to.
func tagged(iterator *string, before int) *string {
	if iterator == nil {
		return nil
	}
	return aws.String(fmt.Sprintf("%d %s", before, *iterator))
}

func (l *live) ListStreams(ctx context.Context, in *dynamodbstreams.ListStreamsInput, o ...func(*dynamodbstreams.Options)) (*dynamodbstreams.ListStreamsOutput, error) {
	c, _, err := l.now()
	if err != nil {
		return nil, err
	}
	return c.ListStreams(ctx, in, o...)
}

func (l *live) DescribeStream(ctx context.Context, in *dynamodbstreams.DescribeStreamInput, o ...func(*dynamodbstreams.Options)) (*dynamodbstreams.DescribeStreamOutput, error) {
	c, _, err := l.now()
	if err != nil {
		return nil, err
	}
	return c.DescribeStream(ctx, in, o...)
}

func (l *live) GetShardIterator(ctx context.Context, in *dynamodbstreams.GetShardIteratorInput, o ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetShardIteratorOutput, error) {
	c, before, err := l.now()
	if err != nil {
		return nil, err
	}
	out, err := c.GetShardIterator(ctx, in, o...)
	if err != nil {
		return nil, err
	}
	out.ShardIterator = tagged(out.ShardIterator, before)
	return out, nil
}

// GetRecords implements Source. The iterator of an earlier process has expired.
func (l *live) GetRecords(ctx context.Context, in *dynamodbstreams.GetRecordsInput, o ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetRecordsOutput, error) {
	c, before, err := l.now()
	if err != nil {
		return nil, err
	}
	of, iterator, _ := strings.Cut(aws.ToString(in.ShardIterator), " ")
	if of != strconv.Itoa(before) {
		return nil, &types.ExpiredIteratorException{Message: aws.String(errNextEngine.Error())}
	}
	// Not even the SDK may ask another engine with this iterator, after it lost the
	// connection to one whose end nobody counts: the user's own.
	once := func(o *dynamodbstreams.Options) { o.Retryer = aws.NopRetryer{} }
	out, err := c.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: &iterator, Limit: in.Limit}, append(slices.Clone(o), once)...)
	if err != nil {
		return nil, err
	}
	out.NextShardIterator = tagged(out.NextShardIterator, before)
	return out, nil
}

// serviceOf returns the service in an ARN, or "".
func serviceOf(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 && parts[0] == "arn" && parts[5] != "" {
		return parts[2]
	}
	return ""
}

// tableOf returns the table and the label in a stream's ARN:
// arn:aws:dynamodb:region:account:table/NAME/stream/LABEL.
func tableOf(streamARN string) (table, label string, ok bool) {
	parts := strings.SplitN(streamARN, ":", 6)
	if len(parts) != 6 || parts[2] != "dynamodb" {
		return "", "", false
	}
	path := strings.Split(parts[5], "/")
	if len(path) != 4 || path[0] != "table" || path[2] != "stream" || path[1] == "" || path[3] == "" {
		return "", "", false
	}
	return path[1], path[3], true
}

// findStream returns the ARN of the stream that a table has now. It differs from
// the template's when the table was made again.
func findStream(ctx context.Context, s Source, streamARN string) (string, error) {
	table, _, _ := tableOf(streamARN)
	in := &dynamodbstreams.ListStreamsInput{TableName: &table}
	newest := ""
	for {
		out, err := s.ListStreams(ctx, in)
		if err != nil {
			return "", err
		}
		for _, one := range out.Streams {
			newest = max(newest, aws.ToString(one.StreamArn)) // labels are times
		}
		if out.LastEvaluatedStreamArn == nil {
			break
		}
		in.ExclusiveStartStreamArn = out.LastEvaluatedStreamArn
	}
	if newest == "" {
		return "", fmt.Errorf("the table %s has no stream", table)
	}
	return newest, nil
}

// listShards returns all shards of a stream, and whether the table still writes
// into it.
func listShards(ctx context.Context, s Source, streamARN string) (shards []types.Shard, enabled bool, err error) {
	in := &dynamodbstreams.DescribeStreamInput{StreamArn: &streamARN}
	for {
		out, err := s.DescribeStream(ctx, in)
		if err != nil {
			return nil, false, err
		}
		shards = append(shards, out.StreamDescription.Shards...)
		if out.StreamDescription.LastEvaluatedShardId == nil {
			return shards, out.StreamDescription.StreamStatus != types.StreamStatusDisabled, nil
		}
		in.ExclusiveStartShardId = out.StreamDescription.LastEvaluatedShardId
	}
}

// getIterator returns an iterator behind a sequence number; if that is "", at the
// first record. A position that the stream no longer has is a position
// before its first record: the records around it have become too old, or the
// engine that had them has ended. No record that was read is in the stream then.
func getIterator(ctx context.Context, s Source, streamARN, shard, after string) (*string, error) {
	in := &dynamodbstreams.GetShardIteratorInput{StreamArn: &streamARN, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
	if after != "" {
		in.ShardIteratorType, in.SequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &after
	}
	out, err := s.GetShardIterator(ctx, in)
	if trimmed := new(types.TrimmedDataAccessException); errors.As(err, &trimmed) {
		in.ShardIteratorType, in.SequenceNumber = types.ShardIteratorTypeTrimHorizon, nil
		out, err = s.GetShardIterator(ctx, in)
	}
	if err != nil {
		return nil, err
	}
	return out.ShardIterator, nil
}

// Record returns a stream's record as Lambda passes it to functions.
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
func Record(streamARN string, r types.Record) ([]byte, error) {
	d := r.Dynamodb
	if d == nil {
		d = &types.StreamRecord{}
	}
	change := struct {
		Created   float64        `json:"ApproximateCreationDateTime"`
		Keys      map[string]any `json:"Keys,omitempty"`
		NewImage  map[string]any `json:"NewImage,omitempty"`
		OldImage  map[string]any `json:"OldImage,omitempty"`
		Sequence  string         `json:"SequenceNumber"`
		SizeBytes int64          `json:"SizeBytes"`
		ViewType  string         `json:"StreamViewType"`
	}{
		Keys: attributes(d.Keys), NewImage: attributes(d.NewImage), OldImage: attributes(d.OldImage),
		Sequence: aws.ToString(d.SequenceNumber), SizeBytes: aws.ToInt64(d.SizeBytes), ViewType: string(d.StreamViewType),
	}
	if d.ApproximateCreationDateTime != nil {
		change.Created = float64(d.ApproximateCreationDateTime.UnixMilli()) / 1000
	}
	var identity any
	if r.UserIdentity != nil { // a deletion by TTL
		identity = map[string]string{"type": aws.ToString(r.UserIdentity.Type), "principalId": aws.ToString(r.UserIdentity.PrincipalId)}
	}
	return encode(struct {
		EventID      string `json:"eventID"`
		EventName    string `json:"eventName"`
		EventVersion string `json:"eventVersion"`
		EventSource  string `json:"eventSource"`
		Region       string `json:"awsRegion"`
		Change       any    `json:"dynamodb"`
		Identity     any    `json:"userIdentity,omitempty"`
		SourceARN    string `json:"eventSourceARN"`
	}{aws.ToString(r.EventID), string(r.EventName), aws.ToString(r.EventVersion), "aws:dynamodb", aws.ToString(r.AwsRegion), change, identity, streamARN})
}

// Event returns the event that a function gets for records.
func Event(records ...[]byte) []byte {
	out := []byte(`{"Records":[`)
	for i, r := range records {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, r...)
	}
	return append(out, `]}`...)
}

// encode is json.Marshal that leaves <, > and & as they are.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

func attributes(in map[string]types.AttributeValue) map[string]any {
	out := make(map[string]any, len(in))
	for name, value := range in {
		out[name] = attribute(value)
	}
	return out
}

// attribute returns a value in DynamoDB's JSON.
func attribute(value types.AttributeValue) map[string]any {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return map[string]any{"S": v.Value}
	case *types.AttributeValueMemberN:
		return map[string]any{"N": v.Value}
	case *types.AttributeValueMemberB:
		return map[string]any{"B": orEmpty(v.Value)}
	case *types.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": v.Value}
	case *types.AttributeValueMemberNULL:
		return map[string]any{"NULL": v.Value}
	case *types.AttributeValueMemberM:
		return map[string]any{"M": attributes(v.Value)}
	case *types.AttributeValueMemberL:
		list := make([]any, len(v.Value))
		for i, item := range v.Value {
			list[i] = attribute(item)
		}
		return map[string]any{"L": list}
	case *types.AttributeValueMemberSS:
		return map[string]any{"SS": v.Value}
	case *types.AttributeValueMemberNS:
		return map[string]any{"NS": v.Value}
	case *types.AttributeValueMemberBS:
		list := make([][]byte, len(v.Value))
		for i, item := range v.Value {
			list[i] = orEmpty(item)
		}
		return map[string]any{"BS": list}
	}
	return map[string]any{"NULL": true} // a kind that this SDK does not know
}

// orEmpty keeps an empty binary value from becoming null.
func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// arrivedAt returns when an item was changed.
func arrivedAt(r types.Record) time.Time {
	if r.Dynamodb == nil || r.Dynamodb.ApproximateCreationDateTime == nil {
		return time.Now()
	}
	return *r.Dynamodb.ApproximateCreationDateTime
}
