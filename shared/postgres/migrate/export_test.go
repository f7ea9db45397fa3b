package migrate

// What the tests in package migrate_test see of the inside.
var (
	MakeRoles     = makeRoles
	ScramVerifier = scramVerifier
)
