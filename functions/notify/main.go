// Command notify is the Lambda that tells people by mail about changes that concern
// them.
//
//	EventBridge rules -> queue `mail` -> notify -> SES
//	                                     notify -> API (users, boards), mails table (claims)
package main

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"plaudit/shared/api"
	"plaudit/shared/boot"
	"plaudit/shared/cloud"
	"plaudit/shared/ddb"
	"plaudit/shared/mail"
	"plaudit/shared/notify"
	"plaudit/shared/queue"
)

// config is everything that this function reads from its environment. The names
// are those in template.yaml.
type config struct {
	MailsTable       string  `env:"MAILS_TABLE,notEmpty"`       // the claims
	ArchiveDays      int     `env:"ARCHIVE_DAYS,notEmpty"`      // how long the bus keeps events, which a replay sends again
	OutboxDays       int     `env:"OUTBOX_DAYS,notEmpty"`       // how long the log can be restored; claims live as long as both together
	QueueURL         string  `env:"QUEUE_URL,notEmpty"`         // the queue `mail`
	FailedQueueURL   string  `env:"FAILED_QUEUE_URL,notEmpty"`  // its dead-letter queue
	APIURL           string  `env:"API_URL,notEmpty"`           // https://<domain>; on a laptop http://127.0.0.1:<port>
	NotifyKeySecret  string  `env:"NOTIFY_KEY_SECRET,notEmpty"` // ARN of the secret with this function's API key
	MailSender       string  `env:"MAIL_SENDER,notEmpty"`       // such as Plaudit <scores@example.com>
	ConfigurationSet string  `env:"CONFIGURATION_SET"`          // of SES; empty: none, and no feedback comes back
	MailsPerSecond   float64 `env:"MAILS_PER_SECOND,notEmpty"`  // of this process
	MailsPerHour     int     `env:"MAILS_PER_HOUR,notEmpty"`    // to one user about events of other systems
}

func main() { boot.Main("notify", run) }

func run(ctx context.Context, cfg config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	aws := cloud.Config()
	claims := ddb.NewMails(aws, cfg.MailsTable, time.Duration(cfg.ArchiveDays+cfg.OutboxDays)*24*time.Hour)
	if err := claims.Check(ctx); err != nil {
		return err
	}
	queues := queue.NewMail(aws, cfg.QueueURL, cfg.FailedQueueURL)
	if err := queues.Check(ctx); err != nil {
		return err
	}
	sender, err := mail.New(aws, cfg.MailSender, cfg.ConfigurationSet, cfg.MailsPerSecond)
	if err != nil {
		return err
	}
	key, err := secret(ctx, aws, cfg.NotifyKeySecret)
	if err != nil {
		return err
	}
	client, err := api.New(cfg.APIURL, key)
	if err != nil {
		return err
	}
	service := &notify.Service{
		Accounts: client, Scores: client, Claims: claims, Mailer: sender, Queues: queues, Meter: meter{},
		Now: time.Now, PerHour: cfg.MailsPerHour, RatePause: time.Second,
	}
	return boot.Batch(ctx, handler{service}.handle, func(m events.SQSMessage) string { return notify.TraceParent(m.Body) })
}
