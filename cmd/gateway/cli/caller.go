// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"roundhouse/conf"
	"roundhouse/internal/daemon"
	"roundhouse/internal/krb5"
	"roundhouse/internal/secret"
	"roundhouse/server"
)

const (
	// callTime bounds a call to a gateway: `user disable` waits for engines.
	callTime = 2 * time.Minute
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 8 << 20
)

// access says which gateway is called, and as whom.
type access struct {
	url          string
	user         string
	passwordFile string
	negotiate    bool
	oidc         bool
	ca           string
}

// define adds the flags. Without --url it is the gateway of this installation.
func (f *access) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.url, "url", "", "REST address of the gateway, such as https://gateway:10099 (default: the one that runs here)")
	flags.StringVar(&f.user, "user", "", "log in as this user; the password is asked for")
	flags.StringVar(&f.passwordFile, "password-file", "", "file with the password (mode 0600) instead of asking")
	flags.BoolVar(&f.negotiate, "negotiate", false, "use the Kerberos ticket of kinit")
	flags.StringVar(&f.ca, "ca", "", "PEM file of the authority of the gateway's certificate")
	flags.BoolVar(&f.oidc, "oidc", false, "log in at the issuer that the gateway trusts, in a browser")
	cmd.MarkFlagsMutuallyExclusive("user", "negotiate", "oidc")
}

// nobody says that the flags name no credentials.
func (f access) nobody() bool {
	return f.user == "" && !f.negotiate && !f.oidc && f.passwordFile == ""
}

// caller calls the REST API of a gateway.
type caller struct {
	base string
	// roots is the file of the authority that Spark's clients need to trust the
	// gateway, or "".
	roots         string
	authorization string
	http          *http.Client
}

// caller makes a caller. Without credentials among the flags it acts for the
// operating system user who runs the gateway here, and calls that one alone.
func (a *app) caller(ctx context.Context, f access) (*caller, error) {
	var local here
	if f.url == "" || f.nobody() {
		var err error
		if local, err = a.here(); err != nil && f.url == "" {
			return nil, err
		}
	}
	f.url = strings.TrimRight(cmp.Or(f.url, local.url), "/")
	base, err := url.Parse(f.url)
	if err != nil || base.Hostname() == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, &exitError{code: ExitUsage, err: fmt.Errorf("%q is no address of a gateway such as https://gateway:10099", f.url)}
	}
	if f.url != local.url {
		local = here{}
		switch {
		case f.nobody():
			return nil, &exitError{code: ExitUsage, err: fmt.Errorf("%s is not the gateway that runs here, so say who you are: --user <name>, --negotiate or --oidc", f.url)}
		case !confidential(base):
			return nil, &exitError{code: ExitUsage, err: fmt.Errorf("%s would send credentials in clear text: write https://", f.url)}
		}
	}
	client, err := client(cmp.Or(f.ca, local.ca), local.url)
	if err != nil {
		return nil, err
	}
	c := &caller{base: f.url, roots: cmp.Or(f.ca, local.roots), http: client}
	c.authorization, err = a.credentials(ctx, f, c, cmp.Or(local.service, base.Hostname()))
	return c, err
}

// here is the gateway of this installation: its REST address, the file of the
// authority of its certificate, that which Spark's clients need to trust it, and
// the host that its Kerberos principal names; "" for those that there are not.
type here struct{ url, ca, roots, service string }

func (a *app) here() (here, error) {
	files, err := a.files()
	if err != nil {
		return here{}, err
	}
	p, err := daemon.Find(files.PID)
	if errors.Is(err, daemon.ErrNotRunning) {
		return here{}, errors.New("no gateway runs here: start it, or name another with --url https://gateway:10099")
	}
	if err != nil {
		return here{}, err
	}
	c, err := a.load()
	if err != nil {
		return here{}, err
	}
	_, service, _ := strings.Cut(conf.SpnegoPrincipal.Get(c), "/")
	service, _, _ = strings.Cut(service, "@")
	h := here{url: p.Notes[noteREST], service: service}
	if _, err := os.Stat(c.CAFile()); err == nil {
		h.ca = c.CAFile()
	}
	h.roots, _ = c.ClientRoots()
	if h.url == "" {
		return here{}, errors.New("the gateway does not serve yet: wait until `gateway status` says so")
	}
	return h, nil
}

// load reads the configuration without looking at what it names.
func (a *app) load() (*conf.Conf, error) {
	home, err := a.home()
	if err != nil {
		return nil, err
	}
	return conf.Load(conf.LoadOptions{Home: home, Getenv: a.getenv})
}

// credentials are the Authorization header of one call.
func (a *app) credentials(ctx context.Context, f access, c *caller, service string) (string, error) {
	switch {
	case f.oidc:
		token, err := a.signIn(ctx, c)
		return "Bearer " + token, err
	case f.negotiate:
		token, err := krb5.Negotiate(service, a.getenv)
		return "Negotiate " + token, err
	case f.user != "":
		password, err := a.password(f)
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(f.user+":"+password)), err
	case f.passwordFile != "":
		return "", &exitError{code: ExitUsage, err: errors.New("--password-file needs --user")}
	}
	settings, err := a.load()
	if err != nil {
		return "", err
	}
	token, err := server.HostCredentials(settings)
	return "Bearer " + token, err
}

// password comes from a file, from a terminal without being shown, or is the
// first line of the input.
func (a *app) password(f access) (string, error) {
	var line string
	switch fd := int(a.stdin.Fd()); {
	case f.passwordFile != "":
		text, err := secret.ReadFile(f.passwordFile)
		if err != nil {
			return "", fmt.Errorf("the password cannot be read: %w", err)
		}
		line, _, _ = strings.Cut(string(text), "\n")
	case term.IsTerminal(fd):
		fmt.Fprintf(a.stderr, "Password of %s: ", f.user)
		text, err := term.ReadPassword(fd)
		fmt.Fprintln(a.stderr)
		if err != nil {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		line = string(text)
	default:
		text, err := bufio.NewReader(a.stdin).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		line = strings.TrimSuffix(text, "\n")
	}
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", errors.New("the password is empty")
	}
	return line, nil
}
