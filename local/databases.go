package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"plaudit/local/part"
	"plaudit/local/rds"
)

// startDatabase starts a cluster and keeps it running until stop.
func (c *cloud) startDatabase(ctx context.Context, d database) error {
	began := time.Now()
	password := d.password
	if password == "" {
		var err error
		if password, err = masterPassword(c.data, d.name); err != nil {
			return fmt.Errorf("master password of database %s: %w", d.name, err)
		}
		// RDS keeps a managed master password in a secret of this form.
		value, err := json.Marshal(map[string]string{"username": d.user, "password": password})
		if err != nil {
			return err
		}
		if err := c.parts.secrets.Put(d.secretName, string(value)); err != nil {
			return err
		}
	}
	for name, reason := range rds.Ignored(d.parameters) {
		c.log.Debug("parameter has no effect", "database", d.name, "parameter", name, "reason", reason)
	}
	config := rds.Config{
		Name: d.name, Dir: c.data, Port: d.port, Bin: c.postgres,
		MasterUser: d.user, MasterPassword: password, Database: d.name,
		Bridge: c.bridge, Parameters: d.parameters, Log: c.screen.output(d.name+"-database", never),
	}
	cluster, err := rds.Start(ctx, c.group, config)
	if err != nil {
		return err
	}
	// It runs until stop, and ctx ends with the start.
	life, end := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	c.onStop(func() {
		end()
		<-stopped
	})
	c.screen.line(d.name+" database", fmt.Sprintf("127.0.0.1:%d, PostgreSQL %s", d.port, cluster.Version()), time.Since(began))
	go func() {
		defer close(stopped)
		c.keep(life, d, config, cluster)
	}()
	if d.wanted != "" && d.wanted != cluster.Version() {
		c.log.Debug("the template has another version", "database", d.name, "template", d.wanted, "here", cluster.Version())
	}
	return c.announce(d, cluster, password)
}

// keep restarts a server that dies, as RDS does, until ctx ends.
func (c *cloud) keep(ctx context.Context, d database, config rds.Config, cluster *rds.Cluster) {
	for {
		select {
		case <-ctx.Done():
			// Cutting its connections loses nothing: commits are on disk.
			stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := cluster.Stop(stop); err != nil {
				c.log.Warn("database", "error", err)
			}
			return
		case <-cluster.Done():
		}
		c.log.Warn("database died; restarting it", "database", d.name, "reason", cluster.Err())
		for {
			next, err := rds.Start(ctx, c.group, config)
			if err == nil {
				cluster = next
				break
			}
			if ctx.Err() != nil {
				return
			}
			c.log.Error("database does not start", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
		c.log.Warn("database is back", "database", d.name, "pid", cluster.PID())
		if err := c.announce(d, cluster, config.MasterPassword); err != nil {
			c.log.Error("run.json is not up to date", "error", err)
		}
	}
}

func (c *cloud) announce(d database, cluster *rds.Cluster, password string) error {
	return c.run.change(func(r *part.Run) {
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
	return password, replaceFile(path, []byte(password+"\n"))
}
