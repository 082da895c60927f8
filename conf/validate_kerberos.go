// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// servicePrincipal is HTTP/host@REALM.
var servicePrincipal = regexp.MustCompile(`^HTTP/[^/@\s]+@[^/@\s]+$`)

// checkKerberos looks whether the method KERBEROS knows who the gateway is.
func checkKerberos(c *Conf) (faults Faults) {
	if !c.Uses(AuthKerberos) || c.Uses(AuthNone) {
		return nil
	}
	key, principal := SpnegoPrincipal.Key, SpnegoPrincipal.Get(c)
	switch {
	case principal == "":
		faults = c.blame(key, "the method KERBEROS of kyuubi.authentication needs the service that tickets are for: HTTP/host@REALM")
	case !strings.HasPrefix(principal, "HTTP/"):
		faults = c.blame(key, "%q does not begin with HTTP/, so no client would ask for a ticket of it: write HTTP/host@REALM", principal)
	case strings.Contains(principal, "_HOST"):
		faults = c.blame(key, "_HOST is not replaced here: write the name by which clients call this gateway, as in HTTP/gateway.example.org@REALM")
	case !servicePrincipal.MatchString(principal):
		faults = c.blame(key, "%q is no service with a host and a realm: write HTTP/host@REALM", principal)
	}
	if SpnegoKeytab.Get(c) == "" {
		faults = append(faults, c.blame(SpnegoKeytab.Key, "the method KERBEROS of kyuubi.authentication needs this file with the keys of %s", key)...)
	}
	if m, set := c.Raw(authToLocalMechanism); set && !strings.EqualFold(m, "hadoop") {
		faults = append(faults, c.blame(authToLocalMechanism, "%q would let names with / and @ become users; only hadoop is understood, so remove the setting", m)...)
	}
	return faults
}

// checkKerberosFiles looks at the keytab and at the folder of used tokens.
func checkKerberosFiles(c *Conf, _ func(string) string) (faults Faults) {
	if !c.Uses(AuthKerberos) {
		return nil
	}
	if path := SpnegoKeytab.Get(c); path != "" {
		faults = c.secretFault(SpnegoKeytab.Key, path, "export the keys of "+SpnegoPrincipal.Key+" to it (ktadd of kadmin), and chmod 600")
	}
	dir := c.ReplayDir()
	why := folderFault(dir)
	if info, err := os.Stat(dir); why == "" && err == nil && info.Mode().Perm()&0o077 != 0 {
		why = fmt.Sprintf("other users of this machine can enter %s: chmod 700 %s", dir, dir)
	}
	if why != "" {
		faults = append(faults, c.blame(KerberosReplayDir.Key, "%s", why)...)
	}
	return faults
}

// checkRefusedUsers refuses administrators who could never come in.
func checkRefusedUsers(c *Conf) (faults Faults) {
	if !c.Authenticates() {
		return nil
	}
	refused := RefusedUsers.Get(c)
	for _, name := range Administrators.Get(c) {
		if slices.ContainsFunc(refused, func(r string) bool { return strings.EqualFold(r, name) }) {
			faults = append(faults, c.blame(Administrators.Key, "%s is an account of the system that never comes in (%s): "+
				"name a person, or take it out of that list", name, RefusedUsers.Key)...)
		}
	}
	return faults
}
