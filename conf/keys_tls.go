// SPDX-License-Identifier: Apache-2.0

package conf

import "roundhouse/internal/tlsx"

// AuthCertificate is the method of kyuubi.authentication for callers with a
// certificate.
const AuthCertificate = "CERTIFICATE"

// What kyuubi.frontend.*.ssl.client.auth can be.
const (
	clientsNone     = "NONE"
	clientsOptional = "OPTIONAL"
	clientsRequired = "REQUIRED"
)

// TLS of the two ports. A port takes its own certificate, else that of
// kyuubi.frontend.ssl.
var (
	// ConnectSSLEnabled is kyuubi.frontend.spark.connect.ssl.enabled.
	ConnectSSLEnabled = Entry[bool]{Meta{Key: "kyuubi.frontend.spark.connect.ssl.enabled", Default: "false", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Whether the Spark Connect port speaks TLS (1.2 and 1.3). Spark's clients send tokens over TLS only."}, boolKind()}

	// RESTSSLEnabled is kyuubi.frontend.rest.ssl.enabled.
	RESTSSLEnabled = Entry[bool]{Meta{Key: "kyuubi.frontend.rest.ssl.enabled", Default: "false", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Whether the REST port speaks TLS. Engines on this machine register in plain HTTP all the same, signed with keys of their own; nothing else is answered in plain."}, boolKind()}

	// SSLCertificate is kyuubi.frontend.ssl.certificate.path.
	SSLCertificate = Entry[string]{Meta{Key: "kyuubi.frontend.ssl.certificate.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "PEM file with the certificate of every port that has none of its own, followed by its intermediates. Put a new one in its place and it is used for new connections within seconds."}, pathKind()}

	// SSLKey is kyuubi.frontend.ssl.key.path.
	SSLKey = Entry[string]{Meta{Key: "kyuubi.frontend.ssl.key.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "PEM file with its private key, unencrypted and readable by the gateway's user only."}, pathKind()}

	// SSLKeystore is kyuubi.frontend.ssl.keystore.path.
	SSLKeystore = Entry[string]{Meta{Key: "kyuubi.frontend.ssl.keystore.path", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Java keystore with the certificate and the key, instead of the two PEM files; readable by the gateway's user only."}, pathKind()}

	// SSLKeystorePassword is kyuubi.frontend.ssl.keystore.password.
	SSLKeystorePassword = Entry[string]{Meta{Key: "kyuubi.frontend.ssl.keystore.password", Secret: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Password of the keystore and of the key in it."}, textKind()}

	// SSLKeystoreType is kyuubi.frontend.ssl.keystore.type.
	SSLKeystoreType = Entry[string]{Meta{Key: "kyuubi.frontend.ssl.keystore.type", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Type of every keystore. Unset takes the type that the file has."}, enumKind(tlsx.JKS, tlsx.PKCS12)}

	// ConnectSSLCertificate is kyuubi.frontend.spark.connect.ssl.certificate.path.
	ConnectSSLCertificate = Entry[string]{Meta{Key: "kyuubi.frontend.spark.connect.ssl.certificate.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "PEM file with the certificate of the Spark Connect port alone."}, pathKind()}

	// ConnectSSLKey is kyuubi.frontend.spark.connect.ssl.key.path.
	ConnectSSLKey = Entry[string]{Meta{Key: "kyuubi.frontend.spark.connect.ssl.key.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "PEM file with its private key."}, pathKind()}

	// ConnectSSLKeystore is kyuubi.frontend.spark.connect.ssl.keystore.path.
	ConnectSSLKeystore = Entry[string]{Meta{Key: "kyuubi.frontend.spark.connect.ssl.keystore.path", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Java keystore of the Spark Connect port alone."}, pathKind()}

	// ConnectSSLKeystorePassword is kyuubi.frontend.spark.connect.ssl.keystore.password.
	ConnectSSLKeystorePassword = Entry[string]{Meta{Key: "kyuubi.frontend.spark.connect.ssl.keystore.password", Secret: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Its password."}, textKind()}

	// RESTSSLCertificate is kyuubi.frontend.rest.ssl.certificate.path.
	RESTSSLCertificate = Entry[string]{Meta{Key: "kyuubi.frontend.rest.ssl.certificate.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "PEM file with the certificate of the REST port alone."}, pathKind()}

	// RESTSSLKey is kyuubi.frontend.rest.ssl.key.path.
	RESTSSLKey = Entry[string]{Meta{Key: "kyuubi.frontend.rest.ssl.key.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "PEM file with its private key."}, pathKind()}

	// RESTSSLKeystore is kyuubi.frontend.rest.ssl.keystore.path.
	RESTSSLKeystore = Entry[string]{Meta{Key: "kyuubi.frontend.rest.ssl.keystore.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Java keystore of the REST port alone."}, pathKind()}

	// RESTSSLKeystorePassword is kyuubi.frontend.rest.ssl.keystore.password.
	RESTSSLKeystorePassword = Entry[string]{Meta{Key: "kyuubi.frontend.rest.ssl.keystore.password", Ours: true, Secret: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Its password."}, textKind()}

	// ConnectSSLClientAuth is kyuubi.frontend.spark.connect.ssl.client.auth.
	ConnectSSLClientAuth = Entry[string]{Meta{Key: "kyuubi.frontend.spark.connect.ssl.client.auth", Default: clientsNone, Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Whether Spark Connect clients are asked for a certificate: not at all, if they have one, or always. One that they show must be good."}, clientsKind()}

	// RESTSSLClientAuth is kyuubi.frontend.rest.ssl.client.auth.
	RESTSSLClientAuth = Entry[string]{Meta{Key: "kyuubi.frontend.rest.ssl.client.auth", Default: clientsNone, Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "The same for callers of REST. With `REQUIRED` health checks need a certificate too."}, clientsKind()}

	// SSLClientCA is kyuubi.frontend.ssl.client.ca.path.
	SSLClientCA = Entry[string]{Meta{Key: "kyuubi.frontend.ssl.client.ca.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "PEM file with the authorities whose certificates of clients are good. Changes are picked up without a restart, for connections that are open as well. There are no lists of revoked certificates: to withdraw one, disable its user."}, pathKind()}

	// SSLCA is kyuubi.frontend.ssl.ca.path.
	SSLCA = Entry[string]{Meta{Key: "kyuubi.frontend.ssl.ca.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "PEM file with the authority of the gateway's own certificate, which REST gives to everybody at `/ca.pem` for `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH`. Unset takes what `gateway certificates` made last, `tls/ca.pem` in `kyuubi.server.data.dir`."}, pathKind()}

	// CertificateUser is kyuubi.authentication.certificate.user.
	CertificateUser = Entry[string]{Meta{Key: "kyuubi.authentication.certificate.user", Default: "CN", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "What of a client's certificate is the user of the method `CERTIFICATE`: `CN`; the address of mail of one of some domains, as in `SAN_EMAIL:example.org,example.com`; what follows the beginning of a URI, as in `SAN_URI:spiffe://example.org/user/`; or a regular expression with one group that matches the whole subject as RFC 4514 writes it, as in `CN=([^,]+),OU=people,O=Example`. A certificate with two common names, or two of what is asked for, has no user."}, textKind()}
)

func clientsKind() kind[string] { return enumKind(clientsNone, clientsOptional, clientsRequired) }
