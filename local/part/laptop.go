package part

import (
	"io"
	"log/slog"
	"net/netip"
	"time"

	"plaudit/local/process"
)

// Laptop is what the laptop cloud offers to its parts. It is complete before the
// first part is made.
type Laptop struct {
	Names
	Root     string         // folder of samconfig.toml
	Folder   string         // .local in it, for data and files
	Endpoint string         // URL of the one endpoint of every AWS API
	Engine   string         // URL of an engine of AWS APIs that is already running; "": MiniStack
	Group    *process.Group // of every process: none of them outlives the laptop cloud
	Log      *slog.Logger   // the laptop cloud's own
	// Bridge is this machine's address for containers, with their subnet. It is
	// zero if there are none, or if they reach 127.0.0.1.
	Bridge netip.Prefix

	// Port returns want, or the next free port after it, and reserves it.
	Port func(want int) (int, error)
	// Program returns the file of the program that is built of a package.
	Program func(pkg string) string
	// Started shows a line on the terminal: what has started, and how long that
	// took.
	Started func(what, detail string, took time.Duration)
	// Say shows a line on the terminal.
	Say func(text string)
	// JSONLog takes the output of a program that logs JSON, and puts name before
	// each line. Its warnings and errors are shown on the terminal.
	JSONLog func(name string) io.Writer
	// FileLog takes the output of a program that only .local/laptop.log gets.
	FileLog func(name string) io.Writer
	// ChangeRun changes what run.json says.
	ChangeRun func(func(*Run)) error
	// Fail ends the laptop cloud with an error.
	Fail func(error)
}

// Run is run.json: it exists while everything runs, and holds the addresses and
// passwords for tests and people.
type Run struct {
	URL       string                 `json:"url"`
	AWS       string                 `json:"aws"`
	Region    string                 `json:"region"`
	Databases map[string]RunDatabase `json:"databases"`       // by name of the database
	PIDs      map[string]int         `json:"pids"`            // by part
	Functions map[string]string      `json:"functions"`       // names in AWS, by folder
	Inbox     string                 `json:"inbox,omitempty"` // address of the inbox, if the template sends mail
	Schedules []RunSchedule          `json:"schedules,omitempty"`
}

// RunSchedule is a schedule in run.json that invokes a function.
type RunSchedule struct {
	Name     string `json:"name"`
	ARN      string `json:"arn"`
	Function string `json:"function"`        // its name in AWS
	Input    string `json:"input,omitempty"` // "": the schedule's event
}

// RunDatabase is a database in run.json.
type RunDatabase struct {
	URL string `json:"url"` // with the master user, who may read every table, and its password
	PID int    `json:"pid"`
}

// EndpointVariable is the variable in which AWS SDKs look for an endpoint.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
const EndpointVariable = "AWS_ENDPOINT_URL"

// AWSEnvironment returns the variables by which an AWS SDK finds the laptop's
// endpoint, with credentials that are valid nowhere.
func AWSEnvironment(endpoint string) map[string]string {
	return map[string]string{
		EndpointVariable:        endpoint,
		"AWS_ACCESS_KEY_ID":     "laptop",
		"AWS_SECRET_ACCESS_KEY": "laptop",
		// The SDK would ask EC2's metadata address, which a laptop does not have.
		"AWS_EC2_METADATA_DISABLED": "true",
	}
}
