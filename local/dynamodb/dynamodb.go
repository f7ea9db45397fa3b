// Package dynamodb makes the DynamoDB tables of a template in the laptop's
// engine, which serves the APIs of DynamoDB and DynamoDB Streams.
package dynamodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"plaudit/local/engine"
	"plaudit/local/part"
	"plaudit/local/template"
)

// maxBody is more than the largest request, BatchWriteItem's 16 MB.
const maxBody = 20 << 20

// Service is the part that makes the tables.
type Service struct {
	laptop part.Laptop
	engine *engine.Engine
	tables []table
}

// New returns the service for a stack, without tables.
func New(l part.Laptop, e *engine.Engine) *Service { return &Service{laptop: l, engine: e} }

// table is a table of the template.
type table struct {
	id     string // logical id
	create dynamodb.CreateTableInput
	ttl    string // attribute; "": items do not expire
}

// Types implements part.Part.
func (s *Service) Types() []string { return []string{"AWS::DynamoDB::Table"} }

// StreamLabel is the label of every table's stream in the values of the template.
// The engine makes the real label when it makes a stream, which is after the
// values are known. A reader of the stream asks the engine for its ARN.
const StreamLabel = "latest"

// Values implements part.Part.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html
func (s *Service) Values(r template.Resource) map[string]any {
	name := s.name(r)
	arn := s.laptop.ARN("dynamodb", "table/"+name)
	values := map[string]any{"Ref": name, "TableName": name, "Arn": arn}
	if _, ok := r.Properties["StreamSpecification"]; ok {
		values["StreamArn"] = arn + "/stream/" + StreamLabel
	}
	return values
}

func (s *Service) name(r template.Resource) string { return s.laptop.Name(r, "TableName") }

const oneMachine = "the capacity is this machine's"

// ignored are properties without effect on a laptop, with the reason.
var ignored = map[string]string{
	"TableName": "Values reads it", "BillingMode": oneMachine, "ProvisionedThroughput": oneMachine, "OnDemandThroughput": oneMachine,
	"WarmThroughput": oneMachine, "TableClass": oneMachine, "ContributorInsightsSpecification": "not monitored",
	"PointInTimeRecoverySpecification": "no backups are made", "DeletionProtectionEnabled": "`make clean` deletes it",
	"SSESpecification": "the disk is this machine's", "Tags": "nothing reads them",
	"ResourcePolicy": part.NoIAM, "StreamSpecification.ResourcePolicy": part.NoIAM,
	"GlobalSecondaryIndexes.ProvisionedThroughput": oneMachine, "GlobalSecondaryIndexes.OnDemandThroughput": oneMachine,
	"GlobalSecondaryIndexes.WarmThroughput": oneMachine, "GlobalSecondaryIndexes.ContributorInsightsSpecification": "not monitored",
}

type key struct {
	AttributeName string `cfn:"AttributeName,required"`
	KeyType       string `cfn:"KeyType,required"`
}

type index struct {
	IndexName  string `cfn:"IndexName,required"`
	KeySchema  []key  `cfn:"KeySchema,required"`
	Projection struct {
		ProjectionType   string   `cfn:"ProjectionType"`
		NonKeyAttributes []string `cfn:"NonKeyAttributes"`
	} `cfn:"Projection,required"`
}

// Read implements part.Part.
func (s *Service) Read(r template.Resource) error {
	var in struct {
		AttributeDefinitions []struct {
			AttributeName string `cfn:"AttributeName,required"`
			AttributeType string `cfn:"AttributeType,required"`
		} `cfn:"AttributeDefinitions,required"`
		KeySchema           []key `cfn:"KeySchema,required"`
		StreamSpecification *struct {
			StreamViewType string `cfn:"StreamViewType,required"`
		} `cfn:"StreamSpecification"`
		TimeToLive struct {
			AttributeName string `cfn:"AttributeName"`
			Enabled       bool   `cfn:"Enabled,required"`
		} `cfn:"TimeToLiveSpecification"`
		Global []index `cfn:"GlobalSecondaryIndexes"`
		Local  []index `cfn:"LocalSecondaryIndexes"`
	}
	if err := template.Decode(r, &in, ignored); err != nil {
		return err
	}
	name := s.name(r)
	if slices.ContainsFunc(s.tables, func(t table) bool { return *t.create.TableName == name }) {
		return fmt.Errorf("%s: TableName: the stack has another table called %s", r.ID, name)
	}
	t := table{id: r.ID, create: dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest, KeySchema: keys(in.KeySchema),
	}}
	for _, a := range in.AttributeDefinitions {
		t.create.AttributeDefinitions = append(t.create.AttributeDefinitions, types.AttributeDefinition{
			AttributeName: &a.AttributeName, AttributeType: types.ScalarAttributeType(a.AttributeType),
		})
	}
	if in.StreamSpecification != nil {
		t.create.StreamSpecification = stream(types.StreamViewType(in.StreamSpecification.StreamViewType))
	}
	for _, i := range in.Global {
		t.create.GlobalSecondaryIndexes = append(t.create.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: &i.IndexName, KeySchema: keys(i.KeySchema), Projection: i.projection(),
		})
	}
	for _, i := range in.Local {
		t.create.LocalSecondaryIndexes = append(t.create.LocalSecondaryIndexes, types.LocalSecondaryIndex{
			IndexName: &i.IndexName, KeySchema: keys(i.KeySchema), Projection: i.projection(),
		})
	}
	if in.TimeToLive.Enabled {
		if in.TimeToLive.AttributeName == "" {
			return fmt.Errorf("%s: TimeToLiveSpecification.AttributeName: the property is missing", r.ID)
		}
		t.ttl = in.TimeToLive.AttributeName
	}
	s.tables = append(s.tables, t)
	s.engine.Want()
	return nil
}

