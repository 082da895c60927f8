// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"

	"roundhouse/discovery"
	"roundhouse/internal/secret"
)

const (
	gatewaysUser = "roundhouse"
	// gatewaysRef stands in the place of an engine's ref id when the gateways' key is derived.
	gatewaysRef = "gateways"
	enginePart  = "engine-" // before the ref id in the user of an engine
	digest      = "digest"  // the scheme
)

// identity is a user of ZooKeeper's digest scheme.
type identity struct{ user, password string }

// gateways are the identities of gateways, the newest secret's first.
func gateways(secrets [][]byte, more string) (who []identity) {
	for _, cluster := range secrets {
		who = append(who, identity{gatewaysUser, secret.Derive(cluster, secret.LabelZooKeeper, gatewaysRef)})
	}
	if user, password, ok := strings.Cut(more, ":"); ok {
		who = append(who, identity{user, password})
	}
	return who
}

func engine(c discovery.Credential) identity { return identity{enginePart + c.RefID, c.Key} }

// may gives permissions to identities.
func may(permissions int32, who ...identity) (acl []zk.ACL) {
	for _, i := range who {
		acl = append(acl, zk.DigestACL(permissions, i.user, i.password)...)
	}
	return acl
}

// ACLText names the gateways as engines put it into the rights of their nodes:
// digest:<user>:<hash>, separated by commas. It holds nothing that could be guessed: the
// administrator, whose password may be weak, is not in it.
func (s *Store) ACLText() string {
	var all []string
	for _, a := range may(zk.PermAll, s.derived()...) {
		all = append(all, a.Scheme+":"+a.ID)
	}
	return strings.Join(all, ",")
}

// ours are the rights of what only gateways may read.
func (s *Store) ours() []zk.ACL { return may(zk.PermAll, s.who...) }

// derived are the identities of gateways that come from a cluster secret.
func (s *Store) derived() []identity { return s.who[:len(s.options.Secrets)] }

// seal is the content of a root: it shows that gateways made it, whatever rights somebody may have given to
// it before.
func (s *Store) seal(path string) []byte {
	var macs []string
	for _, i := range s.derived() {
		macs = append(macs, secret.MAC(i.password, path))
	}
	return []byte(strings.Join(macs, "\n"))
}

// sealed says whether a root has the seal of one of the secrets.
func (s *Store) sealed(path string, content []byte) bool {
	given := strings.Split(string(content), "\n")
	for ours := range strings.SplitSeq(string(s.seal(path)), "\n") {
		if slices.ContainsFunc(given, func(mac string) bool { return secret.Equal(mac, ours) }) {
			return true
		}
	}
	return false
}
