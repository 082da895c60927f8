// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/integration-tests/env"
)

// TestAnswersThatAreNotBelieved: what is wrong with an issuer is an error, not a
// key.
func TestAnswersThatAreNotBelieved(t *testing.T) {
	const document = "GET /.well-known/openid-configuration"
	says := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(strings.ReplaceAll(text, "{self}", "http://"+r.Host)))
		}
	}
	discovery := says(`{"issuer":"{self}","jwks_uri":"{self}/keys"}`)
	for name, c := range map[string]struct {
		routes map[string]http.HandlerFunc
		why    string
	}{
		"no discovery": {nil, "404"},
		"a long fault": {map[string]http.HandlerFunc{document: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = w.Write(make([]byte, maxAnswer))
		}}, "500"},
		"another issuer":  {map[string]http.HandlerFunc{document: says(`{"issuer":"https://other.example","jwks_uri":"{self}/keys"}`)}, "did not match"},
		"keys in clear":   {map[string]http.HandlerFunc{document: says(`{"issuer":"{self}","jwks_uri":"http://keys.example/keys"}`)}, "must begin with https://"},
		"keys in a file":  {map[string]http.HandlerFunc{document: says(`{"issuer":"{self}","jwks_uri":"file:///etc/passwd"}`)}, "must begin with https://"},
		"no address":      {map[string]http.HandlerFunc{document: says(`{"issuer":"{self}"}`)}, "must begin with https://"},
		"elsewhere":       {map[string]http.HandlerFunc{document: http.RedirectHandler("https://other.example", http.StatusFound).ServeHTTP}, "not followed"},
		"keys elsewhere":  {map[string]http.HandlerFunc{document: discovery, "GET /keys": http.RedirectHandler("/other", http.StatusFound).ServeHTTP}, "not followed"},
		"a fault":         {map[string]http.HandlerFunc{document: discovery, "GET /keys": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }}, "500"},
		"a page":          {map[string]http.HandlerFunc{document: discovery, "GET /keys": says("<html>")}, "is no set of keys"},
		"no keys":         {map[string]http.HandlerFunc{document: discovery, "GET /keys": says(`{"keys":[]}`)}, "none among them"},
		"a shared secret": {map[string]http.HandlerFunc{document: discovery, "GET /keys": says(`{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"}]}`)}, "none among them"},
		"endless":         {map[string]http.HandlerFunc{document: discovery, "GET /keys": says(`{"keys":["` + strings.Repeat("x", 2<<20) + `"]}`)}, "is no set of keys"},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			for pattern, handler := range c.routes {
				mux.HandleFunc(pattern, handler)
			}
			server := httptest.NewServer(mux)
			defer server.Close()
			fetch, err := newSource(Issuer{URL: server.URL})
			require.NoError(t, err)
			_, err = fetch(t.Context())
			require.ErrorContains(t, err, c.why)
			require.Less(t, len(err.Error()), 1000)
		})
	}
}

// TestKeysOfAnAddress: an issuer without discovery, and one whose certificate
// nobody vouches for.
func TestKeysOfAnAddress(t *testing.T) {
	i := env.StartIssuer(t, true)
	fetch, err := newSource(Issuer{URL: "https://issuer.example", KeysURL: i.URL + "/keys", CAFile: i.CA})
	require.NoError(t, err)
	keys, err := fetch(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 1)
	for _, stranger := range []Issuer{{URL: i.URL}, {URL: "https://issuer.example", KeysURL: i.URL + "/keys"}} {
		fetch, err = newSource(stranger)
		require.NoError(t, err)
		_, err = fetch(t.Context())
		require.ErrorContains(t, err, "certificate")
		require.ErrorContains(t, err, "kyuubi.authentication.jwt.ssl.ca.path")
	}
}

// TestNewAuthorities hold for the next fetch.
func TestNewAuthorities(t *testing.T) {
	i := env.StartIssuer(t, true)
	other, _ := env.Certificate(t)
	good, err := os.ReadFile(i.CA)
	require.NoError(t, err)
	fetch, err := newSource(Issuer{URL: i.URL, CAFile: other})
	require.NoError(t, err)
	_, err = fetch(t.Context())
	require.ErrorContains(t, err, "certificate")
	require.NoError(t, os.WriteFile(other, good, 0o600))
	_, err = fetch(t.Context())
	require.NoError(t, err)
	require.NoError(t, os.Remove(other))
	_, err = fetch(t.Context())
	require.ErrorContains(t, err, "authorities")
}

// TestKeysOfAFile: no issuer is asked.
func TestKeysOfAFile(t *testing.T) {
	i := env.StartIssuer(t, false)
	i.Stop()
	rs, es := i.Key(), env.NewIssuerKey(t, "ES256", "es")
	path := filepath.Join(t.TempDir(), "keys.pem")
	write := func(keys ...env.IssuerKey) {
		var text []byte
		for _, k := range keys {
			der, err := x509.MarshalPKIXPublicKey(k.Private.Public())
			require.NoError(t, err)
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
		}
		require.NoError(t, os.WriteFile(path, text, 0o600))
	}
	write(rs, es)
	trusted := trusting(i)
	trusted.KeysFile = path
	a := start(t, trusted)
	for _, k := range []env.IssuerKey{rs, es} {
		_, err := a.Check(t.Context(), auth.Request{}, auth.Credentials{Scheme: auth.SchemeBearer, Value: k.Sign(t, i.Claims("alice", nil), nil)})
		require.NoError(t, err)
	}
	write(es)
	a.issuers[i.URL].keys.attempt(t.Context())
	_, err := a.Check(t.Context(), auth.Request{}, auth.Credentials{Scheme: auth.SchemeBearer, Value: i.Token("alice", nil)})
	require.Error(t, err, "the key was taken out of the file")
}

func TestFilesThatAreRefused(t *testing.T) {
	private := env.NewIssuerKey(t, "ES256", "es")
	der, err := x509.MarshalPKCS8PrivateKey(private.Private)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(private.Private.Public())
	require.NoError(t, err)
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for name, c := range map[string]struct{ text, why string }{
		"nothing":             {"", "holds no public key"},
		"a page":              {"<html>", "holds no public key"},
		"a private key":       {block("PRIVATE KEY", der), "it is a private key"},
		"another block":       {block("DH PARAMETERS", der), "is no public key"},
		"broken":              {block("PUBLIC KEY", public[:20]), "key 1: "},
		"for other algorithm": {block("PUBLIC KEY", public), "does not fit RS256"},
	} {
		path := filepath.Join(t.TempDir(), "keys.pem")
		require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
		_, err := New(Options{Issuers: []Issuer{{URL: "https://i", KeysFile: path, Algorithms: []string{"RS256"}}}, Refresh: time.Hour, Log: slog.New(slog.DiscardHandler)})
		require.ErrorContains(t, err, c.why, name)
		require.ErrorContains(t, err, "https://i", name)
	}
}
