package postgres

// RDSCertificates returns the embedded bundle.
func RDSCertificates() []byte { return rdsCA }
