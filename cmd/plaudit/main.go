// Command plaudit does what only the product knows around a deployment, the
// same in the cloud and on the laptop:
//
//	plaudit secrets   makes keys and passwords before the first start
//	plaudit setup     migrates the databases, once they are there
//	plaudit boards    checks a board's standings against its ledger
//	plaudit login     gives a shell a token, on the laptop
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `plaudit does what only the product knows around a deployment.

  plaudit secrets [--file FILE] [--databases]
      Makes the template's secret parameters that FILE does not hold yet (the
      signing key and its public half, the first admin's password), keeps them
      in FILE (mode 0600), and prints them as one JSON object.

  plaudit secrets rotate --file FILE begin|switch|finish
      Replaces the signing key in three steps, each to be deployed before the
      next. docs/key-rotation.md says what to wait for.

  plaudit setup [--demo [--events FOLDER]] < OUTPUTS
      Migrates the databases and waits until the users service is ready.
      OUTPUTS are the stack's, e.g. of
      sam list stack-outputs --stack-name plaudit-dev --output json

  plaudit boards check BOARD [--dsn URL]
      Makes the board's standings anew from its ledger, while adds go on, and
      prints each difference. Exits with 1 when there is one. Without --dsn:
      the database of "make run". Else its user must own the scores database.

  eval "$(plaudit login)"
      Sets URL and TOKEN in a shell, while "make run" is on.

plaudit COMMAND --help lists a command's options.
`

var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "plaudit:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return errUsage
	}
	switch args[0] {
	case "secrets":
		return secrets(args[1:], stdout, stderr)
	case "setup":
		return setup(ctx, args[1:], stdin, stdout, stderr)
	case "boards":
		return boards(ctx, args[1:], stdout, stderr)
	case "login":
		return login(ctx, args[1:], stdout, stderr)
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		return nil
	}
	fmt.Fprintf(stderr, "plaudit: there is no command %q\n\n%s", args[0], usage)
	return errUsage
}

// parse reads a command's flags. It takes no other arguments.
func parse(flags *flag.FlagSet, args []string, stderr io.Writer) error {
	flags.SetOutput(stderr)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage // the flag package has said what is wrong
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "plaudit %s: takes no argument %q\n", flags.Name(), flags.Arg(0))
		return errUsage
	}
	return nil
}
