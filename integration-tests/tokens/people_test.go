// SPDX-License-Identifier: Apache-2.0

package tokens

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/krb5/krb5test"
	kyuubi "roundhouse/proto/gen/kyuubi/auth"
)

// remote finds the connection string in what login and token create print.
func remote(t *testing.T, stdout string) string {
	t.Helper()
	found := regexp.MustCompile(`^export SPARK_REMOTE='(sc://localhost:\d+/;token=(rht_[\w.-]+))'\n$`).FindStringSubmatch(stdout)
	require.NotNil(t, found, "nothing but a line for a shell: %q", stdout)
	return found[1]
}

// pyspark runs a query with a connection string, which no argument shows.
func pyspark(t *testing.T, version string, environ map[string]string) *env.Client {
	t.Helper()
	for name, value := range environ {
		t.Setenv(name, value)
	}
	return env.StartClient(t, version, "token_login.py")
}

// TestOnTheHost: who runs the gateway needs no further credentials there, and
// hands out tokens where there is no other way in.
func TestOnTheHost(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	stdout, stderr, code := h.run(nil, "", "token", "create", "--for", "carol", "--name", "nightly job", "--lifetime", "30d", "--scope", "connect")
	require.Zero(t, code, stderr)
	line := remote(t, stdout)
	text := line[strings.Index(line, "rht_"):]
	require.Contains(t, stderr, "The token of carol is good until ")
	require.NoError(t, h.client(text).Version(within(t, time.Minute)))

	stdout, stderr, code = h.run(nil, "", "token", "list")
	require.Zero(t, code, stderr)
	row := regexp.MustCompile(`(?m)^(\S{36})  carol  nightly job  connect  .*$`).FindStringSubmatch(stdout)
	require.NotNil(t, row, stdout)
	require.NotContains(t, stdout, "rht_")

	_, stderr, code = h.run(nil, "", "token", "create")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "Name the user whom the token is for")
	_, stderr, code = h.run(nil, "", "token", "revoke", row[1])
	require.Zero(t, code, stderr)
	require.Error(t, h.client(text).Version(within(t, time.Minute)))
	stdout, _, _ = h.run(nil, "", "token", "list", "--of", "carol")
	require.Contains(t, stdout, "revoked ")
	for _, args := range [][]string{{"token", "revoke"}, {"login"}, {"login", "--url", "gateway"}, {"token", "list", "--password-file", "/x"}} {
		_, stderr, code := h.run(nil, "", args...)
		require.Equal(t, 2, code, "%v %s", args, stderr)
	}

	require.NoError(t, os.Chmod(filepath.Join(h.Home, "data", "cluster.secret"), 0o644))
	_, stderr, code = h.run(nil, "", "token", "list")
	require.Equal(t, 1, code, "a secret that others read proves nothing")
	require.Contains(t, stderr, "is open to others")
}

// TestPasswords: a person of the directory comes in by a password once, on the
// command line and by a client that fetches its token itself, and then by token.
func TestPasswords(t *testing.T) {
	s := env.StartSlapd(t)
	settings := s.Settings()
	maps.Copy(settings, map[string]string{"kyuubi.authentication": "LDAP", "kyuubi.server.administrators": "bob", "kyuubi.authentication.token.file": ""})
	h := start(t, settings)
	h.Token = ""
	boss, stderr, code := h.run(nil, env.LDAPPassword("bob")+"\n", "login", "--user", "bob")
	require.Zero(t, code, stderr)
	h.Token = boss[strings.Index(boss, "rht_") : len(boss)-2]

	_, stderr, code = h.run(nil, "wrong\n", "login", "--user", "alice")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "[GATEWAY.UNAUTHENTICATED]")
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(env.LDAPPassword("alice")+"\n"), 0o600))
	stdout, stderr, code := h.run(nil, "", "login", "--user", "alice", "--password-file", file, "--url", "http://"+h.REST)
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "and longer while a session of its is open")
	line := remote(t, stdout)

	client := pyspark(t, "4.3", map[string]string{"LOGIN_REMOTE": line, "LOGIN_FAKE": "1"})
	client.Next("answered", time.Minute)
	s.Stop()
	client.Say("again")
	client.Next("answered", time.Minute)
	client.Say("")
	ended, _ := client.Wait(time.Minute)
	require.Zero(t, ended)
	s.Start()

	code, text := h.rest("x", http.MethodGet, "/api/v1/tokens", "")
	require.Equal(t, http.StatusUnauthorized, code, text)
	other := pyspark(t, "4.0", map[string]string{
		"LOGIN_REMOTE": "sc://" + h.GRPC, "LOGIN_USER": "alice", "LOGIN_PASSWORD": env.LDAPPassword("alice"), "LOGIN_FAKE": "1",
	})
	other.Next("answered", time.Minute)
	require.Equal(t, "alice", h.Sessions()[0].User)
	other.Say("again") // renews the token
	other.Next("answered", time.Minute)
	other.Say("")
	other.Next("revoked", time.Minute)
	ended, _ = other.Wait(time.Minute)
	require.Zero(t, ended)
	all := h.list(line[strings.Index(line, "rht_"):], "")
	require.Len(t, all, 2)
	require.Zero(t, all[0].RevokeTime)
	require.NotZero(t, all[1].RevokeTime)
	for _, secret := range []string{env.LDAPPassword("alice"), "rht_"} {
		require.NotContains(t, h.Gateway.Log(), secret)
	}
}

