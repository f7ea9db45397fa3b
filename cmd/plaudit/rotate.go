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

// What the secrets file keeps of a rotation beside the template's parameters.
// None of it is printed.
const (
	nextKey    = "NextSigningKey" // from begin to switch: the private key that is to sign
	switchedAt = "SwitchedAt"     // from switch to finish: when, RFC 3339
)

// tokenLifetime is how long a token of the old key may still be shown, once
// nobody signs with it any more.
const tokenLifetime = 15 * time.Minute

const rotateUsage = `usage: plaudit secrets rotate --file FILE begin    make the next key pair and add its public half to Jwks
       plaudit secrets rotate --file FILE switch   make the next key the one that signs
       plaudit secrets rotate --file FILE finish   take the old public half out of Jwks
Deploy what each step prints before the next. docs/key-rotation.md has the whole story.
`

// rotate replaces the signing key in three steps, each to be deployed before
// the next, so that every token finds its public key everywhere at every
// moment. A step that was done already changes nothing; one out of order is
// refused. Like secrets it prints the template's parameters.
func rotate(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("secrets rotate", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(stderr, rotateUsage); flags.PrintDefaults() }
	file := flags.String("file", "", "the `FILE` in which `plaudit secrets` keeps the parameters")
	now := flags.Bool("now", false, "finish at once: tokens of the old key, good for up to 15 minutes more, are refused then")
	step, err := parseStep(flags, args, stderr)
	if err != nil {
		return err
	}
	if *file == "" {
		fmt.Fprint(stderr, "plaudit secrets rotate: name the secrets file with --file\n\n", rotateUsage)
		return errUsage
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
		fmt.Fprintf(stderr, "plaudit secrets rotate: there is no step %q\n\n%s", step, rotateUsage)
		return errUsage
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
		next = "Nothing changed: this step was done before. " + next
	}
	fmt.Fprintln(stderr, next)
	return printParameters(stdout, params)
}

// parseStep reads the step's name, with flags before and after it.
func parseStep(flags *flag.FlagSet, args []string, stderr io.Writer) (step string, err error) {
	flags.SetOutput(stderr)
	for err = flags.Parse(args); err == nil && flags.NArg() > 0; err = flags.Parse(flags.Args()[1:]) {
		if step != "" {
			fmt.Fprintf(stderr, "plaudit secrets rotate: takes one step, not %q too\n", flags.Arg(0))
			return "", errUsage
		}
		step = flags.Arg(0)
	}
	if errors.Is(err, flag.ErrHelp) {
		return "", err
	}
	if err != nil {
		return "", errUsage // the flag package has said what is wrong
	}
	return step, nil
}

// consistent fails where the file is not one that a deployment could run with.
func consistent(params map[string]string) error {
	if params["SigningKey"] == "" || params["Jwks"] == "" {
		return errors.New("it holds no signing key; `plaudit secrets --file` with this file makes one")
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
(for that long others may keep /.well-known/jwks.json), go on with: plaudit secrets rotate --file FILE switch`
	switch {
	case params[switchedAt] != "":
		return false, "", errors.New("the rotation before has switched and is not finished; first `plaudit secrets rotate --file FILE finish`")
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
	next = `Deploy these parameters, and have every task of the users service start anew: a task reads the key as it starts.
When none of the old tasks is left, and 15 minutes more have passed, go on with: plaudit secrets rotate --file FILE finish`
	switch {
	case params[switchedAt] != "":
		return false, next, nil
	case params[nextKey] == "":
		return false, "", errors.New("there is no next key to switch to; first `plaudit secrets rotate --file FILE begin`")
	}
	params["SigningKey"] = params[nextKey]
	delete(params, nextKey)
	params[switchedAt] = at.UTC().Format(time.RFC3339)
	return true, next, consistent(params)
}

func finish(params map[string]string, at time.Time, early bool) (changed bool, next string, err error) {
	switch {
	case params[nextKey] != "":
		return false, "", errors.New("the next key does not sign yet; first `plaudit secrets rotate --file FILE switch`")
	case params[switchedAt] == "":
		return false, "", errors.New("no rotation is under way; `plaudit secrets rotate --file FILE begin` starts one")
	}
	since, err := time.Parse(time.RFC3339, params[switchedAt])
	if err != nil {
		return false, "", fmt.Errorf("%s in the file is no time: %w", switchedAt, err)
	}
	if left := since.Add(tokenLifetime).Sub(at); left > 0 && !early {
		return false, "", fmt.Errorf("tokens of the old key may be good for %s more, counted from the switch, and longer where its deployment took a while; "+
			"wait, or with --now have them refused", left.Round(time.Second))
	}
	if params["Jwks"], err = jose.PublicKeys(params["SigningKey"]); err != nil {
		return false, "", err
	}
	delete(params, switchedAt)
	return true, "Deploy these parameters. Then the rotation is done, and tokens of the old key are refused.", nil
}
