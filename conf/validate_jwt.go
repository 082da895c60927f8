// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"net/url"
)

// checkJWT looks whether the method JWT knows whose tokens it takes, and whether
// only theirs would come in.
func checkJWT(c *Conf) (faults Faults) {
	if !c.Uses(AuthJWT) || c.Uses(AuthNone) {
		return nil
	}
	names := c.Issuers()
	if len(names) == 0 {
		return c.blame(JWTIssuer.Key, "the method JWT of kyuubi.authentication needs an issuer whose tokens it takes: name its URL")
	}
	known := map[string]string{}
	for _, name := range names {
		i := issuerConf{c.ForIssuer(name), name}
		if found := i.check(); len(found) > 0 {
			faults = append(faults, found...)
			continue
		}
		url := JWTIssuer.Get(i.Conf)
		if other, twice := known[url]; twice {
			faults = append(faults, i.blame(JWTIssuer.Key, "%s is also the issuer of %s, and only one of the two would count: remove one", url, other)...)
		}
		known[url] = issuerKey(name, JWTIssuer.Key)
	}
	return faults
}

// issuerConf are the settings of one issuer and its name.
type issuerConf struct {
	*Conf
	name string
}

// blame points at the key as it is written.
func (i issuerConf) blame(key, format string, args ...any) Faults {
	return Faults{{At: i.values[key].from, Key: issuerKey(i.name, key), Text: fmt.Sprintf(format, args...)}}
}

func (i issuerConf) check() (faults Faults) {
	issuer, keys := JWTIssuer.Get(i.Conf), JWTKeysURL.Get(i.Conf)
	if issuer == "" {
		return i.blame(JWTIssuer.Key, "settings of an issuer are there, but not its URL: name it, or remove them")
	}
	asked := JWTKeysFile.Get(i.Conf) == ""
	if why := i.address(issuer, asked); why != "" {
		faults = append(faults, i.blame(JWTIssuer.Key, "%s", why)...)
	}
	if why := i.address(keys, true); keys != "" && why != "" {
		faults = append(faults, i.blame(JWTKeysURL.Key, "%s", why)...)
	}
	if keys != "" && !asked {
		faults = append(faults, i.blame(JWTKeysFile.Key, "the keys are also to be fetched (%s): remove one or the other", issuerKey(i.name, JWTKeysURL.Key))...)
	}
	if len(JWTAudience.Get(i.Conf)) == 0 {
		faults = append(faults, i.blame(JWTAudience.Key, "tokens that people got for any other program would open this gateway, too: name the audience of those for it")...)
	}
	switch claim := JWTUserClaim.Get(i.Conf); {
	case claim == "":
		faults = append(faults, i.blame(JWTUserClaim.Key, "nothing says who the user of a token is: name the claim")...)
	case (claim == "email" || claim == "upn") && len(JWTUserDomains.Get(i.Conf)) == 0:
		faults = append(faults, i.blame(JWTUserDomains.Key, "names in the claim %s have a domain, and without this list none is trusted, so nobody would come in: "+
			"name the domains whose people this issuer vouches for", claim)...)
	}
	return faults
}

// address says why what an issuer answers at an address could not be believed.
func (issuerConf) address(address string, asked bool) string {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" && asked:
		return fmt.Sprintf("%q is no URL: write it as in https://login.example.org", address)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Sprintf("%q holds more than a server and a path: remove the rest", u.Redacted())
	case asked && u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return fmt.Sprintf("whoever is between this machine and %s could send keys of their own and so make tokens of anybody: write https://", u.Host)
	}
	return ""
}

// checkJWTFiles looks whether only the administrator can change whom the gateway
// believes. What the files hold is judged by the method itself.
func checkJWTFiles(c *Conf, _ func(string) string) (faults Faults) {
	if !c.Uses(AuthJWT) {
		return nil
	}
	for _, name := range c.Issuers() {
		i := issuerConf{c.ForIssuer(name), name}
		if why := trustFault(JWTKeysFile.Get(i.Conf), "and so make tokens of anybody"); why != "" {
			faults = append(faults, i.blame(JWTKeysFile.Key, "%s", why)...)
		}
		if why := authoritiesFault(JWTCAFile.Get(i.Conf), "the issuer"); why != "" {
			faults = append(faults, i.blame(JWTCAFile.Key, "%s", why)...)
		}
	}
	return faults
}
