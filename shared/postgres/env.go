package postgres

// Env is the part of the environment that every deployable with a database reads,
// besides its DSN and password, whose names differ by database.
type Env struct {
	Auth   string `env:"DB_AUTH,notEmpty"`    // how roles log in: iam or password
	Region string `env:"AWS_REGION,notEmpty"` // of the database's IAM tokens; Lambda sets it
}

// Config returns the configuration of a database. The password is empty if
// roles log in by IAM.
func (e Env) Config(dsn, password string) Config {
	return Config{DSN: dsn, Password: password, Auth: e.Auth, Region: e.Region}
}
