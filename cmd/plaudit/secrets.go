package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"plaudit/shared/jose"
)

// secrets makes the template's secret parameters. It keeps the ones that are in
// the file, so that a second run changes nothing.
func secrets(args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "rotate" {
		return rotate(args[1:], stdout, stderr)
	}
	flags := flag.NewFlagSet("secrets", flag.ContinueOnError)
	file := flags.String("file", "", "`FILE` in which to keep the parameters; without it they are only printed")
	databases := flags.Bool("databases", false, "also make the databases' passwords, for stages with DbAuth=password")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}

	params := map[string]string{}
	if *file != "" {
		if err := readSecrets(*file, params); err != nil {
			return err
		}
	}
	before := len(params)
	if params["SigningKey"] == "" || params["Jwks"] == "" {
		key, jwks, err := jose.GenerateKey()
		if err != nil {
			return fmt.Errorf("make the signing key: %w", err)
		}
		params["SigningKey"], params["Jwks"] = key, jwks
	}
	passwords := []string{"AdminPassword"}
	if *databases {
		passwords = append(passwords, "ScoresDbPassword", "UsersDbPassword")
	}
	for _, name := range passwords {
		if params[name] == "" {
			params[name] = rand.Text() // 130 bits
		}
	}

	if params["NotifyKey"] == "" {
		// In the form of other API keys, which scanners of secrets find.
		secret := make([]byte, 32)
		rand.Read(secret)
		params["NotifyKey"] = "plaudit_" + base64.RawURLEncoding.EncodeToString(secret)
	}

	if *file != "" && len(params) != before {
		text, err := encode(params)
		if err != nil {
			return err
		}
		if err := writeSecrets(*file, text); err != nil {
			return err
		}
	}
	return printParameters(stdout, params)
}

func encode(params map[string]string) ([]byte, error) {
	text, err := json.MarshalIndent(params, "", "  ")
	return append(text, '\n'), err
}

// printParameters prints the parameters without a rotation's state: the template
// does not take it, and the next private key is not to be deployed yet.
func printParameters(stdout io.Writer, params map[string]string) error {
	params = maps.Clone(params)
	delete(params, nextKey)
	delete(params, switchedAt)
	text, err := encode(params)
	if err != nil {
		return err
	}
	_, err = stdout.Write(text)
	return err
}

func readSecrets(file string, params map[string]string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &params); err != nil {
		// The error itself might show a value.
		return fmt.Errorf("%s is not a JSON object of strings; restore it, or delete all local data with `make clean`", file)
	}
	return nil
}

// writeSecrets replaces the file in one step, so that a kill leaves either the
// old one or the new one.
func writeSecrets(file string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(text); err != nil {
		return err
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
