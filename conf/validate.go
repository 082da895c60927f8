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
	checkAuth, checkTokens, checkLDAP, checkKerberos, checkJWT, checkTransport, checkOpenDoors, checkTLS, checkDiscovery, checkShareLevels, checkPorts,
	checkHosts, checkUserNames, checkUserLists, checkRefusedUsers, checkRulesNeedNames, checkOptionLists, checkRedaction, checkApart, checkEngineSettings,
	checkSparkValues,
}

// look is one check of what settings name on this machine.
type look func(c *Conf, getenv func(string) string) Faults

// looks are all of them.
var looks = []look{
	checkEnvironment, checkOwnFiles, checkClearSecrets, checkProfiles, checkSecretFiles, checkCertificates, checkZooKeeperFiles, checkLDAPAuthorities, checkKerberosFiles, checkJWTFiles, checkPeopleFiles, checkFolders, checkSparkHomes,
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

// Authenticates says whether callers must prove who they are.
func (c *Conf) Authenticates() bool { return !c.Uses(AuthNone) }

// Uses says whether a method is one of kyuubi.authentication.
func (c *Conf) Uses(method string) bool { return slices.Contains(Authentication.Get(c), method) }

func checkAuth(c *Conf) Faults {
	key, methods := Authentication.Key, Authentication.Get(c)
	var faults Faults
	for _, method := range methods {
		faults = append(faults, checkMethod(c, method)...)
	}
	switch {
	case len(faults) > 0:
		return faults
	case len(methods) == 0:
		return c.blame(key, "it names no method; there are %s", strings.Join(authMethods(), ", "))
	case c.Uses(AuthNone) && len(methods) > 1:
		return c.blame(key, "NONE lets everybody in, so the other methods of %q would decide nothing: remove one or the other", strings.Join(methods, ","))
	case len(slices.Compact(slices.Sorted(slices.Values(methods)))) < len(methods):
		return c.blame(key, "%q names a method twice", strings.Join(methods, ","))
	}
	return nil
}

// authMethods are the methods that exist, as kyuubi.authentication names them.
func authMethods() []string {
	return []string{AuthNone, AuthToken, AuthLDAP, AuthKerberos, AuthJWT, AuthCertificate}
}

func checkMethod(c *Conf, method string) Faults {
	later := []string{"NOSASL", "JDBC", "CUSTOM"}
	switch {
	case slices.Contains(authMethods(), method):
		return nil
	case slices.Contains(later, method):
		return c.blame(Authentication.Key, "%s is a method of Kyuubi that this version does not have; there are %s", method, strings.Join(authMethods(), ", "))
	}
	return c.blame(Authentication.Key, "unknown method %q; there are %s", method, strings.Join(authMethods(), ", "))
}

func checkTransport(c *Conf) (faults Faults) {
	for i, door := range c.doors() {
		port := sslPorts()[i]
		if c.Authenticates() && door.open && !isLoopback(door.host) && !port.enabled.Get(c) {
			faults = append(faults, c.blame(port.enabled.Key, "credentials would cross the network in clear text on %s, so they are refused there: "+
				"set it to true with a certificate and a key, or listen on loopback", door.host)...)
		}
	}
	return faults
}

func checkOpenDoors(c *Conf) Faults {
	if c.Authenticates() || AuthNoneAllowRemote.Get(c) {
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
	if level == ShareServerLocal {
		return fmt.Errorf("SERVER_LOCAL would tie an engine to one gateway, and its sessions would be lost with it; use %s", ShareServer)
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
