// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"crypto/x509"
	"encoding/pem"
	"os"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// anIssuer are settings of JWT to which a row adds what is wrong.
const (
	jwtKey      = "kyuubi.authentication.jwt."
	justJWT     = "kyuubi.authentication=JWT"
	anIssuer    = justJWT + ";" + jwtKey + "issuer=https://login.example"
	anAudience  = ";" + jwtKey + "audience=roundhouse"
	aGoodIssuer = anIssuer + anAudience
	keysInFile  = aGoodIssuer + ";" + jwtKey + "public.key.path={dir}/keys.pem"
)

// aPublicKey makes a file with the public key for an algorithm, or the private one.
func aPublicKey(algorithm string, private bool, mode os.FileMode) func(*machine) {
	return func(m *machine) {
		k := env.NewIssuerKey(m.t, algorithm, "")
		kind := "PUBLIC KEY"
		der, err := x509.MarshalPKIXPublicKey(k.Private.Public())
		if private {
			kind = "PRIVATE KEY"
			der, err = x509.MarshalPKCS8PrivateKey(k.Private)
		}
		require.NoError(m.t, err)
		m.file("keys.pem", string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})), mode)
	}
}

// issuers: whose tokens the method JWT would take, and for what.
var issuers = []unsafe{
	{name: "no issuer", lines: justJWT, key: jwtKey + "issuer", why: "needs an issuer whose tokens it takes"},
	{name: "no audience", lines: anIssuer, key: jwtKey + "audience", why: "tokens that people got for any other program would open this gateway"},
	{name: "an audience of nobody", lines: justJWT + anAudience, key: jwtKey + "issuer", why: "but not its URL"},
	{name: "an issuer in clear text", lines: justJWT + anAudience + ";" + jwtKey + "issuer=http://login.example", key: jwtKey + "issuer", why: "could send keys of their own and so make tokens of anybody"},
	{name: "an issuer without a scheme", lines: justJWT + anAudience + ";" + jwtKey + "issuer=login.example", key: jwtKey + "issuer", why: "is no URL"},
	{name: "an issuer with a password", lines: justJWT + anAudience + ";" + jwtKey + "issuer=https://a:hunter2@login.example", key: jwtKey + "issuer", why: "holds more than a server and a path"},
	{name: "keys in clear text", lines: aGoodIssuer + ";" + jwtKey + "jwks.url=http://keys.example/jwks", key: jwtKey + "jwks.url", why: "could send keys of their own"},
	{name: "a key without a signature", lines: aGoodIssuer + ";" + jwtKey + "algorithms=RS256,none", key: jwtKey + "algorithms", why: `"none" is no signature that only the issuer can make`},
	{name: "a shared secret", lines: aGoodIssuer + ";" + jwtKey + "algorithms=HS256", key: jwtKey + "algorithms", why: `"HS256" is no signature that only the issuer can make`},
	{name: "no algorithm", lines: aGoodIssuer + ";" + jwtKey + "algorithms=", key: jwtKey + "algorithms", why: "it names no algorithm"},
	{name: "no claim", lines: aGoodIssuer + ";" + jwtKey + "user.claim=", key: jwtKey + "user.claim", why: "nothing says who the user of a token is"},
	{name: "mail of everywhere", lines: aGoodIssuer + ";" + jwtKey + "user.claim=email", key: jwtKey + "user.domains", why: "name the domains whose people this issuer vouches for"},
	{name: "any domain", lines: aGoodIssuer + ";" + jwtKey + "user.domains=*", key: jwtKey + "user.domains", why: "without @ and wildcards"},
	{name: "one issuer twice", lines: aGoodIssuer + ";" + jwtKey + "b.issuer=https://login.example;" + jwtKey + "b.audience=b", key: jwtKey + "b.issuer", why: "is also the issuer of " + jwtKey + "issuer"},
	{name: "a second one without an audience", lines: aGoodIssuer + ";" + jwtKey + "b.issuer=https://b.example", key: jwtKey + "b.audience", why: "would open this gateway"},
	{name: "a setting of a second one for a user", lines: aGoodIssuer + ";___eve___." + jwtKey + "b.issuer=https://eve.example", key: jwtKey + "b.issuer", why: "holds for the whole gateway and cannot differ by user"},
	{name: "keys asked for all the time", lines: aGoodIssuer + ";" + jwtKey + "refresh.interval=10ms", key: jwtKey + "refresh.interval", why: "must be at least 1s"},
	{name: "keys here and there", lines: keysInFile + ";" + jwtKey + "jwks.url=https://keys.example", prepare: aPublicKey("RS256", false, 0o644), key: jwtKey + "public.key.path", why: "remove one or the other"},
	{name: "no file of keys", lines: keysInFile, key: jwtKey + "public.key.path", why: "cannot be read"},
	{name: "a key that others change", lines: keysInFile, prepare: aPublicKey("RS256", false, 0o666), key: jwtKey + "public.key.path", why: "can change {dir}/keys.pem and so make tokens of anybody"},
	{name: "a key where engines work", lines: keysInFile + ";kyuubi.server.work.dir={dir}/w;" + jwtKey + "public.key.path={dir}/w/keys.pem", prepare: all(aPublicKey("RS256", false, 0o600), func(m *machine) {
		require.NoError(m.t, os.Mkdir(m.dir+"/w", 0o700))
		require.NoError(m.t, os.Rename(m.dir+"/keys.pem", m.dir+"/w/keys.pem"))
	}), key: jwtKey + "public.key.path", why: "is inside {dir}/w, where engines work"},
	{name: "a private key", lines: keysInFile, prepare: aPublicKey("RS256", true, 0o600), key: "login.example", why: "it is a private key"},
	{name: "a key of another algorithm", lines: keysInFile, prepare: aPublicKey("ES256", false, 0o600), key: "login.example", why: "does not fit RS256"},
	{name: "authorities that others change", lines: aGoodIssuer + ";" + jwtKey + "ssl.ca.path={dir}/ca.pem", prepare: aFile("ca.pem", "x", 0o666), key: jwtKey + "ssl.ca.path", why: "and so pretend to be the issuer"},
	{name: "authorities in a folder of all", lines: aGoodIssuer + ";" + jwtKey + "ssl.ca.path={dir}/all/ca.pem", prepare: all(aSignedCertificate, aFolder("all", 0o777), moved("ca.pem", "all/ca.pem")), key: jwtKey + "ssl.ca.path", why: "can replace what is in {dir}/all and so pretend to be the issuer"},
	{name: "authorities that are none", lines: aGoodIssuer + ";" + jwtKey + "ssl.ca.path={dir}/ca.pem", prepare: aFile("ca.pem", "x", 0o600), key: jwtKey + "ssl.ca.path", why: "holds no certificate in PEM form"},
}
