// Package ses runs Amazon SES on the laptop: it takes mail over the API of SES v2,
// checks it as the service does, and puts it into an inbox that people and tests read
// over HTTP, instead of sending it.
//
//	SendEmail -> .local/inbox -> pages and JSON
//	          -> bounces and complaints -> default event bus
package ses

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"plaudit/local/part"
	"plaudit/local/template"
)

// Bus takes the events that SES sends to the default event bus of EventBridge.
type Bus interface {
	// PutAWS puts an event of an AWS service on the default bus.
	PutAWS(ctx context.Context, e Event) error
}

// Service is the part that takes mail.
type Service struct {
	laptop part.Laptop
	port   net.Listener // of the inbox
	bus    Bus
	read   bool // the template has something of SES

	sets         map[string]*configurationSet // by name
	identities   map[string]identity          // by address or domain, as identityKey returns it
	destinations []destination

	mails    *store
	settings *settings
	server   *http.Server

	ctx    context.Context // of the events that go to the bus
	cancel context.CancelFunc
	work   sync.WaitGroup
	mu     sync.Mutex
	closed bool // work does not grow any more
}

// configurationSet is a resource of the template.
type configurationSet struct {
	paused bool               // it refuses mail
	events map[EventKind]bool // that go to the default bus
}

// identity is an address or a domain from which mail may be sent.
type identity struct{ name, configurationSet string }

// destination is an event destination, until Link has given it to its set.
type destination struct {
	id, set string
	enabled bool
	kinds   []EventKind
}

// New returns the service for a stack, without resources. The inbox is served on port.
func New(l part.Laptop, port net.Listener, bus Bus) *Service {
	return &Service{
		laptop: l, port: port, bus: bus,
		sets: map[string]*configurationSet{}, identities: map[string]identity{}, settings: newSettings(time.Now),
	}
}

const (
	setType         = "AWS::SES::ConfigurationSet"
	destinationType = "AWS::SES::ConfigurationSetEventDestination"
	identityType    = "AWS::SES::EmailIdentity"
)

// Types implements part.Part.
func (s *Service) Types() []string { return []string{setType, destinationType, identityType} }

// Values implements part.Part.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_SES.html
func (s *Service) Values(r template.Resource) map[string]any {
	n := s.laptop.Names
	switch r.Type {
	case setType:
		return map[string]any{"Ref": n.Short(r, "Name", 64)}
	case destinationType:
		id := n.Base32(r, 12)
		return map[string]any{"Ref": id, "Id": id}
	}
	name, _ := r.Properties["EmailIdentity"].(string)
	values := map[string]any{"Ref": name}
	for i := 1; i <= 3; i++ { // the records that a domain's owner publishes
		token := strings.ToLower(n.Base32(template.Resource{ID: fmt.Sprint(r.ID, i)}, 32))
		values["DkimDNSTokenName"+strconv.Itoa(i)] = token + "._domainkey." + name
		values["DkimDNSTokenValue"+strconv.Itoa(i)] = token + ".dkim.amazonses.com"
	}
	return values
}

// ignored are properties without effect on a laptop, by type, with the reason.
var ignored = map[string]map[string]string{
	setType: {
		"Name": "Values reads it", "Tags": "nothing reads them", "ReputationOptions": "a laptop has no reputation to lose",
		"SuppressionOptions": "addresses are suppressed by the inbox's settings only", "TrackingOptions": "nothing is tracked",
		"DeliveryOptions": "nothing is delivered by SMTP", "VdmOptions": "nothing advises", "ArchivingOptions": "the inbox keeps the mail",
	},
	destinationType: {"EventDestination.Name": "only a name"},
	identityType: {
		"DkimAttributes": "nothing is signed", "DkimSigningAttributes": "nothing is signed", "Tags": "nothing reads them",
		"MailFromAttributes": "nothing is delivered by SMTP", "FeedbackAttributes": "feedback is sent by events only",
	},
}

// Read implements part.Part.
func (s *Service) Read(r template.Resource) error {
	s.read = true
	switch r.Type {
	case setType:
		return s.readSet(r)
	case destinationType:
		return s.readDestination(r)
	}
	return s.readIdentity(r)
}

func (s *Service) readSet(r template.Resource) error {
	var in struct {
		SendingOptions struct {
			SendingEnabled *bool `cfn:"SendingEnabled"`
		} `cfn:"SendingOptions"`
	}
	if err := template.Decode(r, &in, ignored[r.Type]); err != nil {
		return err
	}
	name := s.Values(r)["Ref"].(string)
	if s.sets[name] != nil {
		return fmt.Errorf("%s: Name: the stack has another configuration set called %s", r.ID, name)
	}
	enabled := in.SendingOptions.SendingEnabled
	s.sets[name] = &configurationSet{paused: enabled != nil && !*enabled, events: map[EventKind]bool{}}
	return nil
}