// TestTickets: after kinit a person needs no password.
func TestTickets(t *testing.T) {
	k := env.StartKDC(t, "EXAMPLE.TEST")
	keytab := k.Keytab("HTTP/localhost")
	h := start(t, map[string]string{
		"kyuubi.authentication": "KERBEROS,TOKEN", "kyuubi.spnego.principal": "HTTP/localhost@EXAMPLE.TEST", "kyuubi.spnego.keytab": keytab,
	})
	url := "http://localhost" + h.REST[strings.LastIndex(h.REST, ":"):]
	_, stderr, code := h.run(k.Environ("KRB5CCNAME=FILE:"+t.TempDir()+"/none"), "", "login", "--negotiate", "--url", url)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "run kinit")
	keys := k.Keytab("alice")
	alice := k.Login("alice", keys)
	stdout, stderr, code := h.run(alice, "", "login", "--negotiate", "--url", url)
	require.Zero(t, code, stderr)
	line := remote(t, stdout)
	require.NoError(t, h.client(line[strings.Index(line, "rht_"):]).Version(within(t, time.Minute)))
	require.Equal(t, "alice", h.Sessions()[0].User)
	stdout, stderr, code = h.run(alice, "", "token", "list", "--negotiate", "--url", url)
	require.Zero(t, code, stderr)
	require.Equal(t, 2, strings.Count(stdout, "\n"), "a head and a token: %s", stdout)

	client := pyspark(t, "4.3", map[string]string{"LOGIN_REMOTE": line, "LOGIN_FAKE": "1"})
	client.Next("answered", time.Minute)
	client.Say("")
	ended, _ := client.Wait(time.Minute)
	require.Zero(t, ended)

	ticket := krb5test.Issued(t, k.Conf, keys, "alice@EXAMPLE.TEST", "HTTP/localhost@EXAMPLE.TEST").Token(t, krb5test.Token{}).Bytes
	conn, err := grpc.NewClient(h.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	asked := metadata.AppendToOutgoingContext(within(t, time.Minute), "authorization", "Negotiate "+base64.StdEncoding.EncodeToString(ticket))
	got, err := kyuubi.NewSparkConnectAuthServiceClient(conn).GetToken(asked, &kyuubi.GetTokenRequest{})
	require.NoError(t, err)
	for _, one := range h.list(got.Token, "") {
		require.Equal(t, "alice", one.User)
	}
	_, err = kyuubi.NewSparkConnectAuthServiceClient(conn).GetToken(asked, &kyuubi.GetTokenRequest{})
	require.Equal(t, codes.Unauthenticated, status.Code(err), "a ticket's token is good once")
}

// TestSingleSignOn: a person allows the command line in a browser.
func TestSingleSignOn(t *testing.T) {
	t.Parallel()
	i := env.StartIssuer(t, true)
	h := start(t, map[string]string{
		"kyuubi.authentication": "JWT,TOKEN", "kyuubi.authentication.jwt.issuer": i.URL, "kyuubi.authentication.jwt.audience": env.Audience,
		"kyuubi.authentication.jwt.ssl.ca.path": i.CA, "kyuubi.authentication.login.client.id": env.Audience,
	})
	for _, allowed := range []bool{true, false} {
		cmd := exec.CommandContext(within(t, 30*time.Second), h.Binary, "login", "--oidc", "--ca", i.CA)
		var stdout bytes.Buffer
		cmd.Env, cmd.Stdout = h.Env(), &stdout
		stderr, err := cmd.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		asked, err := bufio.NewReader(stderr).ReadString('\n')
		require.NoError(t, err)
		code := asked[strings.LastIndex(asked, " ")+1 : len(asked)-1]
		if !allowed {
			require.True(t, i.Deny(code), asked)
			require.Error(t, cmd.Wait())
			require.Equal(t, "unset SPARK_REMOTE; false\n", stdout.String(), "eval fails, and no old line is used")
			continue
		}
		require.True(t, i.Approve(code, "alice"), asked)
		require.NoError(t, cmd.Wait())
		line, trust, _ := strings.Cut(stdout.String(), "\n")
		require.Equal(t, "export GRPC_DEFAULT_SSL_ROOTS_FILE_PATH='"+i.CA+"'\n", trust)
		line = remote(t, line+"\n")
		require.NoError(t, h.client(line[strings.Index(line, "rht_"):]).Version(within(t, time.Minute)))
		require.Equal(t, "alice", h.Sessions()[0].User)
	}
}

// TestRealSpark: PySpark and real Spark with a token of the gateway.
func TestRealSpark(t *testing.T) {
	h := startWith(t, map[string]string{"kyuubi.session.engine.initialize.timeout": "PT4M"})
	client := pyspark(t, "4.3", map[string]string{"LOGIN_REMOTE": h.issue(aliceToken, "").Remote})
	require.EqualValues(t, 1000, client.Next("answered", 4*time.Minute)["rows"])
	client.Say("")
	code, _ := client.Wait(time.Minute)
	require.Zero(t, code)
}
