package rds

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"plaudit/local/part"
	"plaudit/local/secretsmanager"
	"plaudit/local/template"
)

// Part is the part of a stack's databases and their parameter groups. A subnet
// group has no effect on a laptop.
type Part struct {
	laptop  part.Laptop
	secrets *secretsmanager.Service
	bin     string // folder of PostgreSQL's programs

	ports   map[string]int               // by logical id
	groups  map[string]map[string]string // parameters by name of the group
	planned []database
	data    string // folder of the clusters

	mu    sync.Mutex
	stops []func() // of the databases that have started
}

// database is an instance of the template.
type database struct {
	id, name       string // logical id; of the database and the cluster
	port           int
	user, password string // password is "" if RDS manages it
	group          string // of parameters; "" if it has none
	parameters     map[string]string
	secretName     string // of the password that RDS manages; "" if it does not
	wanted         string // EngineVersion
}

// NewPart returns the part, which runs the PostgreSQL programs of the folder bin.
// The passwords that RDS manages become secrets.
func NewPart(l part.Laptop, secrets *secretsmanager.Service, bin string) *Part {
	return &Part{laptop: l, secrets: secrets, bin: bin, ports: map[string]int{}, groups: map[string]map[string]string{}}
}

const (
	instanceType = "AWS::RDS::DBInstance"
	groupType    = "AWS::RDS::DBParameterGroup"
)

// Types implements part.Part.
func (p *Part) Types() []string { return []string{instanceType, groupType} }

// Prepare implements part.Preparer: it chooses an instance's port.
func (p *Part) Prepare(r template.Resource) error {
	if r.Type != instanceType {
		return nil
	}
	var err error
	p.ports[r.ID], err = p.laptop.Port(5433)
	return err
}

// Values implements part.Part.
func (p *Part) Values(r template.Resource) map[string]any { return p.ValuesOn("127.0.0.1", r) }

// ValuesOn implements part.Hosted.
func (p *Part) ValuesOn(host string, r template.Resource) map[string]any {
	n := p.laptop.Names
	if r.Type == groupType {
		name := strings.ToLower(n.Name(r, "DBParameterGroupName"))
		return map[string]any{"Ref": name, "DBParameterGroupName": name}
	}
	identifier := strings.ToLower(n.Name(r, "DBInstanceIdentifier"))
	return map[string]any{
		"Ref": identifier, "DBInstanceArn": n.ARN("rds", "db:"+identifier), "DbiResourceId": "db-" + n.Base32(r, 26),
		"Endpoint.Address": host, "Endpoint.Port": strconv.Itoa(p.ports[r.ID]),
		"MasterUserSecret.SecretArn": p.secrets.ARN(p.masterSecretName(r)),
	}
}

// masterSecretName returns the name of the secret that RDS makes for the master
// password of a database.
func (p *Part) masterSecretName(r template.Resource) string {
	sum := p.laptop.Hex(r, 32)
	return fmt.Sprintf("rds!db-%s-%s-%s-%s-%s", sum[:8], sum[8:12], sum[12:16], sum[16:20], sum[20:])
}

// ignored are properties without effect on a laptop, by type, with the reason.
var ignored = map[string]map[string]string{
	instanceType: {
		"AllocatedStorage": "the disk is this machine's", "MaxAllocatedStorage": "the disk is this machine's",
		"StorageType": "the disk is this machine's", "StorageEncrypted": "the disk is this machine's",
		"DBInstanceClass": "the processor is this machine's", "DBInstanceIdentifier": "only a name",
		"MultiAZ": part.NoNetwork, "PubliclyAccessible": part.NoNetwork, "DBSubnetGroupName": part.NoNetwork, "VPCSecurityGroups": part.NoNetwork,
		"AvailabilityZone": part.NoNetwork, "Port": "a free port of this machine takes its place",
		"EnableIAMDatabaseAuthentication": "logins have passwords: DbAuth is password",
		"BackupRetentionPeriod":           "no backups are made", "PreferredBackupWindow": "no backups are made",
		"CopyTagsToSnapshot": "no backups are made", "DeletionProtection": "`make clean` deletes it",
		"AutoMinorVersionUpgrade": "the installed version runs", "PreferredMaintenanceWindow": "the installed version runs",
		"EnableCloudwatchLogsExports": "its log is in .local", "EnablePerformanceInsights": "not monitored",
		"MonitoringInterval": "not monitored", "MonitoringRoleArn": part.NoIAM, "CACertificateIdentifier": "it speaks no TLS on 127.0.0.1",
		"Tags": "nothing reads them",
	},
	groupType: {
		"Description": "only a text", "Family": "the installed version runs", "DBParameterGroupName": "only a name", "Tags": "nothing reads them",
	},
}

func decode(r template.Resource, out any) error { return template.Decode(r, out, ignored[r.Type]) }

// Read implements part.Part.
func (p *Part) Read(r template.Resource) error {
	if r.Type == groupType {
		return p.readGroup(r)
	}
	return p.readInstance(r)
}

func (p *Part) readGroup(r template.Resource) error {
	var in struct {
		Parameters map[string]string `cfn:"Parameters"`
	}
	err := decode(r, &in)
	p.groups[p.Values(r)["Ref"].(string)] = in.Parameters // also after an error, which is reported once
	return err
}