func keys(in []key) []types.KeySchemaElement {
	var out []types.KeySchemaElement
	for _, k := range in {
		out = append(out, types.KeySchemaElement{AttributeName: &k.AttributeName, KeyType: types.KeyType(k.KeyType)})
	}
	return out
}

func (i index) projection() *types.Projection {
	return &types.Projection{ProjectionType: types.ProjectionType(i.Projection.ProjectionType), NonKeyAttributes: i.Projection.NonKeyAttributes}
}

func stream(view types.StreamViewType) *types.StreamSpecification {
	enabled := true
	return &types.StreamSpecification{StreamEnabled: &enabled, StreamViewType: view}
}

// Start implements part.Part: it makes the tables that are missing, and changes
// those that differ from the template. Tables that the template does not have
// stay as they are.
func (s *Service) Start(ctx context.Context) error {
	if len(s.tables) == 0 {
		return nil
	}
	began := time.Now()
	s.engine.AfterLoss(s.makeAll)
	if err := s.makeAll(ctx); err != nil {
		return err
	}
	s.laptop.Started("DynamoDB", fmt.Sprintf("tables %d", len(s.tables)), time.Since(began))
	return s.reportOthers(ctx)
}

// Stop implements part.Part. The tables stay in the engine.
func (s *Service) Stop() {}

// API implements part.Part. DynamoDB Streams has the same scope.
func (s *Service) API() (string, http.Handler) { return "dynamodb", s.engine.Proxy(maxBody) }

func (s *Service) client() *dynamodb.Client { return dynamodb.NewFromConfig(s.engine.Config()) }

func (s *Service) makeAll(ctx context.Context) error {
	client := s.client()
	var errs []error
	for _, t := range s.tables {
		if err := engine.Settle(func() error { return t.make(ctx, client, s.laptop.Say) }); err != nil {
			errs = append(errs, fmt.Errorf("%s: table %s: %w", t.id, *t.create.TableName, err))
		}
	}
	return errors.Join(errs...)
}

// reportOthers names tables that the template does not have (any more).
func (s *Service) reportOthers(ctx context.Context) error {
	pages := dynamodb.NewListTablesPaginator(s.client(), &dynamodb.ListTablesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, name := range page.TableNames {
			if !slices.ContainsFunc(s.tables, func(t table) bool { return *t.create.TableName == name }) {
				s.laptop.Say(fmt.Sprintf("warning: the template has no DynamoDB table %s; the laptop keeps it, with its data", name))
			}
		}
	}
	return nil
}

// make makes the table, or changes it to what the template says.
func (t table) make(ctx context.Context, client *dynamodb.Client, say func(string)) error {
	name := t.create.TableName
	out, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: name})
	if missing := (*types.ResourceNotFoundException)(nil); errors.As(err, &missing) {
		if _, err := client.CreateTable(ctx, &t.create); err != nil {
			return err
		}
	} else if err != nil {
		return err
	} else if err := t.change(ctx, client, out.Table, say); err != nil {
		return err
	}
	waiter := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = 50 * time.Millisecond })
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: name}, time.Minute); err != nil {
		return err
	}
	return t.expire(ctx, client)
}

// change updates what can change of a table that exists: its stream and its
// global indexes.
func (t table) change(ctx context.Context, client *dynamodb.Client, is *types.TableDescription, say func(string)) error {
	if have, want := shape(is.KeySchema, is.AttributeDefinitions), shape(t.create.KeySchema, t.create.AttributeDefinitions); have != want {
		return fmt.Errorf("its key on this laptop is %s, and the template says %s. A key cannot change: give the table another TableName, or delete the laptop's data with `make clean`", have, want)
	}
	local := map[string]string{}
	for _, i := range is.LocalSecondaryIndexes {
		local[*i.IndexName] = indexShape(i.KeySchema, is.AttributeDefinitions, i.Projection)
	}
	wantLocal := map[string]string{}
	for _, i := range t.create.LocalSecondaryIndexes {
		wantLocal[*i.IndexName] = indexShape(i.KeySchema, t.create.AttributeDefinitions, i.Projection)
	}
	if !maps.Equal(local, wantLocal) {
		return errors.New("its LocalSecondaryIndexes differ from the template's. They cannot change: give the table another TableName, or delete the laptop's data with `make clean`")
	}
	if err := t.changeStream(ctx, client, is, say); err != nil {
		return err
	}
	return t.changeIndexes(ctx, client, is)
}

