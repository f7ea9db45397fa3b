package part

// Reasons why many properties, and whole resources, have no effect on a laptop.
const (
	NoNetwork = "everything runs on one machine, on 127.0.0.1"
	NoIAM     = "nothing checks permissions on a laptop"
)
