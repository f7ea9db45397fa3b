package postgres

// What the tests in package postgres_test see of the inside.
var (
	Bounded       = bounded
	InTx          = inTx
	MakeRoles     = makeRoles
	ScramVerifier = scramVerifier
	Wrap          = wrap
)

// RDSCertificates is the embedded bundle.
func RDSCertificates() []byte { return rdsCA }
