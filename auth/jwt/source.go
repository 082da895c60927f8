// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"roundhouse/internal/tlsx"
)

const (
	// maxAnswer bounds what is read of an issuer's answer, in bytes, maxKeys how
	// many of its keys are looked at.
	maxAnswer = 1 << 20
	maxKeys   = 100
)

// newSource is how the keys of an issuer are fetched.
func newSource(i Issuer) (source, error) {
	if i.KeysFile != "" {
		return func(context.Context) ([]jose.JSONWebKey, error) { return readKeys(i.KeysFile) }, nil
	}
	if _, err := newClient(i.CAFile); err != nil {
		return nil, err
	}
	return func(ctx context.Context) ([]jose.JSONWebKey, error) {
		keys, err := i.ask(ctx)
		if errors.As(err, new(x509.UnknownAuthorityError)) {
			err = fmt.Errorf("%w; kyuubi.authentication.jwt.ssl.ca.path (of several issuers, that of this one) names the file of its authority", err)
		}
		return keys, err
	}, nil
}

// ask asks the issuer for its keys.
func (i Issuer) ask(ctx context.Context) ([]jose.JSONWebKey, error) {
	client, err := newClient(i.CAFile) // new authorities hold at once
	if err != nil {
		return nil, err
	}
	address := i.KeysURL
	if address == "" {
		provider, err := oidc.NewProvider(oidc.ClientContext(ctx, client), i.URL)
		if err != nil { // it may quote the whole answer
			return nil, fmt.Errorf("discovery: %.300w", err)
		}
		var document struct {
			KeysURL string `json:"jwks_uri"`
		}
		if err := provider.Claims(&document); err != nil {
			return nil, fmt.Errorf("discovery: %w", err)
		}
		address = document.KeysURL
	}
	return fetchKeys(ctx, client, address)
}

// newClient makes a client that follows nobody elsewhere and keeps no
// connections: it is used a few times an hour.
func newClient(caFile string) (*http.Client, error) {
	authorities, err := tlsx.Roots(caFile)
	if err != nil {
		return nil, fmt.Errorf("its certificate authorities: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities}
	return &http.Client{
		Transport:     bounded{&http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, DisableKeepAlives: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("it redirects, which is not followed") },
		Timeout:       fetchTimeout,
	}, nil
}

// bounded cuts answers off after maxAnswer.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	reply.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(reply.Body, maxAnswer), reply.Body}
	return reply, nil
}

// fetchKeys reads a JWK Set (RFC 7517 section 5).
func fetchKeys(ctx context.Context, client *http.Client, address string) ([]jose.JSONWebKey, error) {
	if !safe(address) {
		return nil, fmt.Errorf("its keys are at %q, and an address must begin with https://", address)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("its keys: %w", err)
	}
	reply, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("its keys: %w", err)
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("its keys: %s answers %s", address, reply.Status)
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.NewDecoder(reply.Body).Decode(&set); err != nil {
		return nil, fmt.Errorf("its keys: %s is no set of keys: %w", address, err)
	}
	return publicKeys(set.Keys)
}

// publicKeys leaves out what is of no use here, as keys of kinds unknown
// to the library: an issuer may have them for others.
func publicKeys(all []json.RawMessage) (keys []jose.JSONWebKey, err error) {
	for _, one := range all[:min(len(all), maxKeys)] {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(one) == nil && k.IsPublic() {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("its keys: there is none among them that can be used")
	}
	return keys, nil
}

// safe says whether nobody on the way to an address can change what it answers.
func safe(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (ip != nil && ip.IsLoopback() || strings.EqualFold(u.Hostname(), "localhost"))
}

// readKeys reads a file of public keys and certificates in PEM form.
func readKeys(path string) (keys []jose.JSONWebKey, err error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("its keys: %w", err)
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		key, err := readKey(block)
		if err != nil {
			return nil, fmt.Errorf("its keys: %s: key %d: %w", path, len(keys)+1, err)
		}
		keys = append(keys, jose.JSONWebKey{Key: key})
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("its keys: %s holds no public key in PEM form", path)
	}
	return keys, nil
}

func readKey(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	}
	if strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return nil, errors.New("it is a private key, with which anybody here could make tokens: remove it, and give the public one")
	}
	return nil, fmt.Errorf("%q is no public key", block.Type)
}
