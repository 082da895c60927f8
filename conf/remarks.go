// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"maps"
	"net"
	"slices"
	"strings"
)

// remarks are sentences about valid settings that give up something.
func (c *Conf) remarks() (all []string) {
	for _, f := range append(inAll(c, lostIdentity), c.clearZooKeeper()...) {
		all = append(all, f.Error())
	}
	return all
}

const noImpersonation = "there is no impersonation yet: all drivers run as the gateway's user"

// lostIdentity tells where engines do not work as the user of their session.
func lostIdentity(prefix string, values map[string]value) (faults Faults) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		v := values[key]
		text := ""
		switch {
		case key == EngineShareLevel.Key && strings.EqualFold(v.text, ShareGroup):
			text = "GROUP: the users of a group share one driver, and what one of them runs there can see what the others have there"
		case key == EngineShareLevel.Key && strings.EqualFold(v.text, ShareServer):
			text = "SERVER: all users share one driver, and what one of them runs there can see what the others have there"
		case key == EngineDoAs.Key:
			text = strings.ToLower(v.text) + ": " + noImpersonation + " whatever it says, and storage and clusters cannot tell their users apart"
		default:
			continue
		}
		faults = append(faults, Fault{At: v.from, Key: prefix + key, Text: text})
	}
	return faults
}

// clearZooKeeper tells that the identities of gateways, which ZooKeeper is shown as they
// are, cross the network in clear text.
func (c *Conf) clearZooKeeper() Faults {
	z := c.ZooKeeper()
	remote := slices.ContainsFunc(z.Addresses, func(address string) bool {
		host, _, _ := net.SplitHostPort(address)
		return !isLoopback(host)
	})
	if !remote || z.TLS != nil {
		return nil
	}
	return c.blame(HAZooKeeperTLS.Key, "false: who reads the network between here and ZooKeeper learns what lets gateways change sessions and engines there; set it to true, with the secureClientPort of ZooKeeper in %s", HAAddresses.Key)
}
