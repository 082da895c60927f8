// SPDX-License-Identifier: Apache-2.0

package conf

// Authentication methods of kyuubi.authentication; authMethods has all of them.
const (
	AuthNone  = "NONE"
	AuthToken = "TOKEN"
	AuthLDAP  = "LDAP"
)

// Who may come in, and what that costs when it is nobody in particular.
var (
	// Authentication is kyuubi.authentication. Validate narrows it to methods that
	// exist.
	Authentication = Entry[[]string]{Meta{Key: "kyuubi.authentication", Default: "NONE", Since: "0.1.0", Scope: ScopeServer,
		Doc: "How callers prove who they are. `NONE` believes the user name that the client states and therefore listens on this machine only; `TOKEN` (ours) accepts the bearer tokens that this gateway issues and, if there is one, those of a file; `LDAP` asks a directory about user names and passwords; `KERBEROS` verifies tickets; `JWT` (ours) verifies tokens of an OpenID Connect provider; `CERTIFICATE` (ours) takes the certificate that the client shows. Several may stand side by side. With every method but `NONE` the gateway issues tokens and accepts them. Kyuubi's other methods come with later versions."}, authKind()}

	// AuthTokenFile is kyuubi.authentication.token.file.
	AuthTokenFile = Entry[string]{Meta{Key: "kyuubi.authentication.token.file", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "File with further tokens for the method `TOKEN`, one of 16 characters or more with its user a line, readable by the gateway's user only (mode 0600). Changes are picked up without a restart."}, pathKind()}

	// AuthNoneAllowRemote is kyuubi.authentication.none.allow.remote.
	AuthNoneAllowRemote = Entry[bool]{Meta{Key: "kyuubi.authentication.none.allow.remote", Default: "false", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Break glass: lets `NONE` listen on addresses that other machines reach. Anybody who reaches the port can then run code here under any name. The gateway warns at each start."}, boolKind()}

	// EngineAllowGatewayUser is kyuubi.engine.local.allow.gateway.user.
	EngineAllowGatewayUser = Entry[bool]{Meta{Key: "kyuubi.engine.local.allow.gateway.user", Default: "false", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Break glass: with authentication on, lets drivers of other users run on this machine under the gateway's own operating system user. Their Python functions can then read the gateway's files, its secrets and tokens included."}, boolKind()}

	// Administrators is kyuubi.server.administrators.
	Administrators = Entry[[]string]{Meta{Key: "kyuubi.server.administrators", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Users who may see and end sessions and engines of others. The user that runs the gateway is always one; without authentication everybody is."}, listKind()}
)

func authKind() kind[[]string] {
	k := listKind()
	return kind[[]string]{k.name, func(s string) ([]string, error) { return upperAll(splitList(s)), nil }}
}
