// SPDX-License-Identifier: Apache-2.0

package env

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// forger makes tokens in the name of alice that must not be good.
type forger struct {
	t       testing.TB
	issuer  *Issuer
	rs, es  IssuerKey // the issuer's own
	mallory IssuerKey // of nobody
}

// ForgedTokens are tokens in the name of alice that are not good, by what is
// wrong. The issuer has the keys rs for RS256 and es for ES256, and both
// algorithms are allowed. Some are signed by the issuer: what they say makes them
// void.
func ForgedTokens(t testing.TB, i *Issuer, rs, es IssuerKey) map[string]string {
	t.Helper()
	f := forger{t, i, rs, es, NewIssuerKey(t, "RS256", rs.ID)}
	all := map[string]string{}
	for _, some := range []map[string]string{f.algorithms(), f.keyIDs(), f.claims(), f.times(), f.signatures(), f.forms()} {
		maps.Copy(all, some)
	}
	return all
}

// header is that of a good token with changes; nil takes a member out.
func (f forger) header(changes map[string]any) string {
	header := map[string]any{"alg": f.rs.Algorithm, "kid": f.rs.ID, "typ": "JWT"}
	maps.Copy(header, changes)
	maps.DeleteFunc(header, func(_ string, value any) bool { return value == nil })
	return f.json(header)
}

func (f forger) payload(changes map[string]any) string {
	return f.json(f.issuer.Claims("alice", changes))
}

func (f forger) json(value any) string {
	text, err := json.Marshal(value)
	require.NoError(f.t, err)
	return string(text)
}

