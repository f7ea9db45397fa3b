package part

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"

	"plaudit/local/template"
)

// Names builds the names, ids and ARNs of a stack's resources. They are the
// same in every run.
type Names struct{ template.Pseudo }

// ARN returns the ARN of a service's resource, such as function:hello.
func (n Names) ARN(service, resource string) string {
	return "arn:aws:" + service + ":" + n.Region + ":" + n.AccountID + ":" + resource
}

// Name returns the value of the property that names a resource. If the template
// leaves the name to CloudFormation, it is <stack>-<logical id>-<hash>.
func (n Names) Name(r template.Resource, property string) string {
	if name, ok := r.Properties[property].(string); ok && name != "" {
		return name
	}
	return n.StackName + "-" + r.ID + "-" + n.Base32(r, 12)
}

// ID returns an id as EC2 makes them: vpc-0123456789abcdef0.
func (n Names) ID(prefix string, r template.Resource) string { return prefix + "-" + n.Hex(r, 17) }

// Hex returns the first digits of the resource's hash, at most 64.
func (n Names) Hex(r template.Resource, length int) string {
	sum := n.hash(r)
	return hex.EncodeToString(sum[:])[:length]
}

// Base32 returns the first characters of the resource's hash, at most 52.
func (n Names) Base32(r template.Resource, length int) string {
	sum := n.hash(r)
	return base32.StdEncoding.EncodeToString(sum[:])[:length]
}

func (n Names) hash(r template.Resource) [sha256.Size]byte {
	return sha256.Sum256([]byte(n.StackName + "/" + r.ID))
}

// Short is Name, cut to the length that a service allows.
func (n Names) Short(r template.Resource, property string, limit int) string {
	if name, ok := r.Properties[property].(string); ok && name != "" {
		return name
	}
	end := "-" + n.Base32(r, 12)
	start := n.StackName + "-" + r.ID
	return start[:min(len(start), limit-len(end))] + end
}
