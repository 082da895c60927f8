// SPDX-License-Identifier: Apache-2.0

// Package methods shows one gateway with every method of authentication at once,
// over TLS, with the real neighbours of each: every client comes in by every
// method as the same user, and what people came in with is found nowhere. The
// engines are fakes.
package methods

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/krb5/krb5test"
	"roundhouse/internal/tlsx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	realm      = "EDGE.TEST"
	service    = "HTTP/localhost"
	adminToken = "adm1n-token-5e0c1f7a9b3d2846"
	aliceToken = "a11ce-token-5e0c1f7a9b3d2846"
	wrong      = "wr0ng-5e0c1f7a9b3d2846"
)

// house is a gateway with its neighbours.
type house struct {
	*env.Gateway
	t         *testing.T
	kdc       *env.KDC
	issuer    *env.Issuer
	authority *tlsx.Authority
	roots     *x509.CertPool
	ticket    krb5test.Ticket
	keytabs   []string // of the service and of alice
	used      string   // the folder of used tickets
	server    tlsx.Pair
	alice     tlsx.Pair
	stranger  tlsx.Pair // for alice, of another authority

	mu   sync.Mutex
	sent map[string]string // the texts that clients sent to prove who they are, and those they got
}

// start starts the neighbours and the gateway, or skips where one is missing.
func start(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, sent: map[string]string{}, used: filepath.Join(t.TempDir(), "used")}
	h.kdc = env.StartKDC(t, realm)
	h.keytabs = []string{h.kdc.Keytab(service), h.kdc.Keytab("alice")}
	h.ticket = krb5test.Issued(t, h.kdc.Conf, h.keytabs[1], "alice@"+realm, service+"@"+realm)
	h.issuer = env.StartIssuer(t, true)
	conf := env.StartSlapd(t).Settings()
	maps.Copy(conf, h.ports())
	maps.Copy(conf, env.Tokens(t, adminToken+" operator admin", aliceToken+" alice"))
	maps.Copy(conf, env.FakeSpark(t))
	maps.Copy(conf, map[string]string{
		"kyuubi.authentication":                           "KERBEROS,CERTIFICATE,LDAP,JWT,TOKEN",
		"kyuubi.authentication.kerberos.replay.dir":       h.used,
		"kyuubi.spnego.principal":                         service + "@" + realm,
		"kyuubi.spnego.keytab":                            h.keytabs[0],
		"kyuubi.authentication.ldap.binddn":               env.LDAPService,
		"kyuubi.authentication.ldap.bindpw":               "file:" + h.write("bindpw", env.LDAPServicePassword),
		"kyuubi.authentication.ldap.baseDN":               env.LDAPBase,
		"kyuubi.authentication.ldap.groups.enabled":       "true",
		"kyuubi.authentication.jwt.issuer":                h.issuer.URL,
		"kyuubi.authentication.jwt.audience":              env.Audience,
		"kyuubi.authentication.jwt.ssl.ca.path":           h.issuer.CA,
		"kyuubi.authentication.throttle.address.failures": "0",
		"kyuubi.authentication.throttle.user.failures":    "0",
	})
	h.Gateway = env.Prepare(t, conf)
	h.Token, h.Client = adminToken, h.web(nil)
	h.Environ = []string{"PROOF_OF_THE_SEARCH=" + inEnvironment}
	h.StartUntilCleanup()
	return h
}

// ports makes the certificates, and returns the settings of two ports that speak
// TLS and take a client's certificate.
func (h *house) ports() map[string]string {
	h.t.Helper()
	open := func() (a *tlsx.Authority, alice tlsx.Pair) {
		a, err := tlsx.OpenAuthority(h.t.TempDir(), "test")
		require.NoError(h.t, err)
		alice, err = a.Client("alice")
		require.NoError(h.t, err)
		return a, alice
	}
	h.authority, h.alice = open()
	_, h.stranger = open()
	var err error
	h.server, err = h.authority.Server([]string{"127.0.0.1"})
	require.NoError(h.t, err)
	h.roots, err = tlsx.LoadAuthorities(h.authority.Files.Certificate)
	require.NoError(h.t, err)
	conf := map[string]string{
		"kyuubi.frontend.ssl.certificate.path": h.server.Certificate,
		"kyuubi.frontend.ssl.key.path":         h.server.Key,
		"kyuubi.frontend.ssl.ca.path":          h.authority.Files.Certificate,
		"kyuubi.frontend.ssl.client.ca.path":   h.authority.Files.Certificate,
	}
	for _, port := range []string{"rest", "spark.connect"} {
		conf["kyuubi.frontend."+port+".ssl.enabled"] = "true"
		conf["kyuubi.frontend."+port+".ssl.client.auth"] = "OPTIONAL"
	}
	return conf
}

// write makes a file of mode 0600.
func (h *house) write(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), name)
	require.NoError(h.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// keep remembers a text that proves who somebody is, and returns it.
func (h *house) keep(name, text string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent[name] = text
	return text
}

// basic, negotiate and bearer are values of the header authorization.
func (h *house) basic(user, password string) string {
	h.keep("password "+password, password)
	return "Basic " + h.keep("user and password "+password, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

func (h *house) negotiate(how krb5test.Token) string {
	token := h.ticket.Token(h.t, how).Bytes
	text := base64.StdEncoding.EncodeToString(token)
	h.keep("ticket, binary, "+text[len(text)-12:], string(token))
	return "Negotiate " + h.keep("ticket "+text[len(text)-12:], text)
}

func (h *house) bearer(token string) string {
	h.keep("token "+token[len(token)-12:], token[strings.LastIndexByte(token, '.')+1:]) // of those with parts the signature
	return "Bearer " + token
}

// config is that of a client that trusts the gateway and may have a certificate.
func (h *house) config(own *tlsx.Pair) *tls.Config {
	h.t.Helper()
	c := &tls.Config{RootCAs: h.roots, MinVersion: tls.VersionTLS12}
	if own != nil { // whatever authorities the gateway names
		pair, err := tls.LoadX509KeyPair(own.Certificate, own.Key)
		require.NoError(h.t, err)
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return c
}

// web is a client of REST with a connection for each call.
func (h *house) web(own *tlsx.Pair) *http.Client {
	h.t.Helper()
	return &http.Client{Transport: &http.Transport{TLSClientConfig: h.config(own), DisableKeepAlives: true}}
}

// rest makes a call of REST. Without an answer the status is 0.
func (h *house) rest(l login, method, path string) (int, string, http.Header) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, "https://"+h.REST+path, nil)
	require.NoError(h.t, err)
	if l.header != nil {
		r.Header.Set("Authorization", l.header())
	}
	reply, err := h.web(l.certificate).Do(r)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(reply.Body)
	require.NoError(h.t, err)
	return reply.StatusCode, string(body), reply.Header
}

// connect is a client of Spark Connect in Go, which claims to be somebody else.
func (h *house) connect(l login) *env.SparkClient {
	h.t.Helper()
	more := []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(h.config(l.certificate)))}
	if l.header != nil {
		more = append(more, grpc.WithPerRPCCredentials(header(l.header)))
	}
	return env.NewSparkClient(h.t, h.GRPC, "mallory", more...)
}

// header is what a client says with each call.
type header func() string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (f header) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": f()}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (header) RequireTransportSecurity() bool { return true }
