// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// userName is what auth.ValidUser lets in; a test compares the two.
var userName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.@-]{0,63}$`)

// checkUserNames looks at every list of users: a name that nobody can have has
// no effect, so the list does not do what it was written for.
func checkUserNames(c *Conf) (faults Faults) {
	for _, list := range []Entry[[]string]{Administrators, RefusedUsers, LimitUnlimitedUsers, LimitDeniedUsers} {
		for _, name := range list.Get(c) {
			if !userName.MatchString(name) {
				faults = append(faults, c.blame(list.Key, "%q can be the name of no user, so the entry would mean nobody; there are no wildcards: "+
					"list each user by name", name)...)
			}
		}
	}
	for _, user := range slices.Sorted(maps.Keys(c.users)) {
		if !userName.MatchString(user) {
			for key, v := range c.users[user] {
				faults = append(faults, Fault{At: v.from, Key: userMark + user + userMark + "." + key,
					Text: "no user can have this name, so the setting would hold for nobody; there are no wildcards: a setting for all users has no user in front"})
			}
		}
	}
	return faults
}

// checkUserLists refuses lists that contradict each other.
func checkUserLists(c *Conf) (faults Faults) {
	denied := LimitDeniedUsers.Get(c)
	for _, pair := range []struct {
		list Entry[[]string]
		role string
	}{{LimitUnlimitedUsers, "without limits"}, {Administrators, "an administrator"}} {
		for _, name := range pair.list.Get(c) {
			if slices.Contains(denied, name) {
				faults = append(faults, c.blame(LimitDeniedUsers.Key, "%s is denied here and %s by %s: remove the name from one of the two", name, pair.role, pair.list.Key)...)
			}
		}
	}
	return faults
}

// checkOptionLists refuses patterns that match nothing, so that nobody relies
// on them: only a final ".*" stands for more than itself.
func checkOptionLists(c *Conf) (faults Faults) {
	for _, list := range []Entry[[]string]{SessionRestrictList, SessionIgnoreList} {
		for _, item := range list.Get(c) {
			if plain := strings.TrimSuffix(item, ".*"); strings.ContainsAny(plain, "*?[") {
				faults = append(faults, c.blame(list.Key, "%q matches no option, so what it is meant for would pass: "+
					"write whole names, or a beginning with .* behind it (spark.hadoop.*)", item)...)
			}
		}
	}
	return faults
}

// checkRedaction refuses a pattern that shows secrets, and one that hides all.
func checkRedaction(c *Conf) Faults {
	key, pattern := ServerRedaction.Key, ServerRedaction.Get(c)
	switch {
	case pattern.MatchString(""):
		return c.blame(key, "it matches everything, so no option of any session could be seen: remove the line for the default")
	case showsSecrets(pattern.String()):
		return c.blame(key, "passwords, secrets, tokens or access keys among the options of sessions would be shown over REST: "+
			"let it match all of these names, as the default does")
	}
	return nil
}

// checkHosts refuses addresses that cannot be bound, or not be dialled.
func checkHosts(c *Conf) (faults Faults) {
	for _, e := range []Entry[string]{FrontendBindHost, ConnectBindHost, RESTBindHost} {
		if e.Get(c) == "*" {
			faults = append(faults, c.blame(e.Key, "* is no address; all addresses of this machine are 0.0.0.0 (IPv4) or ::")...)
		}
	}
	name := FrontendAdvertisedHost.Get(c)
	if ip := net.ParseIP(name); name == "*" || ip != nil && ip.IsUnspecified() {
		faults = append(faults, c.blame(FrontendAdvertisedHost.Key, "clients cannot dial %s: give the name or address by which they reach this machine", name)...)
	}
	return faults
}

// checkApart refuses to keep the gateway's own files below the folder in which
// engines work: old folders are removed there, and engines may write to it.
func checkApart(c *Conf) (faults Faults) {
	work := ServerWorkDir.Get(c)
	if work == "" {
		return nil
	}
	files := []struct{ key, path string }{
		{ServerDataDir.Key, ServerDataDir.Get(c)}, {ServerClusterSecretFile.Key, ServerClusterSecretFile.Get(c)},
		{AuthTokenFile.Key, AuthTokenFile.Get(c)}, {SpnegoKeytab.Key, SpnegoKeytab.Get(c)}, {KerberosReplayDir.Key, c.ReplayDir()},
		{RulesFile.Key, RulesFile.Get(c)}, {AuditFile.Key, c.AuditLog()},
		{HAZooKeeperCA.Key, HAZooKeeperCA.Get(c)}, {HAZooKeeperKey.Key, HAZooKeeperKey.Get(c)},
		{SSLClientCA.Key, SSLClientCA.Get(c)}, {SSLCA.Key, SSLCA.Get(c)}, {LDAPCAFile.Key, LDAPCAFile.Get(c)},
		{"KYUUBI_CONF_DIR", c.dir}, {EngineMainResource.Key, EngineMainResource.Get(c)},
	}
	for _, keys := range []sslKeys{anySSL, connectSSL, restSSL} {
		for _, e := range []Entry[string]{keys.key, keys.keystore} {
			files = append(files, struct{ key, path string }{e.Key, e.Get(c)})
		}
	}
	for _, name := range c.Issuers() {
		for _, e := range []Entry[string]{JWTKeysFile, JWTCAFile} {
			files = append(files, struct{ key, path string }{issuerKey(name, e.Key), e.Get(c.ForIssuer(name))})
		}
	}
	for _, f := range files {
		if f.path != "" && below(f.path, work) {
			faults = append(faults, c.blame(f.key, "%s is inside %s, where engines work and old folders are removed: "+
				"move it, or set %s to another folder", f.path, work, ServerWorkDir.Key)...)
		}
	}
	return faults
}

// below says whether path is dir or inside it.
func below(path, dir string) bool {
	rest, err := filepath.Rel(dir, path)
	return err == nil && rest != ".." && !strings.HasPrefix(rest, "../")
}
