// Command plaudit does the product's own steps of a deployment, the same in the
// cloud and on the laptop:
//
//	plaudit secrets   makes keys and passwords before the first start
//	plaudit setup     migrates the databases once they are running
//	plaudit boards    checks a board's standings against its ledger
//	plaudit audit     follows, checks and restores the audit log
//	plaudit dlq       lists messages that could not be handled, and sends them again
//	plaudit replay    sends events of the bus's archive again
//	plaudit login     logs a shell in to the laptop's stack
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"plaudit/shared/text"
)

const usage = `plaudit does the product's own steps of a deployment.

  plaudit secrets [--file FILE] [--databases]
      Makes the template's secret parameters that FILE does not contain yet (the
      signing key and its public half, the first admin's password), keeps them
      in FILE (mode 0600), and prints them as one JSON object.

  plaudit secrets rotate --file FILE begin|switch|finish
      Replaces the signing key in three steps. Deploy the result of each before
      the next. docs/key-rotation.md lists what to wait for.

  plaudit setup [--demo [--events FOLDER]] < OUTPUTS
      Migrates the databases and waits until both can be used.
      --demo also creates the demo board.
      OUTPUTS is the JSON of the stack's outputs, e.g. of
      sam list stack-outputs --stack-name plaudit-dev --output json

  plaudit boards check BOARD [--run FILE | --outputs OUTPUTS | --dsn URL]
      Recomputes the board's standings from its ledger and prints each
      difference. Adds can continue meanwhile. Exits with 1 if it finds one.
      With --dsn it reads a database directly, whose owner the URL's user must be.

  plaudit audit tail [--subject SUBJECT] [--actor ACTOR] [--type TYPE]
                     [--since 10m] [--json] [--run FILE]
      Prints the events of the audit log as they come, until Ctrl-C.
      'board/demo/*' as SUBJECT selects a board with all its players. It reads
      the server URL with the access token TOKEN, until that expires; if neither
      is set, the log of "make run" as its admin.
      It begins with the events recorded in the last 10 minutes, or as --since
      says. One that reaches the log more than 15 minutes after it was recorded,
      because a relay was down for so long, may be missing: after an outage,
      start again with a longer --since.

  plaudit audit check [--run FILE | --outputs OUTPUTS]
      Compares the audit log with both databases, and prints a line for each
      event that is missing, differs, or belongs to no change. Changes can
      continue meanwhile. Exits with 1 if it finds one.

  plaudit audit restore [--from TIME] [--to TIME] [--run FILE | --outputs OUTPUTS]
      Has the events that the databases still have sent to the audit log again,
      all of them or those recorded from TIME on and before TIME, and waits
      until they are there. Nothing is written twice, and nobody is told twice.
      It can be interrupted and repeated.

  plaudit audit retry [--run FILE | --outputs OUTPUTS]
      Has the changes that could not be written to the audit log sent again,
      after their cause was corrected. Those that fail again are set aside
      again. It can be interrupted and repeated.

  plaudit dlq [--queue QUEUE] [--max N] [--run FILE | --outputs OUTPUTS]
      Lists the stack's queues with the number of their messages, and the
      messages of dead-letter queues: when they were sent, their id, how often
      they were received, why they could not be handled, and the body in short.
      They stay where they are.

  plaudit dlq --redrive [--queue QUEUE [--to QUEUE]] [--max N]
              [--run FILE | --outputs OUTPUTS]
      Sends the messages of dead-letter queues to the queue for which they were
      meant, or to that of --to, and removes each when it is sent. Only messages
      that were there at the start are sent. It can be interrupted and repeated,
      and loses nothing; one that is killed may leave a copy.

  plaudit replay --from TIME [--to TIME] [--rule RULE] [--name NAME]
                 [--run FILE | --outputs OUTPUTS]
      Puts the events of the archive from TIME on, and up to --to or now, on the
      bus again, for all of its rules or for one, and waits for the end. Mails
      that were sent are not sent again. NAME begins with "mail-" unless you
      give another one, for which nobody gets a mail.

  The commands check, restore, retry, dlq and replay work on the stack of "make run"
  (from FILE, by default .local/run.json) or, with --outputs, on one in the cloud; OUTPUTS is a
  file as setup reads it, or - for standard input.

  eval "$(plaudit login)"
      Logs the admin of "make run" in. Sets URL and TOKEN in the shell, and the
      variables by which the AWS CLI and the AWS SDKs find the laptop's AWS
      endpoint: AWS_ENDPOINT_URL, the region, and credentials for the laptop.

plaudit COMMAND --help lists a command's options.
`

// errUsage is returned after a message about wrong arguments.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stderr := text.Terminal(os.Stderr) // what a server answered may be in it
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(stderr, "plaudit:", err)
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
		if slices.ContainsFunc(args[1:], isHelp) {
			fmt.Fprint(stdout, usage)
			return nil
		}
		return boards(ctx, args[1:], stdin, text.Terminal(stdout), stderr)
	case "audit":
		if slices.ContainsFunc(args[1:], isHelp) {
			fmt.Fprint(stdout, usage)
			return nil
		}
		return auditLog(ctx, args[1:], stdin, text.Terminal(stdout), stderr)
	case "dlq", "replay":
		if slices.ContainsFunc(args[1:], isHelp) {
			fmt.Fprint(stdout, usage)
			return nil
		}
		if args[0] == "dlq" {
			return dlq(ctx, args[1:], stdin, text.Terminal(stdout), stderr)
		}
		return replay(ctx, args[1:], stdin, text.Terminal(stdout), stderr)
	case "login":
		return login(ctx, args[1:], stdout, stderr)
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		return nil
	}
	fmt.Fprintf(stderr, "plaudit: unknown command %q; see `plaudit --help`\n", args[0])
	return errUsage
}

func isHelp(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }

// parse reads a command's flags. Other arguments are an error.
func parse(flags *flag.FlagSet, args []string, stderr io.Writer) error {
	if err := parseFlags(flags, args, stderr); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return wrong(flags, stderr, fmt.Errorf("unexpected argument %q", flags.Arg(0)))
	}
	return nil
}

// parseFlags reads flags up to the first other argument. It prints the help, if
// that is asked for, and returns flag.ErrHelp.
func parseFlags(flags *flag.FlagSet, args []string, stderr io.Writer) error {
	help := flags.Usage
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	err := flags.Parse(args)
	flags.SetOutput(stderr)
	flags.Usage = help
	switch {
	case errors.Is(err, flag.ErrHelp):
		help()
	case err != nil:
		return wrong(flags, stderr, err)
	}
	return err
}

// wrong prints what is wrong with the arguments, and how to get the help, which
// itself would push the error off the screen.
func wrong(flags *flag.FlagSet, stderr io.Writer, err error) error {
	fmt.Fprintf(stderr, "plaudit %s: %v; see `plaudit %s --help`\n", flags.Name(), err, flags.Name())
	return errUsage
}
