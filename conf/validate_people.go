// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// checkRulesNeedNames refuses rules about people whose names nobody verifies.
func checkRulesNeedNames(c *Conf) (faults Faults) {
	if !c.Authenticates() {
		if RulesFile.Get(c) != "" {
			faults = append(faults, c.blame(RulesFile.Key, "without authentication everybody is who they claim to be, so rules would hold off nobody: "+
				"set %s, or remove the rules", Authentication.Key)...)
		}
		for _, rest := range slices.Sorted(maps.Keys(c.ProxyUsers())) {
			faults = append(faults, c.blame(proxyUserPrefix+rest, "without authentication everybody could claim to be this user and act for others: "+
				"set %s, or remove the setting", Authentication.Key)...)
		}
	}
	return append(faults, checkProxyUser(c)...)
}

// checkProxyUser refuses a proxy user for everybody, and real users who never
// come in. The rest of hadoop.proxyuser is judged by package auth/proxyuser.
func checkProxyUser(c *Conf) (faults Faults) {
	const forClients = "clients name the user they act for when they open a session; here everybody would act for one: remove the line"
	if _, set := c.Raw(SessionProxyUser.Key); set {
		faults = append(faults, c.blame(SessionProxyUser.Key, forClients)...)
	}
	for _, user := range slices.Sorted(maps.Keys(c.users)) {
		if v, set := c.users[user][SessionProxyUser.Key]; set {
			faults = append(faults, Fault{At: v.from, Key: userMark + user + userMark + "." + SessionProxyUser.Key, Text: forClients})
		}
	}
	if !c.Authenticates() {
		return faults
	}
	for rest := range c.ProxyUsers() {
		user := rest[:max(0, strings.LastIndexByte(rest, '.'))]
		if slices.ContainsFunc(RefusedUsers.Get(c), func(r string) bool { return strings.EqualFold(r, user) }) {
			faults = append(faults, c.blame(proxyUserPrefix+rest, "%s is an account of the system that never comes in (%s): "+
				"let the service log in under a name of its own, or take the name out of that list", user, RefusedUsers.Key)...)
		}
	}
	return faults
}

// checkPeopleFiles looks at the rules and at the place of the audit log.
func checkPeopleFiles(c *Conf, getenv func(string) string) (faults Faults) {
	if path := RulesFile.Get(c); path != "" {
		if why := rulesFault(path); why != "" {
			faults = append(faults, c.blame(RulesFile.Key, "%s", why)...)
		}
	}
	if !AuditEnabled.Get(c) {
		return faults
	}
	return append(faults, c.auditFault(getenv)...)
}

// auditFault says why the audit log cannot be written where it is to be. A
// folder that the environment names is blamed there, and a relative one by
// checkEnvironment.
func (c *Conf) auditFault(getenv func(string) string) Faults {
	const variable = "KYUUBI_LOG_DIR"
	path, byVariable := c.AuditLog(), AuditFile.Get(c) == "" && getenv(variable) != ""
	why := folderFault(filepath.Dir(path))
	if info, err := os.Lstat(path); why == "" && err == nil && !info.Mode().IsRegular() {
		why = path + " is not a regular file, so lines could go elsewhere: remove it, or name another file"
	}
	switch {
	case why == "", byVariable && !filepath.IsAbs(path):
		return nil
	case byVariable:
		return Faults{{Key: variable + " (environment)", Text: why}}
	}
	return c.blame(AuditFile.Key, "%s", why)
}

// rulesFault says why a file of rules cannot be trusted; what it says is judged
// by package auth/rules.
func rulesFault(path string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "the rules cannot be read (" + err.Error() + "): correct the path, or make the file"
	case !info.Mode().IsRegular():
		return path + " is not a regular file"
	case info.Mode().Perm()&0o002 != 0:
		return "every user of this machine can change who may do what: chmod o-w " + path
	}
	if open := openAbove(filepath.Dir(path)); open != "" {
		return "every user of this machine can replace what is in " + open + ", the rules too: chmod o-w " + open + ", or move the rules"
	}
	return ""
}
