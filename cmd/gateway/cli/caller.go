// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
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
	"roundhouse/internal/errs"
	"roundhouse/internal/krb5"
	"roundhouse/internal/secret"
	"roundhouse/server"
)

const (
	// callTime bounds a call to a gateway.
	callTime = 30 * time.Second
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
	flags.StringVar(&f.user, "user", "", "user name; the password is asked for")
	flags.StringVar(&f.passwordFile, "password-file", "", "file with the password (mode 0600) instead of asking")
	flags.BoolVar(&f.negotiate, "negotiate", false, "use the Kerberos ticket of kinit")
	flags.StringVar(&f.ca, "ca", "", "PEM file of the authority of the gateway's certificate")
	flags.BoolVar(&f.oidc, "oidc", false, "log in at the issuer that the gateway trusts, in a browser")
	cmd.MarkFlagsMutuallyExclusive("user", "negotiate", "oidc")
}

// caller calls the REST API of a gateway.
type caller struct {
	base string
	// ca is the file of the authority that it trusts beside the system's, or "".
	ca            string
	authorization string
	http          *http.Client
}

// caller makes a caller. Without credentials among the flags it acts for the
// operating system user who runs the gateway here.
func (a *app) caller(ctx context.Context, f access) (*caller, error) {
	service := "" // of tickets, if it is not the host of the URL
	if f.url == "" {
		local, err := a.here()
		if err != nil {
			return nil, err
		}
		f.url, service = local.url, local.service
		if f.ca == "" {
			f.ca = local.ca
		}
	}
	base, err := url.Parse(strings.TrimRight(f.url, "/"))
	if err != nil || base.Hostname() == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, &exitError{code: ExitUsage, err: fmt.Errorf("%q is no address of a gateway such as https://gateway:10099", f.url)}
	}
	if service == "" {
		service = base.Hostname()
	}
	config, err := trusting(f.ca)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}
	// Credentials follow no redirection to somewhere else.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &caller{base: base.String(), ca: f.ca, http: &http.Client{Transport: transport, Timeout: callTime, CheckRedirect: stay}}
	c.authorization, err = a.credentials(ctx, f, c, service)
	return c, err
}

// here is the gateway of this installation: its REST address, the file of the
// authority of its certificate, and the host that its Kerberos principal names;
// the latter two are "" if it has none.
type here struct{ url, ca, service string }

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

func trusting(ca string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca == "" {
		return config, nil
	}
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("the authority of the gateway's certificate: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", ca)
	}
	config.RootCAs = roots
	return config, nil
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

// call sends a request and reads the answer into out, if that is not nil.
func (c *caller) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding the request: %w", err)
	}
	if in == nil {
		body = nil
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if c.authorization != "" {
		r.Header.Set("Authorization", c.authorization)
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	reply, err := c.http.Do(r)
	if err != nil {
		return explainCall(err)
	}
	defer func() { _ = reply.Body.Close() }() // it has been read
	text, err := io.ReadAll(io.LimitReader(reply.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("the answer of the gateway: %w", err)
	case reply.StatusCode != http.StatusOK:
		return refusal(reply.Status, text)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s does not answer as a gateway does: %w", c.base, err)
	}
	return nil
}

// refusal is what the gateway says.
func refusal(status string, text []byte) error {
	var said errs.Body
	if json.Unmarshal(text, &said) == nil && said.Message != "" {
		return errors.New(said.Message)
	}
	return fmt.Errorf("the gateway answers %s", status)
}

// explainCall says what to do where TLS fails.
func explainCall(err error) error {
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return fmt.Errorf("%w; give the file of the authority that signed its certificate with --ca (an administrator has it, REST gives it at /ca.pem)", err)
	}
	return err
}
