// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"slices"
	"strings"
)

// rule is one check of settings against each other.
type rule func(*Conf) Faults

// rules are all checks of Validate.
var rules = []rule{
	checkAuth, checkTokenFile, checkTokenTransport, checkOpenDoors, checkTLS, checkDiscovery, checkShareLevels, checkPorts,
	checkHosts, checkUserNames, checkUserLists, checkOptionLists, checkRedaction, checkApart, checkEngineSettings,
	checkSparkValues,
}

// look is one check of what settings name on this machine.
type look func(c *Conf, getenv func(string) string) Faults

// looks are all of them.
var looks = []look{
	checkEnvironment, checkOwnFiles, checkClearSecrets, checkProfiles, checkSecretFiles, checkCertificate, checkFolders, checkSparkHomes,
	checkJava, checkPrograms,
}

// Validate checks what the settings mean together. It is pure: it reads no
// file and asks no network. The error is a Faults with every fault.
func (c *Conf) Validate() error {
	return c.broken().err()
}

// Check is Validate, and looks at the files, folders and programs that the
// settings and the environment name, as the user who calls it. It changes
// nothing.
func (c *Conf) Check(getenv func(string) string) error {
	faults := c.broken()
	for _, look := range looks {
		faults = append(faults, look(c, getenv)...)
	}
	return faults.err()
}

func (c *Conf) broken() (faults Faults) {
	for _, check := range rules {
		faults = append(faults, check(c)...)
	}
	return faults
}

// Blame is err, which is about the setting key, as Faults that point at the line
// which set it.
func (c *Conf) Blame(key string, err error) error { return c.blame(key, "%v", err).err() }

// blame makes a fault that points at the line which set key, if one did.
func (c *Conf) blame(key, format string, args ...any) Faults {
	return Faults{{At: c.values[key].from, Key: key, Text: fmt.Sprintf(format, args...)}}
}

// AuthMethod is the one authentication method of a valid configuration, NONE or
// TOKEN.
func (c *Conf) AuthMethod() string {
	methods := Authentication.Get(c)
	if len(methods) != 1 {
		return ""
	}
	return methods[0]
}

func checkAuth(c *Conf) Faults {
	key, methods := Authentication.Key, Authentication.Get(c)
	var faults Faults
	for _, method := range methods {
		faults = append(faults, checkMethod(c, method)...)
	}
	if len(faults) == 0 && len(methods) != 1 {
		return c.blame(key, "want exactly one of NONE and TOKEN, got %q", strings.Join(methods, ","))
	}
	return faults
}

func checkMethod(c *Conf, method string) Faults {
	later := []string{"NOSASL", "LDAP", "JDBC", "KERBEROS", "CUSTOM"}
	switch {
	case method == AuthNone || method == AuthToken:
		return nil
	case slices.Contains(later, method):
		return c.blame(Authentication.Key, "%s is a method of Kyuubi that this version does not have; use TOKEN, or NONE on loopback", method)
	}
	return c.blame(Authentication.Key, "unknown method %q; there are NONE and TOKEN", method)
}

func checkTokenFile(c *Conf) Faults {
	if c.AuthMethod() == AuthToken && AuthTokenFile.Get(c) == "" {
		return c.blame(AuthTokenFile.Key, "kyuubi.authentication is TOKEN, which needs this file of tokens")
	}
	return nil
}

func checkTokenTransport(c *Conf) Faults {
	remote := ConnectEnabled.Get(c) && !isLoopback(c.ConnectHost())
	if c.AuthMethod() != AuthToken || !remote || ConnectSSLEnabled.Get(c) {
		return nil
	}
	return c.blame(ConnectSSLEnabled.Key, "tokens would cross the network in clear text on %s, and Spark's clients send them over TLS only: "+
		"set it to true with a certificate and a key, or listen on loopback", c.ConnectHost())
}

func checkOpenDoors(c *Conf) Faults {
	if c.AuthMethod() != AuthNone || AuthNoneAllowRemote.Get(c) {
		return nil
	}
	var faults Faults
	for _, door := range c.doors() {
		if door.open && !isLoopback(door.host) {
			faults = append(faults, c.blame(door.blame(c), "without authentication anybody who reaches %s could run code here: "+
				"listen on 127.0.0.1, set kyuubi.authentication, or accept the risk with %s=true", door.host, AuthNoneAllowRemote.Key)...)
		}
	}
	return slices.Compact(faults) // one setting may open both doors
}

// door is a port that somebody could come in by.
type door struct {
	bind Entry[string]
	host string
	port int
	open bool
}

func (c *Conf) doors() []door {
	return []door{
		{ConnectBindHost, c.ConnectHost(), ConnectBindPort.Get(c), ConnectEnabled.Get(c)},
		{RESTBindHost, c.RESTHost(), RESTBindPort.Get(c), true},
	}
}

// blame is the key that decided about the address.
func (d door) blame(c *Conf) string {
	if d.bind.Get(c) != "" {
		return d.bind.Key
	}
	return FrontendBindHost.Key
}

func checkTLS(c *Conf) Faults {
	if !ConnectSSLEnabled.Get(c) {
		return nil
	}
	var faults Faults
	for _, e := range []Entry[string]{ConnectSSLCertificate, ConnectSSLKey} {
		if e.Get(c) == "" {
			faults = append(faults, c.blame(e.Key, "%s is true, which needs this PEM file", ConnectSSLEnabled.Key)...)
		}
	}
	return faults
}

func checkDiscovery(c *Conf) Faults {
	if HAAddresses.Get(c) == "" {
		return nil
	}
	return c.blame(HAAddresses.Key, "ZooKeeper discovery comes with a later version; remove the setting to run one gateway with embedded discovery")
}

func checkShareLevels(c *Conf) Faults {
	faults := c.shareLevelFault(c.values[EngineShareLevel.Key], "")
	for user, defaults := range c.users {
		if v, ok := defaults[EngineShareLevel.Key]; ok {
			faults = append(faults, c.ForUser(user).shareLevelFault(v, user)...)
		}
	}
	return faults
}

func (c *Conf) shareLevelFault(v value, user string) Faults {
	err := checkShareLevel(EngineShareLevel.Get(c))
	if err == nil {
		return nil
	}
	key := EngineShareLevel.Key
	if user != "" {
		key = userMark + user + userMark + "." + key
	}
	return Faults{{At: v.from, Key: key, Text: err.Error()}}
}

// checkShareLevel says why a share level cannot be used.
func checkShareLevel(level string) error {
	const use = "use CONNECTION or USER"
	switch level {
	case ShareServerLocal:
		return fmt.Errorf("SERVER_LOCAL would tie an engine to one gateway, and no Spark engine supports it; %s", use)
	case ShareGroup, ShareServer:
		return fmt.Errorf("%s is not built yet: sessions of several users in one driver share its identity; %s", level, use)
	}
	return nil
}

func checkPorts(c *Conf) Faults {
	doors := c.doors()
	connect, rest := doors[0], doors[1]
	if !connect.open || connect.port != rest.port || connect.port == 0 {
		return nil
	}
	return c.blame(ConnectBindPort.Key, "port %d is also the REST port (%s)", connect.port, RESTBindPort.Key)
}