// signed is a token with this header and payload, to the byte, signed by a key.
func (f forger) signed(k IssuerKey, header, payload string) string {
	input := encoded(header) + "." + encoded(payload)
	digest := sha256.Sum256([]byte(input))
	if private, ok := k.Private.(*ecdsa.PrivateKey); ok {
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		require.NoError(f.t, err)
		size := (private.Curve.Params().BitSize + 7) / 8
		return input + "." + encoded(string(r.FillBytes(make([]byte, size)))+string(s.FillBytes(make([]byte, size))))
	}
	message, hash := digest[:], crypto.SHA256
	if k.Algorithm == "EdDSA" {
		message, hash = []byte(input), crypto.Hash(0)
	}
	signature, err := k.Private.Sign(rand.Reader, message, hash)
	require.NoError(f.t, err)
	return input + "." + encoded(string(signature))
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// good is a good token, in parts.
func (f forger) good() (header, payload, signature string) {
	parts := strings.Split(f.signed(f.rs, f.header(nil), f.payload(nil)), ".")
	return parts[0], parts[1], parts[2]
}

// algorithms: no signature, and one by a secret that everybody knows.
func (f forger) algorithms() map[string]string {
	_, payload, signature := f.good()
	all := map[string]string{}
	for _, none := range []any{"none", "None", "NONE", "nOnE", "", nil, []string{"RS256"}, "rs256"} {
		header := encoded(f.header(map[string]any{"alg": none}))
		all[fmt.Sprintf("algorithm %v, no signature", none)] = header + "." + payload + "."
		all[fmt.Sprintf("algorithm %v, a signature", none)] = header + "." + payload + "." + signature
	}
	der, err := x509.MarshalPKIXPublicKey(f.rs.Private.Public())
	require.NoError(f.t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	jwk := f.json(jose.JSONWebKey{Key: f.rs.Private.Public(), KeyID: f.rs.ID})
	for name, secret := range map[string][]byte{"in PEM": text, "in DER": der, "as JWK": []byte(jwk), "trimmed": []byte(strings.TrimSpace(string(text))), "missing": {}} {
		all["HS256 with the public key "+name] = f.shared("HS256", nil, secret)
		all["HS512 with the public key "+name] = f.shared("HS512", nil, secret)
	}
	all["RS256 key used for PS256"] = f.signed(f.rs, f.header(map[string]any{"alg": "PS256"}), f.payload(nil))
	return all
}

// shared is a token signed with a shared secret.
func (f forger) shared(algorithm string, header map[string]any, secret []byte) string {
	changes := map[string]any{"alg": algorithm}
	maps.Copy(changes, header)
	input := encoded(f.header(changes)) + "." + encoded(f.payload(nil))
	mac := hmac.New(sha256.New, secret)
	if algorithm == "HS512" {
		mac = hmac.New(sha512.New, secret)
	}
	mac.Write([]byte(input))
	return input + "." + encoded(string(mac.Sum(nil)))
}

// keyIDs: keys that the token brings, points to, or lets be looked up.
func (f forger) keyIDs() map[string]string {
	all := map[string]string{
		"kid of a file, empty secret": f.shared("HS256", map[string]any{"kid": "../../../../../../dev/null"}, nil),
		"kid of SQL":                  f.shared("HS256", map[string]any{"kid": "x' UNION SELECT 'secret"}, []byte("secret")),
		"own key, the issuer's kid":   f.signed(f.mallory, f.header(nil), f.payload(nil)),
		"own key, no kid":             f.signed(f.mallory, f.header(map[string]any{"kid": nil}), f.payload(nil)),
	}
	der, err := x509.MarshalPKIXPublicKey(f.mallory.Private.Public())
	require.NoError(f.t, err)
	for name, value := range map[string]any{
		"jku": f.issuer.URL + "/mallory", "x5u": f.issuer.URL + "/mallory.pem",
		"jwk": jose.JSONWebKey{Key: f.mallory.Private.Public(), KeyID: f.rs.ID}, "x5c": []string{base64.StdEncoding.EncodeToString(der)},
	} {
		all["a key in "+name] = f.signed(f.mallory, f.header(map[string]any{name: value}), f.payload(nil))
		all["a key in "+name+", no kid"] = f.signed(f.mallory, f.header(map[string]any{name: value, "kid": nil}), f.payload(nil))
	}
	for _, kid := range []any{"../" + f.rs.ID, f.rs.ID + "\x00", "https://" + f.rs.ID, strings.ToLower(f.rs.ID), 7, "", []string{f.rs.ID}, true} {
		all[fmt.Sprintf("kid %.40q", fmt.Sprint(kid))] = f.signed(f.rs, f.header(map[string]any{"kid": kid}), f.payload(nil))
	}
	return all
}

// claims: who made the token, for whom, and about whom.
func (f forger) claims() map[string]string {
	all := map[string]string{}
	for name, values := range map[string][]any{
		"iss": {nil, "", "https://other.example", f.issuer.URL + "/", strings.ToUpper(f.issuer.URL), []string{f.issuer.URL}, map[string]string{"a": f.issuer.URL}},
		"aud": {nil, "", "other", []string{}, []string{"other", "another"}, []any{Audience, 7}, map[string]any{Audience: true}, Audience + " other", strings.ToUpper(Audience)},
		"sub": {nil, "", 7, []string{"alice"}, "alice@other.example", "alice/admin", "../alice", "alice\n", "root", "аlice", true},
	} {
		for _, value := range values {
			all[fmt.Sprintf("%s %.60q", name, fmt.Sprint(value))] = f.signed(f.rs, f.header(nil), f.payload(map[string]any{name: value}))
		}
	}
	return all
}

// times: tokens of yesterday and tomorrow.
func (f forger) times() map[string]string {
	all, now := map[string]string{}, time.Now()
	soon := now.Add(time.Hour).Unix()
	for name, values := range map[string][]any{
		"exp": {nil, 0, -1, fmt.Sprint(soon), now.Add(-time.Minute).Unix(), now.AddDate(-1, 0, 0).Unix(), 1e300, true, []int64{soon}, now.UnixMilli()},
		"nbf": {soon, "soon", fmt.Sprint(now.Unix()), 1e300, now.UnixMilli()},
		"iat": {soon, "soon", true, now.Add(2 * time.Minute).Unix()},
	} {
		for _, value := range values {
			all[fmt.Sprintf("%s %v", name, value)] = f.signed(f.rs, f.header(nil), f.payload(map[string]any{name: value}))
		}
	}
	return all
}

// signatures: none, half, or by another key.
func (f forger) signatures() map[string]string {
	header, payload, signature := f.good()
	input := header + "." + payload + "."
	esHeader := f.header(map[string]any{"alg": "ES256", "kid": f.es.ID})
	esInput := encoded(esHeader) + "." + payload + "."
	other := NewIssuerKey(f.t, "ES384", f.es.ID)
	digest := sha256.Sum256([]byte(strings.TrimSuffix(esInput, ".")))
	asn1, err := f.es.Private.Sign(rand.Reader, digest[:], crypto.SHA256)
	require.NoError(f.t, err)
	order := f.es.Private.(*ecdsa.PrivateKey).Params().N.Bytes()
	flipped := []byte(signature)
	flipped[10] ^= 3
	return map[string]string{
		"no signature":              input,
		"no dot":                    header + "." + payload,
		"half a signature":          input + signature[:len(signature)/2],
		"a signature and a bit":     input + signature + "AAAA",
		"another bit":               input + string(flipped),
		"claims of somebody else":   header + "." + encoded(f.json(f.issuer.Claims("bob", nil))) + "." + signature,
		"claims with one more":      header + "." + encoded(f.payload(map[string]any{"groups": []string{"admins"}})) + "." + signature,
		"ES256 of zeros":            esInput + encoded(strings.Repeat("\x00", 64)),
		"ES256 of nothing":          esInput,
		"ES256 of the order":        esInput + encoded(string(order)+string(order)),
		"ES256 of one zero":         esInput + encoded(strings.Repeat("\x00", 32)+string(order[:31])+"\x01"),
		"ES256 in ASN.1":            esInput + encoded(string(asn1)),
		"ES256 by another curve":    f.signed(other, esHeader, f.payload(nil)),
		"ES256 for the RSA key":     f.signed(f.es, f.header(map[string]any{"alg": "ES256"}), f.payload(nil)),
		"RS256 for the EC key":      f.signed(f.rs, f.header(map[string]any{"kid": f.es.ID}), f.payload(nil)),
		"ES384 by the EC key":       f.signed(f.es, f.header(map[string]any{"alg": "ES384", "kid": f.es.ID}), f.payload(nil)),
		"EdDSA by a key of nobody":  f.signed(NewIssuerKey(f.t, "EdDSA", f.rs.ID), f.header(map[string]any{"alg": "EdDSA"}), f.payload(nil)),
		"the signature of a header": header + "." + payload + "." + header,
	}
}

// forms: what two readers could read in two ways.
func (f forger) forms() map[string]string {
	header, payload, signature := f.good()
	whole := header + "." + payload + "." + signature
	claims, plain := f.payload(nil), f.header(nil)
	more := func(object, member string) string { return strings.TrimSuffix(object, "}") + "," + member + "}" }
	standard := base64.StdEncoding.EncodeToString([]byte(plain)) + "." + base64.StdEncoding.EncodeToString([]byte(claims)) + "." + signature
	all := map[string]string{
		"sub twice":                    f.signed(f.rs, plain, more(claims, `"sub":"bob"`)),
		"sub twice, once escaped":      f.signed(f.rs, plain, more(claims, `"s\u0075b":"bob"`)),
		"exp twice":                    f.signed(f.rs, plain, more(claims, `"exp":4102444800`)),
		"a claim twice, deep inside":   f.signed(f.rs, plain, more(claims, `"a":[{"b":{"c":1,"c":2}}]`)),
		"alg twice":                    f.signed(f.rs, more(plain, `"alg":"none"`), claims),
		"kid twice":                    f.signed(f.rs, more(plain, `"kid":"x"`), claims),
		"crit":                         f.signed(f.rs, more(plain, `"crit":["exp"],"exp":1`), claims),
		"crit of nothing":              f.signed(f.rs, more(plain, `"crit":[]`), claims),
		"b64":                          f.signed(f.rs, more(plain, `"b64":false,"crit":["b64"]`), claims),
		"b64 alone":                    f.signed(f.rs, more(plain, `"b64":true`), claims),
		"zip":                          f.signed(f.rs, more(plain, `"zip":"DEF"`), claims),
		"a logout token":               f.signed(f.rs, f.header(map[string]any{"typ": "logout+jwt"}), claims),
		"a type that is none":          f.signed(f.rs, f.header(map[string]any{"typ": 7}), claims),
		"huge":                         f.signed(f.rs, plain, f.payload(map[string]any{"x": strings.Repeat("x", 9<<10)})),
		"nested":                       f.signed(f.rs, f.header(map[string]any{"cty": "JWT"}), whole),
		"nested, as text":              f.signed(f.rs, plain, f.json(whole)),
		"a list of claims":             f.signed(f.rs, plain, "["+claims+"]"),
		"no claims":                    f.signed(f.rs, plain, "null"),
		"claims and a rest":            f.signed(f.rs, plain, claims+claims),
		"claims that are no JSON":      f.signed(f.rs, plain, strings.ReplaceAll(claims, `"`, "'")),
		"a deep hole":                  f.signed(f.rs, plain, strings.Repeat(`{"a":`, 1000)),
		"a header and a rest":          f.signed(f.rs, plain+"{}", claims),
		"four parts":                   whole + "." + signature,
		"five parts":                   whole + "." + signature + "." + signature,
		"a dot behind":                 whole + ".",
		"a dot before":                 "." + whole,
		"padding":                      whole + "==",
		"the other alphabet":           standard,
		"a blank inside":               header + ". " + payload + "." + signature,
		"a blank behind":               whole + " x",
		"a signature with unused bits": header + "." + payload + "." + unusedBits(signature),
		"JSON":                         f.json(map[string]string{"protected": header, "payload": payload, "signature": signature}),
		"percent":                      strings.Replace(whole, ".", "%2E", 1),
		"a quoted token":               `"` + whole + `"`,
		"two tokens":                   whole + "," + whole,
	}
	return all
}

// unusedBits is another text for the same bytes: 256 bytes leave four bits of the
// last character unused, which a lenient decoder does not look at.
func unusedBits(signature string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, signature[len(signature)-1])
	return signature[:len(signature)-1] + alphabet[last+1:last+2]
}
