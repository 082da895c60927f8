// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"errors"
	"strings"
	"time"

	"roundhouse/internal/tlsx"
)

// shortestZKSession is the least time in which a pause of a JVM or of a busy machine
// is not taken for the end of an engine or a gateway.
const shortestZKSession = time.Second

// checkDiscovery looks whether gateways and engines could show ZooKeeper who they are.
// Without addresses nothing of it is used.
func checkDiscovery(c *Conf) (faults Faults) {
	if !c.Clustered() {
		return nil
	}
	for _, e := range []Entry[string]{HAZooKeeperAuthType, HAZooKeeperEngineAuthType} {
		if e.Get(c) == zkAuthKerberos {
			faults = append(faults, c.blame(e.Key, "the client of ZooKeeper that gateways use cannot speak Kerberos: use DIGEST, with %s=true so that nobody reads it on the way", HAZooKeeperTLS.Key)...)
		}
	}
	digest := HAZooKeeperDigest.Get(c)
	user, password, _ := strings.Cut(digest, ":")
	switch {
	case digest == "" && HAZooKeeperAuthType.Get(c) == zkAuthDigest:
		faults = append(faults, c.blame(HAZooKeeperDigest.Key, "%s is DIGEST, which needs this user:password (file:/path or env:NAME)", HAZooKeeperAuthType.Key)...)
	case digest != "" && (user == "" || password == ""):
		faults = append(faults, c.blame(HAZooKeeperDigest.Key, "it is not of the form user:password")...)
	}
	if t := HAZooKeeperSessionTimeout.Get(c); t < shortestZKSession {
		faults = append(faults, c.blame(HAZooKeeperSessionTimeout.Key, "after %v any pause would be taken for the end of an engine: %v is the least", t, shortestZKSession)...)
	}
	return append(faults, checkZooKeeperTLS(c)...)
}

func checkZooKeeperTLS(c *Conf) Faults {
	certificate, key := HAZooKeeperCertificate.Get(c), HAZooKeeperKey.Get(c)
	if !HAZooKeeperTLS.Get(c) {
		for _, e := range []Entry[string]{HAZooKeeperCA, HAZooKeeperCertificate, HAZooKeeperKey} {
			if e.Get(c) != "" {
				return c.blame(HAZooKeeperTLS.Key, "%s is set, but connections to ZooKeeper would be in clear text: set it to true, or remove the file", e.Key)
			}
		}
		return nil
	}
	switch {
	case certificate != "" && key == "":
		return c.blame(HAZooKeeperKey.Key, "%s needs this PEM file with its key", HAZooKeeperCertificate.Key)
	case certificate == "" && key != "":
		return c.blame(HAZooKeeperCertificate.Key, "%s needs this PEM file with its certificate", HAZooKeeperKey.Key)
	}
	return nil
}

// checkZooKeeperFiles looks at the files of the TLS to ZooKeeper.
func checkZooKeeperFiles(c *Conf, _ func(string) string) (faults Faults) {
	z := c.ZooKeeper()
	if !c.Clustered() || z.TLS == nil || len(checkZooKeeperTLS(c)) > 0 { // else said already
		return nil
	}
	if why := authoritiesFault(z.TLS.Authorities, "ZooKeeper"); why != "" {
		return c.blame(HAZooKeeperCA.Key, "%s", why)
	}
	_, err := z.TLS.Config()
	var f *tlsx.Fault
	switch {
	case errors.As(err, &f) && f.Part == tlsx.PartKey:
		faults = c.blame(HAZooKeeperKey.Key, "%v", err)
	case err != nil:
		faults = c.blame(HAZooKeeperCertificate.Key, "%v", err)
	}
	return append(faults, c.replaceable("and so pretend to be this gateway", HAZooKeeperKey)...)
}
