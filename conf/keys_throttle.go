// SPDX-License-Identifier: Apache-2.0

package conf

import "time"

// How many failed logins are looked at before those who fail have to wait.
var (
	// ThrottleUserFailures is kyuubi.authentication.throttle.user.failures.
	ThrottleUserFailures = Entry[int]{Meta{Key: "kyuubi.authentication.throttle.user.failures", Default: "5", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Different wrong passwords for one user from one address that are looked at at once. After that every further one doubles the wait, from a second on. The user is not affected at other addresses, nor on connections with a good login. 0 means no limit but that of the address, also for users who came in from there before."}, limitKind()}

	// ThrottleAddressFailures is kyuubi.authentication.throttle.address.failures.
	ThrottleAddressFailures = Entry[int]{Meta{Key: "kyuubi.authentication.throttle.address.failures", Default: "50", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Different wrong passwords from one address (of IPv6 its /64 network), whoever they are for, that are looked at at once. After that every further one doubles the wait for all who bring a password but users who came in from there before. Tokens and tickets, which nobody guesses, wait only after twenty times as many bad ones in a second. Behind a balancer that hides addresses all clients share one: set it higher there, or to 0, which means no limit."}, limitKind()}

	// ThrottleLongestWait is kyuubi.authentication.throttle.wait.max.
	ThrottleLongestWait = Entry[time.Duration]{Meta{Key: "kyuubi.authentication.throttle.wait.max", Default: "PT1M", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "The longest such wait. After a wait, as many failures are forgotten in this time as cost nothing."}, positiveKind()}
)
