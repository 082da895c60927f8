// SPDX-License-Identifier: Apache-2.0

package conf

import "time"

// How long tokens that the gateway issues are good.
var (
	// TokenLifetime is kyuubi.authentication.token.lifetime.
	TokenLifetime = Entry[time.Duration]{Meta{Key: "kyuubi.authentication.token.lifetime", Default: "PT12H", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "How long a token that this gateway issues to a person is good. It slides by as much while a session of its is open."}, positiveKind()}

	// TokenSlideMax is kyuubi.authentication.token.slide.max.
	TokenSlideMax = Entry[time.Duration]{Meta{Key: "kyuubi.authentication.token.slide.max", Default: "P7D", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "How long after its making such a token ends in any case. Its user has the groups of that time until then."}, positiveKind()}

	// TokenJobLifetime is kyuubi.authentication.token.job.lifetime.max.
	TokenJobLifetime = Entry[time.Duration]{Meta{Key: "kyuubi.authentication.token.job.lifetime.max", Default: "P90D", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "The longest life that a token with a name, meant for a job, can be given. It never slides."}, positiveKind()}

	// TokenGrace is kyuubi.authentication.token.grace.
	TokenGrace = Entry[time.Duration]{Meta{Key: "kyuubi.authentication.token.grace", Default: "PT15M", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "How long an expired token still serves to reattach to queries of its user, and to interrupt and release what is the user's. 0 means not at all."}, durationKind()}

	// LoginClient is kyuubi.authentication.login.client.id.
	LoginClient = Entry[string]{Meta{Key: "kyuubi.authentication.login.client.id", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Client id, without a secret, by which the issuer of `kyuubi.authentication.jwt.issuer` knows `gateway login --oidc`: people then allow it in a browser (device code, RFC 8628). It must be one of `kyuubi.authentication.jwt.audience`. Unset turns this way off."}, textKind()}
)
