package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"plaudit/shared/access"
	"plaudit/shared/jose"
)

// Keys of the secrets file that hold a rotation's state. They are not template
// parameters, so they are not printed.
const (
	nextKey    = "NextSigningKey" // from begin to switch: the next private key
	switchedAt = "SwitchedAt"     // from switch to finish: the time of the switch, RFC 3339
)

// tokenLifetime is how long tokens of the old key stay valid after the last one
// was signed.
const tokenLifetime = 15 * time.Minute

const rotateUsage = `usage: plaudit secrets rotate --file FILE begin    make the next key pair and add its public half to Jwks
       plaudit secrets rotate --file FILE switch   sign with the next key
       plaudit secrets rotate --file FILE finish   remove the old public half from Jwks
Deploy what each step prints before the next. docs/key-rotation.md has the details.
`

// rotate replaces the signing key in three steps, each to be deployed before
// the next, so that every process can verify every valid token at every moment.
// Repeating a step changes nothing; a step out of order is refused. Like secrets
// it prints the template's parameters.
func rotate(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("secrets rotate", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(stderr, rotateUsage); flags.PrintDefaults() }
	file := flags.String("file", "", "`FILE` in which plaudit secrets keeps the parameters")
	now := flags.Bool("now", false, "finish at once: tokens of the old key, valid for up to 15 minutes more, are refused")
	step, err := parseStep(flags, args, stderr)
	if err != nil {
		return err
	}
	if *file == "" {
		return wrong(flags, stderr, errors.New("name the secrets file with --file"))
	}

	params := map[string]string{}
	if err := readSecrets(*file, params); err != nil {
		return err
	}
	if err := consistent(params); err != nil {
		return fmt.Errorf("%s: %w", *file, err)
	}
	var changed bool
	var next string
	switch step {
	case "begin":
		changed, next, err = begin(params)
	case "switch":
		changed, next, err = switchSigner(params, time.Now())
	case "finish":
		changed, next, err = finish(params, time.Now(), *now)
	default:
		return wrong(flags, stderr, fmt.Errorf("the step must be begin, switch or finish, not %q", step))
	}
	if err != nil {
		return err
	}
	if changed {
		text, err := encode(params)
		if err != nil {
			return err
		}
		if err := writeSecrets(*file, text); err != nil {
			return err
		}
	} else {
		next = "Nothing changed: this step is already done. " + next
	}
	fmt.Fprintln(stderr, next)
	return printParameters(stdout, params)
}

// parseStep reads the step's name, with flags before and after it.
func parseStep(flags *flag.FlagSet, args []string, stderr io.Writer) (step string, err error) {
	for err = parseFlags(flags, args, stderr); err == nil && flags.NArg() > 0; err = parseFlags(flags, flags.Args()[1:], stderr) {
		if step != "" {
			return "", wrong(flags, stderr, fmt.Errorf("unexpected argument %q after the step %s", flags.Arg(0), step))
		}
		step = flags.Arg(0)
	}
	return step, err
}

// consistent returns an error if a deployment could not run with the parameters.
func consistent(params map[string]string) error {
	if params["SigningKey"] == "" || params["Jwks"] == "" {
		return errors.New("it contains no signing key; make one with `plaudit secrets --file FILE`")
	}
	signer, err := jose.NewSigner(params["SigningKey"])
	if err != nil {
		return err
	}
	verifier, err := jose.NewVerifier(params["Jwks"])
	if err != nil {
		return fmt.Errorf("its Jwks: %w", err)
	}
	token, err := signer.Sign(access.Caller{User: "rotate", Role: access.Member}, time.Minute)
	if err != nil {
		return err
	}
	if _, err := verifier.Verify(token); err != nil {
		return errors.New("its Jwks lacks the public half of its SigningKey")
	}
	return nil
}

func begin(params map[string]string) (changed bool, next string, err error) {
	next = `Deploy these parameters. When every function and task runs with them, and 5 minutes more have passed
(clients may cache /.well-known/jwks.json that long), continue with: plaudit secrets rotate --file FILE switch`
	switch {
	case params[switchedAt] != "":
		return false, "", errors.New("the previous rotation is not finished; first run `plaudit secrets rotate --file FILE finish`")
	case params[nextKey] != "":
		return false, next, nil
	}
	key, jwks, err := jose.GenerateKey()
	if err != nil {
		return false, "", err
	}
	if params["Jwks"], err = jose.Merge(params["Jwks"], jwks); err != nil {
		return false, "", err
	}
	params[nextKey] = key
	return true, next, nil
}

func switchSigner(params map[string]string, at time.Time) (changed bool, next string, err error) {
	next = `Deploy these parameters, and restart every task of the users service: a task reads the key when it starts.
When no old task is left, and 15 minutes more have passed, continue with: plaudit secrets rotate --file FILE finish`
	switch {
	case params[switchedAt] != "":
		return false, next, nil
	case params[nextKey] == "":
		return false, "", errors.New("no next key exists; first run `plaudit secrets rotate --file FILE begin`")
	}
	params["SigningKey"] = params[nextKey]
	delete(params, nextKey)
	params[switchedAt] = at.UTC().Format(time.RFC3339)
	return true, next, consistent(params)
}

func finish(params map[string]string, at time.Time, early bool) (changed bool, next string, err error) {
	switch {
	case params[nextKey] != "":
		return false, "", errors.New("the next key does not sign yet; first run `plaudit secrets rotate --file FILE switch`")
	case params[switchedAt] == "":
		return false, "", errors.New("no rotation is in progress; start one with `plaudit secrets rotate --file FILE begin`")
	}
	since, err := time.Parse(time.RFC3339, params[switchedAt])
	if err != nil {
		return false, "", fmt.Errorf("%s in the file is not a time: %w", switchedAt, err)
	}
	if left := since.Add(tokenLifetime).Sub(at); left > 0 && !early {
		return false, "", fmt.Errorf("tokens of the old key are valid for up to %s more, counted from the switch, or longer if its deployment took a while; "+
			"wait, or add --now to have them refused", left.Round(time.Second))
	}
	if params["Jwks"], err = jose.PublicKeys(params["SigningKey"]); err != nil {
		return false, "", err
	}
	delete(params, switchedAt)
	return true, "Deploy these parameters. Then the rotation is complete, and tokens of the old key are refused.", nil
}
