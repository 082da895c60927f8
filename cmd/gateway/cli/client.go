// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"roundhouse/internal/errs"
)

// confidential says whether nobody on the way can read what is sent to a URL.
func confidential(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// client trusts the authority in a file beside the system's. It takes no proxy to
// the gateway of this machine, whose URL is local, nor for plain HTTP.
func client(ca, local string) (*http.Client, error) {
	config, err := trusting(ca)
	if err != nil {
		return nil, err
	}
	proxy := func(r *http.Request) (*url.URL, error) {
		if r.URL.Scheme == "http" || r.URL.Scheme+"://"+r.URL.Host == local {
			return nil, nil
		}
		return http.ProxyFromEnvironment(r)
	}
	// Credentials follow no redirection to somewhere else.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, Proxy: proxy}
	return &http.Client{Transport: transport, Timeout: callTime, CheckRedirect: stay}, nil
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

// askPort ends what is said where no gateway answers.
const askPort = "is this the REST port of the gateway (10099 by default)?"

// call sends a request and reads the answer into out: JSON, or the text itself into
// a string.
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
		return c.refusal(reply, text)
	}
	if said, plain := out.(*string); plain {
		*said = string(text)
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s does not answer as a gateway does: %w; %s", c.base, err, askPort)
	}
	return nil
}

// refusal is what the gateway says.
func (c *caller) refusal(reply *http.Response, text []byte) error {
	var said errs.Body
	switch {
	case json.Unmarshal(text, &said) != nil || said.Message == "":
		return fmt.Errorf("%s answers %s; %s", c.base, reply.Status, askPort)
	case reply.StatusCode == http.StatusUnauthorized && strings.HasPrefix(c.authorization, "Basic "):
		return errors.New("Wrong user name or password. " + said.Message)
	}
	return errors.New(said.Message)
}

// explainCall says what to do where TLS fails, or nobody answers in HTTP.
func explainCall(err error) error {
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return fmt.Errorf("%w; give the file of the authority that signed its certificate with --ca (an administrator has it, REST gives it at /ca.pem)", err)
	}
	var failed net.Error // in time, or of the name
	if errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(*net.DNSError)) || errors.Is(err, context.Canceled) || errors.As(err, &failed) && failed.Timeout() {
		return err
	}
	return fmt.Errorf("%w; %s", err, askPort)
}
