// SPDX-License-Identifier: Apache-2.0

package conf

import (
	_ "embed"
	"slices"
	"strings"
)

// area is a group of settings with a heading of its own in settings.md.
type area struct {
	title    string
	settings []setting
}

// areas is the table of all settings. It is never changed.
var areas = []area{
	{"Frontends", []setting{FrontendBindHost, FrontendAdvertisedHost, ConnectEnabled, ConnectBindHost, ConnectBindPort,
		ConnectMaxMessageSize, ConnectMaxHold, RESTBindHost, RESTBindPort}},
	{"TLS", []setting{ConnectSSLEnabled, RESTSSLEnabled, SSLCertificate, SSLKey, SSLKeystore, SSLKeystorePassword, SSLKeystoreType, SSLCA,
		ConnectSSLCertificate, ConnectSSLKey, ConnectSSLKeystore, ConnectSSLKeystorePassword, RESTSSLCertificate, RESTSSLKey, RESTSSLKeystore,
		RESTSSLKeystorePassword, ConnectSSLClientAuth, RESTSSLClientAuth, SSLClientCA, CertificateUser}},
	{"Authentication", []setting{Authentication, AuthTokenFile, AuthNoneAllowRemote, EngineAllowGatewayUser, Administrators, RefusedUsers}},
	{"Issued tokens", []setting{TokenLifetime, TokenSlideMax, TokenJobLifetime, TokenGrace, LoginClient}},
	{"People", []setting{RulesFile, SessionProxyUser, AuditEnabled, AuditFile, AuditMaxSize, AuditMaxFiles}},
	{"LDAP", []setting{LDAPURL, LDAPStartTLS, LDAPCAFile, LDAPDomain, LDAPUserDNPattern, LDAPBaseDN, LDAPGUIDKey, LDAPBindDN, LDAPBindPassword,
		LDAPUserFilter, LDAPGroupFilter, LDAPGroupDNPattern, LDAPGroupMembershipKey, LDAPUserMembershipKey, LDAPGroupClassKey, LDAPCustomQuery,
		LDAPGroups, LDAPTimeout, LDAPConnections, LDAPCacheTTL, LDAPCacheAwayTTL}},
	{"Kerberos", []setting{SpnegoPrincipal, SpnegoKeytab, KerberosReplayDir}},
	{"JWT", append(slices.Clone(issuerSettings), JWTRefresh)},
	{"Failed logins", []setting{ThrottleUserFailures, ThrottleAddressFailures, ThrottleLongestWait}},
	{"Discovery", []setting{HAAddresses, HANamespace, HAClientClass, HAZooKeeperAuthType, HAZooKeeperEngineAuthType, HAZooKeeperDigest,
		HAZooKeeperConnectTimeout, HAZooKeeperSessionTimeout, HAZooKeeperTLS, HAZooKeeperCA, HAZooKeeperCertificate, HAZooKeeperKey}},
	{"Sessions", []setting{SessionIdleTimeout, SessionName, SessionProfile, SessionIgnoreList,
		SessionRestrictList, SessionLocalDirs, MaxDriverMemory, MaxDriverCores, MaxExecutorMemory, MaxExecutorCores, MaxExecutors, MaxIdleTimeout}},
	{"Engines", []setting{EngineType, EngineShareLevel, EngineDoAs, SessionGroupProvider, EngineSubdomain, EnginePython, EngineMainResource}},
	{"Pools of engines", []setting{EnginePoolSize, EnginePoolThreshold, EnginePoolName, EnginePoolPolicy, EnginePoolIgnoreSubdomain}},
	{"Life of an engine", []setting{EngineInitTimeout, EngineLaunchLinger, EngineIdleTimeout, EngineCheckInterval, EngineMaxInitialWait,
		EngineRelay, EngineMaxLifetime, EngineMaxHeap, EngineErrorMaxSize, EngineMaxLogLines, EngineDestroyTimeout, EngineLogTimeout}},
	{"Server", []setting{ServerWorkDir, ServerDataDir, ServerClusterSecretFile, ServerShutdownTimeout, ServerRedaction}},
	{"Limits", []setting{LimitSessionsPerUser, LimitSessionsPerAddress, LimitSessionsPerUserAddress, LimitUnlimitedUsers, LimitDeniedUsers,
		LimitDeniedAddresses, LimitStrangers, LimitEngineStartup, LimitEnginesPerUser, LimitEnginesPerGroup, LimitCallsPerUser,
		LimitHeldCallsPerUser, LimitArtifactsPerCall, LimitArtifactsPerSession, ArtifactIdleTimeout}},
}

// byKey finds a setting by its name, byOldName by a deprecated one.
var (
	byKey     = indexSettings(func(m Meta) []string { return []string{m.Key} })
	byOldName = indexSettings(func(m Meta) []string { return m.Deprecated })
)

// settingOf finds a setting by its name, or by that of one of several issuers.
func settingOf(key string) (setting, bool) {
	if s, ok := byKey[key]; ok {
		return s, true
	}
	s, _, ok := issuerSetting(key)
	return s, ok
}

func indexSettings(names func(Meta) []string) map[string]setting {
	index := map[string]setting{}
	for _, a := range areas {
		for _, s := range a.settings {
			for _, name := range names(s.meta()) {
				index[name] = s
			}
		}
	}
	return index
}

//go:embed kyuubi_keys.txt
var kyuubiKeysText string

// kyuubiKeys are names of Kyuubi's settings that mean nothing here; those that
// end in ".*" stand for all that begin so.
var kyuubiKeys = readNames(kyuubiKeysText)

// readNames is the first word of every line that is not a comment.
func readNames(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) > 0 && words[0][0] != '#' {
			names = append(names, words[0])
		}
	}
	return names
}

// isForeign says whether Kyuubi knows the setting and this gateway has no use for it.
func isForeign(key string) bool { return listed(kyuubiKeys, key) }

// listed says whether a list of names, some of them "prefix.*", covers key.
// Case does not count.
func listed(names []string, key string) bool {
	for _, name := range names {
		prefix, family := strings.CutSuffix(name, "*")
		switch {
		case strings.EqualFold(name, key):
			return true
		case family && strings.HasSuffix(prefix, ".") && hasFoldedPrefix(key, prefix):
			return true
		}
	}
	return false
}

func hasFoldedPrefix(key, prefix string) bool {
	return len(key) > len(prefix) && strings.EqualFold(key[:len(prefix)], prefix)
}
