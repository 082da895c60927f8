// SPDX-License-Identifier: Apache-2.0

package startup

import "os"

const (
	ruled     = tokens + ";kyuubi.server.rules.file={dir}/rules.yaml"
	everybody = "rules:\n  - {name: all, everyone: true}\n"
)

// withRules makes the tokens and a file of rules.
func withRules(text string) func(*machine) {
	return all(aFile("tokens", aToken, 0o600), aFile("rules.yaml", text, 0o600))
}

// acting are settings by which a user could act for others.
const acting = tokens + ";hadoop.proxyuser.portal.users=alice;hadoop.proxyuser.portal.hosts=10.0.0.0/8"

// permissions: rules, proxy users, the audit log.
var permissions = []unsafe{
	{name: "rules without names", lines: "kyuubi.server.rules.file={dir}/rules.yaml", prepare: aFile("rules.yaml", everybody, 0o600), key: "kyuubi.server.rules.file", why: "rules would hold off nobody"},
	{name: "rules that are not there", lines: ruled, prepare: aFile("tokens", aToken, 0o600), key: "kyuubi.server.rules.file", why: "the rules cannot be read"},
	{name: "rules that others change", lines: ruled, prepare: all(withRules(everybody), mode("rules.yaml", 0o606)), key: "kyuubi.server.rules.file", why: "every user of this machine can change who may do what"},
	{name: "rules that others replace", lines: tokens + ";kyuubi.server.rules.file={dir}/open/rules.yaml", prepare: all(aFile("tokens", aToken, 0o600), aFile("open/rules.yaml", everybody, 0o600), mode("open", 0o777)), key: "kyuubi.server.rules.file", why: "every user of this machine can replace"},
	{name: "rules of a sticky file that others replace", lines: tokens + ";kyuubi.server.rules.file={dir}/open/rules.yaml", prepare: all(aFile("tokens", aToken, 0o600), aFile("open/rules.yaml", everybody, 0o600), mode("open/rules.yaml", 0o600|os.ModeSticky), mode("open", 0o777)), key: "kyuubi.server.rules.file", why: "every user of this machine can replace"},
	{name: "rules where engines work", lines: tokens + ";kyuubi.server.rules.file={dir}/w/rules.yaml;kyuubi.server.work.dir={dir}/w", prepare: all(aFile("tokens", aToken, 0o600), aFile("w/rules.yaml", everybody, 0o600)), key: "kyuubi.server.rules.file", why: "where engines work"},
	{name: "no rules in the file", lines: ruled, prepare: withRules("rules: []\n"), key: "kyuubi.server.rules.file", why: "so nobody could connect"},
	{name: "a word that no rule has", lines: ruled, prepare: withRules("rules:\n  - {name: all, everyone: true, form: [10.0.0.0/8]}\n"), key: "kyuubi.server.rules.file", why: "did you mean from?"},
	{name: "a rule for nobody", lines: ruled, prepare: withRules("rules:\n  - {name: staff, users: []}\n"), key: "kyuubi.server.rules.file", why: "it is for nobody"},
	{name: "a network that is none", lines: ruled, prepare: withRules("rules:\n  - {name: all, everyone: true, from: [office]}\n"), key: "kyuubi.server.rules.file", why: "neither an address nor a network"},
	{name: "an operator of everything", lines: ruled, prepare: withRules(everybody + "operators:\n  - {name: o, users: [olga], may: [see]}\n"), key: "kyuubi.server.rules.file", why: "of: it is for nobody"},
	{name: "acting without names", lines: "hadoop.proxyuser.portal.users=alice", key: "hadoop.proxyuser.portal.users", why: "everybody could claim to be this user and act for others"},
	{name: "acting from nowhere", lines: tokens + ";hadoop.proxyuser.portal.users=*", prepare: aFile("tokens", aToken, 0o600), key: "hadoop.proxyuser.portal.hosts", why: "without it portal may act for others from nowhere"},
	{name: "acting for nobody", lines: tokens + ";hadoop.proxyuser.portal.hosts=*", prepare: aFile("tokens", aToken, 0o600), key: "hadoop.proxyuser.portal.users", why: "portal may act for nobody"},
	{name: "a typing error in acting", lines: acting + ";hadoop.proxyuser.portal.host=*", prepare: aFile("tokens", aToken, 0o600), key: "hadoop.proxyuser.portal.host", why: "there is no such setting"},
	{name: "everybody acts", lines: tokens + ";hadoop.proxyuser.*.users=*", prepare: aFile("tokens", aToken, 0o600), key: "hadoop.proxyuser.*.users", why: "cannot be used"},
	{name: "a system account acts", lines: tokens + ";hadoop.proxyuser.hdfs.users=*", prepare: aFile("tokens", aToken, 0o600), key: "hadoop.proxyuser.hdfs.users", why: "hdfs is an account of the system that never comes in"},
	{name: "acting by default", lines: acting + ";kyuubi.session.proxy.user=alice", prepare: aFile("tokens", aToken, 0o600), key: "kyuubi.session.proxy.user", why: "here everybody would act for one"},
	{name: "the same, for one user", lines: acting + ";___portal___.kyuubi.session.proxy.user=alice", prepare: aFile("tokens", aToken, 0o600), key: "___portal___.kyuubi.session.proxy.user", why: "here everybody would act for one"},
	{name: "an audit log of everybody", lines: "kyuubi.server.audit.file={dir}/open/audit.log", prepare: aFolder("open", 0o777), key: "kyuubi.server.audit.file", why: "every user of this machine can replace what is in {dir}/open"},
	{name: "an audit log that leads elsewhere", lines: "kyuubi.server.audit.file={dir}/audit.log", prepare: link("audit.log", ""), key: "kyuubi.server.audit.file", why: "is not a regular file"},
	{name: "an audit log where engines work", lines: "kyuubi.server.audit.file={dir}/w/audit.log;kyuubi.server.work.dir={dir}/w", key: "kyuubi.server.audit.file", why: "where engines work"},
}