func (t table) changeStream(ctx context.Context, client *dynamodb.Client, is *types.TableDescription, say func(string)) error {
	var have, want types.StreamViewType
	if is.StreamSpecification != nil && is.StreamSpecification.StreamEnabled != nil && *is.StreamSpecification.StreamEnabled {
		have = is.StreamSpecification.StreamViewType
	}
	if t.create.StreamSpecification != nil {
		want = t.create.StreamSpecification.StreamViewType
	}
	if have == want {
		return nil
	}
	say(fmt.Sprintf("table %s: its stream changes from %s to %s", *t.create.TableName, cmp.Or(string(have), "none"), cmp.Or(string(want), "none")))
	off := false
	var steps []*types.StreamSpecification
	if have != "" { // a stream's view cannot change: the table gets another stream
		steps = append(steps, &types.StreamSpecification{StreamEnabled: &off})
	}
	if want != "" {
		steps = append(steps, stream(want))
	}
	for _, step := range steps {
		if _, err := client.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: t.create.TableName, StreamSpecification: step}); err != nil {
			return err
		}
	}
	return nil
}

func (t table) changeIndexes(ctx context.Context, client *dynamodb.Client, is *types.TableDescription) error {
	have, want := map[string]string{}, map[string]string{}
	for _, i := range is.GlobalSecondaryIndexes {
		have[*i.IndexName] = indexShape(i.KeySchema, is.AttributeDefinitions, i.Projection)
	}
	var updates []types.GlobalSecondaryIndexUpdate
	for _, i := range t.create.GlobalSecondaryIndexes {
		want[*i.IndexName] = indexShape(i.KeySchema, t.create.AttributeDefinitions, i.Projection)
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if have[name] != want[name] {
			updates = append(updates, types.GlobalSecondaryIndexUpdate{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: &name}})
		}
	}
	for _, i := range t.create.GlobalSecondaryIndexes {
		if have[*i.IndexName] != want[*i.IndexName] {
			updates = append(updates, types.GlobalSecondaryIndexUpdate{Create: &types.CreateGlobalSecondaryIndexAction{
				IndexName: i.IndexName, KeySchema: i.KeySchema, Projection: i.Projection,
			}})
		}
	}
	for _, update := range updates { // one a request
		_, err := client.UpdateTable(ctx, &dynamodb.UpdateTableInput{
			TableName: t.create.TableName, AttributeDefinitions: t.create.AttributeDefinitions,
			GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{update},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// expire turns the TTL of the table on or off, or to another attribute.
func (t table) expire(ctx context.Context, client *dynamodb.Client) error {
	out, err := client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: t.create.TableName})
	if err != nil {
		return err
	}
	have := ""
	if d := out.TimeToLiveDescription; d != nil && d.AttributeName != nil &&
		(d.TimeToLiveStatus == types.TimeToLiveStatusEnabled || d.TimeToLiveStatus == types.TimeToLiveStatusEnabling) {
		have = *d.AttributeName
	}
	if have == t.ttl {
		return nil
	}
	set := func(attribute string, enabled bool) error {
		_, err := client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
			TableName:               t.create.TableName,
			TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &attribute, Enabled: &enabled},
		})
		return err
	}
	if have != "" {
		if err := set(have, false); err != nil {
			return err
		}
	}
	if t.ttl == "" {
		return nil
	}
	return set(t.ttl, true)
}

// shape writes a key such as "k (S) HASH, s (S) RANGE".
func shape(schema []types.KeySchemaElement, attributes []types.AttributeDefinition) string {
	var out []string
	for _, k := range schema {
		kind := "not defined"
		for _, a := range attributes {
			if *a.AttributeName == *k.AttributeName {
				kind = string(a.AttributeType)
			}
		}
		out = append(out, fmt.Sprintf("%s (%s) %s", *k.AttributeName, kind, k.KeyType))
	}
	return strings.Join(out, ", ")
}

func indexShape(schema []types.KeySchemaElement, attributes []types.AttributeDefinition, p *types.Projection) string {
	var also []string
	kind := types.ProjectionTypeAll
	if p != nil {
		kind = cmp.Or(p.ProjectionType, kind)
		also = slices.Sorted(slices.Values(p.NonKeyAttributes))
	}
	return fmt.Sprintf("%s %s %v", shape(schema, attributes), kind, also)
}