func (p *Part) readInstance(r template.Resource) error {
	var in struct {
		DBName               string `cfn:"DBName,required"`
		Engine               string `cfn:"Engine,required"`
		EngineVersion        string `cfn:"EngineVersion"`
		DBParameterGroupName string `cfn:"DBParameterGroupName"`
		MasterUsername       string `cfn:"MasterUsername,required"`
		MasterUserPassword   string `cfn:"MasterUserPassword"`
		ManageMasterUser     bool   `cfn:"ManageMasterUserPassword"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	if in.Engine != "postgres" {
		return fmt.Errorf("%s: Engine: the laptop cloud runs postgres, not %s", r.ID, in.Engine)
	}
	if in.ManageMasterUser == (in.MasterUserPassword != "") {
		return fmt.Errorf("%s: set either ManageMasterUserPassword or MasterUserPassword", r.ID)
	}
	if slices.ContainsFunc(p.planned, func(d database) bool { return d.name == in.DBName }) {
		return fmt.Errorf("%s: DBName: two instances have a database %s; on a laptop each needs a name of its own", r.ID, in.DBName)
	}
	d := database{
		id: r.ID, name: in.DBName, port: p.ports[r.ID], wanted: in.EngineVersion,
		user: in.MasterUsername, password: in.MasterUserPassword, group: in.DBParameterGroupName,
	}
	if in.ManageMasterUser {
		d.secretName = p.masterSecretName(r)
	}
	p.planned = append(p.planned, d)
	return nil
}

// Link implements part.Linker.
func (p *Part) Link(*template.Stack) error {
	var errs []error
	for i := range p.planned {
		d := &p.planned[i]
		if d.group == "" {
			continue
		}
		var ok bool
		if d.parameters, ok = p.groups[d.group]; !ok {
			errs = append(errs, fmt.Errorf("%s: DBParameterGroupName: the stack has no group %s", d.id, d.group))
		}
	}
	return errors.Join(errs...)
}

// Start implements part.Part. The databases start side by side.
func (p *Part) Start(ctx context.Context) error {
	var err error
	if p.data, err = Root(p.laptop.Root); err != nil {
		return err
	}
	starts, ctx := errgroup.WithContext(ctx)
	for _, d := range p.planned {
		starts.Go(func() error { return p.start(ctx, d) })
	}
	return starts.Wait()
}

// start starts a cluster and keeps it running until Stop.
func (p *Part) start(ctx context.Context, d database) error {
	began := time.Now()
	password := d.password
	if password == "" {
		var err error
		if password, err = masterPassword(p.data, d.name); err != nil {
			return fmt.Errorf("master password of database %s: %w", d.name, err)
		}
		// RDS keeps a managed master password in a secret of this form.
		value, err := json.Marshal(map[string]string{"username": d.user, "password": password})
		if err != nil {
			return err
		}
		if err := p.secrets.Put(d.secretName, string(value)); err != nil {
			return err
		}
	}
	for name, reason := range Ignored(d.parameters) {
		p.laptop.Log.Debug("parameter has no effect", "database", d.name, "parameter", name, "reason", reason)
	}
	config := Config{
		Name: d.name, Dir: p.data, Port: d.port, Bin: p.bin,
		MasterUser: d.user, MasterPassword: password, Database: d.name,
		Bridge: p.laptop.Bridge, Parameters: d.parameters, Log: p.laptop.FileLog(d.name + "-database"),
	}
	cluster, err := Start(ctx, p.laptop.Group, config)
	if err != nil {
		return err
	}
	// It runs until Stop, and ctx ends with the start.
	life, end := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	p.mu.Lock()
	p.stops = append(p.stops, func() {
		end()
		<-stopped
	})
	p.mu.Unlock()
	p.laptop.Started(d.name+" database", fmt.Sprintf("127.0.0.1:%d, PostgreSQL %s", d.port, cluster.Version()), time.Since(began))
	go func() {
		defer close(stopped)
		p.keep(life, d, config, cluster)
	}()
	if d.wanted != "" && d.wanted != cluster.Version() {
		p.laptop.Log.Debug("the template has another version", "database", d.name, "template", d.wanted, "here", cluster.Version())
	}
	return p.announce(d, cluster, password)
}

// keep restarts a server that dies, as RDS does, until ctx ends.
func (p *Part) keep(ctx context.Context, d database, config Config, cluster *Cluster) {
	for {
		select {
		case <-ctx.Done():
			// Cutting its connections loses nothing: commits are on disk.
			stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := cluster.Stop(stop); err != nil {
				p.laptop.Log.Warn("database", "error", err)
			}
			return
		case <-cluster.Done():
		}
		p.laptop.Log.Warn("database died; restarting it", "database", d.name, "reason", cluster.Err())
		for {
			next, err := Start(ctx, p.laptop.Group, config)
			if err == nil {
				cluster = next
				break
			}
			if ctx.Err() != nil {
				return
			}
			p.laptop.Log.Error("database does not start", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
		p.laptop.Log.Warn("database is back", "database", d.name, "pid", cluster.PID())
		if err := p.announce(d, cluster, config.MasterPassword); err != nil {
			p.laptop.Log.Error("run.json is not up to date", "error", err)
		}
	}
}

func (p *Part) announce(d database, cluster *Cluster, password string) error {
	return p.laptop.ChangeRun(func(r *part.Run) {
		r.Databases[d.name] = part.RunDatabase{URL: cluster.URL(d.user, password, d.name), PID: cluster.PID()}
	})
}

// masterPassword returns the password that the cluster was made with, or a new
// one. Its file is beside the data, so that the two are deleted together.
func masterPassword(dir, name string) (string, error) {
	path := filepath.Join(dir, name+".password")
	content, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(content)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	password := rand.Text()
	return password, part.ReplaceFile(path, []byte(password+"\n"))
}

// API implements part.Part.
func (p *Part) API() (string, http.Handler) { return "", nil }

// Stop implements part.Part.
func (p *Part) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stop := range slices.Backward(p.stops) {
		stop()
	}
}
