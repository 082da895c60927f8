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
// digest:<user>:<hash>, separated by commas. It holds no secret.
func (s *Store) ACLText() string {
	var all []string
	for _, a := range s.ours() {
		all = append(all, a.Scheme+":"+a.ID)
	}
	return strings.Join(all, ",")
}

// ours are the rights of what only gateways may read.
func (s *Store) ours() []zk.ACL { return may(zk.PermAll, s.who...) }

// trusted says that nobody but the gateways can have changed what has these rights.
func (s *Store) trusted(acl []zk.ACL) bool {
	ours, owned := s.ours(), false
	for _, a := range acl {
		known := slices.ContainsFunc(ours, func(o zk.ACL) bool { return o.Scheme == a.Scheme && o.ID == a.ID })
		if !known && a.Perms&^zk.PermRead != 0 {
			return false
		}
		owned = owned || known && a.Perms == zk.PermAll
	}
	return owned
}
