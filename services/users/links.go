package main

import (
	"context"
	"fmt"
	"log/slog"
)

// printLinks returns what stands in for mails until there are any: it logs each link
// for the person at the terminal of a laptop. url is the API's. The log then contains
// a secret, so this is for the stage local alone. It names the account by its id,
// because addresses are in no log.
func printLinks(url string) func(ctx context.Context, account, token string) {
	return func(ctx context.Context, account, token string) {
		message := fmt.Sprintf("to verify the address of user %s, send within an hour\n  curl -X PUT %s/v1/email-verifications/%s\n"+
			"or open the link of the mail, %s/verify?token=%s", account, url, token, url, token)
		slog.InfoContext(ctx, message, "terminal", true) // the laptop cloud shows such a message on its terminal
	}
}
