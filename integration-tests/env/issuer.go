// SPDX-License-Identifier: Apache-2.0

package env

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// Audience is for whom an Issuer makes tokens if nothing else is said.
const Audience = "roundhouse"

// Issuer is an OpenID Connect provider on a free port of this machine, with
// discovery, published keys, and the flows of issuer_flows.go. Its methods may be
// called at once.
type Issuer struct {
	// URL is the issuer, CA the file of the authority of its certificate; "" if it
	// speaks plain HTTP.
	URL, CA string
	// Clients are the secrets of confidential clients, People those who have an
	// account, by name. Both are for the test to fill before the first call.
	Clients map[string]string
	People  map[string]Person

	t                    testing.TB
	address, certificate string // the latter with its key in key
	key                  string
	server               *http.Server
	over                 chan struct{}

	mu      sync.Mutex
	keys    []IssuerKey // the last one signs, unless signs says another one
	signs   string
	fetches int
	hang    bool
	devices map[string]*device
}

// Person is somebody with an account.
type Person struct {
	Password string
	Groups   []string
}

// IssuerKey is a key pair for signatures.
type IssuerKey struct {
	ID, Algorithm string
	Private       crypto.Signer
}

// StartIssuer starts a provider with one key for RS256, by HTTPS if secure. It
// ends with the test.
func StartIssuer(t testing.TB, secure bool) *Issuer {
	t.Helper()
	i := &Issuer{t: t, Clients: map[string]string{}, People: map[string]Person{}, devices: map[string]*device{}}
	i.address = fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	i.URL = "http://" + i.address
	if secure {
		i.certificate, i.key = Certificate(t)
		i.URL, i.CA = "https://"+i.address, i.certificate
	}
	i.Publish("RS256")
	i.Start()
	t.Cleanup(i.Stop)
	return i
}

// Start lets it answer again at its address after Stop.
func (i *Issuer) Start() {
	i.t.Helper()
	listener, err := net.Listen("tcp", i.address)
	require.NoError(i.t, err)
	server, over := &http.Server{Handler: i.routes(), ReadHeaderTimeout: 5 * time.Second}, make(chan struct{})
	i.server, i.over = server, over
	go func() { // waited for by Stop
		defer close(over)
		if i.certificate != "" {
			_ = server.ServeTLS(listener, i.certificate, i.key)
		} else {
			_ = server.Serve(listener)
		}
	}()
}

// Stop ends it at once: nobody answers at its address.
func (i *Issuer) Stop() {
	_ = i.server.Close()
	<-i.over
}

// Hang lets calls wait for ever, or no longer.
func (i *Issuer) Hang(on bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hang = on
}

// Fetches counts how often its keys were fetched.
func (i *Issuer) Fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

func (i *Issuer) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /keys", i.publishedKeys)
	mux.HandleFunc("POST /device", i.deviceCode)
	mux.HandleFunc("POST /token", i.token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		hang := i.hang
		i.mu.Unlock()
		if hang {
			<-r.Context().Done()
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{
		"issuer": i.URL, "jwks_uri": i.URL + "/keys", "token_endpoint": i.URL + "/token",
		"authorization_endpoint": i.URL + "/authorize", "device_authorization_endpoint": i.URL + "/device",
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "EdDSA"},
		"grant_types_supported":                 []string{grantDevice, grantPassword, grantClient},
		"response_types_supported":              []string{"code"}, "subject_types_supported": []string{"public"},
	})
}

func (i *Issuer) publishedKeys(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetches++
	set := jose.JSONWebKeySet{}
	for _, k := range i.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"})
	}
	reply(w, http.StatusOK, set)
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

// NewIssuerKey makes a key pair for an algorithm of RFC 7518 with an id.
func NewIssuerKey(t testing.TB, algorithm, id string) IssuerKey {
	t.Helper()
	var private crypto.Signer
	var err error
	switch algorithm {
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case "RS256", "PS256":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = errors.New("no key for " + algorithm)
	}
	require.NoError(t, err)
	return IssuerKey{ID: id, Algorithm: algorithm, Private: private}
}

// Publish adds a new key. It signs from now on, unless Use said which one does.
func (i *Issuer) Publish(algorithm string) IssuerKey {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	k := NewIssuerKey(i.t, algorithm, fmt.Sprintf("%s-%s", algorithm, rand.Text()[:8]))
	i.keys = append(i.keys, k)
	return k
}

// Use signs with a published key from now on.
func (i *Issuer) Use(k IssuerKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.signs = k.ID
}

// Withdraw takes all keys back but these.
func (i *Issuer) Withdraw(but ...IssuerKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = but
}

// Key is the one that signs now.
func (i *Issuer) Key() IssuerKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, k := range i.keys {
		if k.ID == i.signs {
			return k
		}
	}
	return i.keys[len(i.keys)-1]
}

// Claims are those of a token for a user that is good for ten minutes, with
// changes; nil takes a claim out.
func (i *Issuer) Claims(user string, changes map[string]any) map[string]any {
	now := time.Now()
	claims := map[string]any{
		"iss": i.URL, "aud": Audience, "sub": user, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(), "jti": rand.Text(),
	}
	if groups := i.People[user].Groups; len(groups) > 0 {
		claims["groups"] = groups
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// Token is a token for a user, with changes of its claims.
func (i *Issuer) Token(user string, changes map[string]any) string {
	i.t.Helper()
	return i.Key().Sign(i.t, i.Claims(user, changes), nil)
}

// Sign signs claims with the key; header adds to alg, kid and typ.
func (k IssuerKey) Sign(t testing.TB, claims, header map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(k.Algorithm), Key: jose.JSONWebKey{Key: k.Private, KeyID: k.ID},
	}, options)
	require.NoError(t, err)
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	signed, err := signer.Sign(payload)
	require.NoError(t, err)
	text, err := signed.CompactSerialize()
	require.NoError(t, err)
	return text
}
