// SPDX-License-Identifier: Apache-2.0

// Package netaddr has the two forms in which addresses of clients are compared.
package netaddr

import "net/netip"

// customerBits is the length of the network that one IPv6 customer has at least:
// whoever has one address of it has them all.
const customerBits = 64

// Plain is the form in which addresses are equal: without the zone of a link and
// the IPv6 clothes of an IPv4 address. What is no address stays as it is.
func Plain(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	return a.Unmap().WithZone("").String()
}

// Network is the form in which addresses are counted: an IPv4 address itself,
// and the network of /64 of an IPv6 address.
func Network(address string) string {
	a, err := netip.ParseAddr(Plain(address))
	if err != nil || a.Is4() {
		return Plain(address)
	}
	network, _ := a.Prefix(customerBits) // fails for longer prefixes only
	return network.String()
}