func (s *Service) readDestination(r template.Resource) error {
	var in struct {
		ConfigurationSetName string `cfn:"ConfigurationSetName,required"`
		EventDestination     struct {
			Enabled                bool     `cfn:"Enabled"` // false, if it is missing
			MatchingEventTypes     []string `cfn:"MatchingEventTypes,required"`
			EventBridgeDestination struct {
				EventBusArn string `cfn:"EventBusArn,required"`
			} `cfn:"EventBridgeDestination,required"`
		} `cfn:"EventDestination,required"`
	}
	if err := template.Decode(r, &in, ignored[r.Type]); err != nil {
		return err
	}
	var errs []error
	wrong := func(property, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: EventDestination.%s: %s", r.ID, property, fmt.Sprintf(format, args...)))
	}
	d := destination{id: r.ID, set: in.ConfigurationSetName, enabled: in.EventDestination.Enabled}
	for i, text := range in.EventDestination.MatchingEventTypes {
		switch kind := EventKind(text); {
		case kind == Bounce || kind == Complaint:
			d.kinds = append(d.kinds, kind)
		case slices.Contains(otherEvents, text):
			wrong(fmt.Sprintf("MatchingEventTypes[%d]", i), "the laptop cloud sends events of the types %s and %s, not %s", Bounce, Complaint, text)
		default:
			wrong(fmt.Sprintf("MatchingEventTypes[%d]", i), "SES has no events of the type %q; it must be one of %s", text, strings.Join(append([]string{string(Bounce), string(Complaint)}, otherEvents...), ", "))
		}
	}
	if want := s.laptop.ARN("events", "event-bus/default"); in.EventDestination.EventBridgeDestination.EventBusArn != want {
		wrong("EventBridgeDestination.EventBusArn", "it must be the default bus, %s", want)
	}
	s.destinations = append(s.destinations, d)
	return errors.Join(errs...)
}

func (s *Service) readIdentity(r template.Resource) error {
	var in struct {
		EmailIdentity string `cfn:"EmailIdentity,required"`
		Configuration struct {
			SetName string `cfn:"ConfigurationSetName"`
		} `cfn:"ConfigurationSetAttributes"`
	}
	if err := template.Decode(r, &in, ignored[r.Type]); err != nil {
		return err
	}
	name := in.EmailIdentity
	switch {
	case strings.Contains(name, "@"):
		if got, err := parseAddress(name); err != nil || got.Address != name {
			return fmt.Errorf("%s: EmailIdentity: it must be an address, without a name, or a domain", r.ID)
		}
	case !domainPattern.MatchString(name):
		return fmt.Errorf("%s: EmailIdentity: it must be an address or a domain", r.ID)
	}
	key := identityKey(name)
	if _, ok := s.identities[key]; ok {
		return fmt.Errorf("%s: EmailIdentity: the stack has another identity %s", r.ID, name)
	}
	s.identities[key] = identity{name, in.Configuration.SetName}
	return nil
}

// Link implements part.Linker.
func (s *Service) Link(*template.Stack) error {
	var errs []error
	for _, d := range s.destinations {
		set := s.sets[d.set]
		if set == nil {
			errs = append(errs, fmt.Errorf("%s: ConfigurationSetName: the stack has no configuration set %s", d.id, d.set))
			continue
		}
		for _, kind := range d.kinds {
			set.events[kind] = set.events[kind] || d.enabled
		}
	}
	for _, i := range s.identities {
		if i.configurationSet != "" && s.sets[i.configurationSet] == nil {
			errs = append(errs, fmt.Errorf("the identity %s: ConfigurationSetAttributes.ConfigurationSetName: the stack has no configuration set %s", i.name, i.configurationSet))
		}
	}
	return errors.Join(errs...)
}

// folderName is the folder of the mails in .local.
const folderName = "inbox"

// Remove deletes the mails of an earlier run; folder is .local.
func Remove(folder string) error { return os.RemoveAll(filepath.Join(folder, folderName)) }

// Start implements part.Part. A stack without anything of SES has no inbox.
func (s *Service) Start(context.Context) error {
	if !s.read {
		return s.port.Close()
	}
	began := time.Now()
	var err error
	if s.mails, err = openStore(filepath.Join(s.laptop.Folder, folderName), maxMails, s.laptop.Log); err != nil {
		return fmt.Errorf("the inbox: %w", err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.server = &http.Server{
		Handler:           s.inbox(strconv.Itoa(s.port.Addr().(*net.TCPAddr).Port)),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.laptop.Log.Handler(), slog.LevelDebug),
	}
	s.work.Go(func() {
		if err := s.server.Serve(s.port); !errors.Is(err, http.ErrServerClosed) {
			s.laptop.Fail(fmt.Errorf("the inbox: %w", err))
		}
	})
	url := "http://" + s.port.Addr().String()
	s.laptop.Started("inbox", fmt.Sprintf("%s, mails %d", url, s.mails.count()), time.Since(began))
	return s.laptop.ChangeRun(func(r *part.Run) { r.Inbox = url })
}

// Stop implements part.Part. Feedback that has not reached the bus is lost, as SES
// may lose some of it, too.
func (s *Service) Stop() {
	if s.server != nil {
		s.server.Close()
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
	}
	s.work.Wait()
}
