// SPDX-License-Identifier: Apache-2.0

package server

import (
	"roundhouse/discovery"
	"roundhouse/server/rest"
)

// restServers shows the gateways of the cluster as REST serves them.
type restServers struct {
	// namespace is where gateways are in discovery.
	namespace string
	self      discovery.Gateway
	draining  func() bool
	// all are those that the store knows; nil where this gateway is alone.
	all func() []discovery.Gateway
	// dead says whether the process of a gateway has certainly ended, though its node is there.
	dead func(discovery.Owner) bool
}

// Servers lists this gateway even when the store knows it no more, or not yet.
func (r restServers) Servers() (views []rest.ServerView) {
	var all []discovery.Gateway
	if r.all != nil {
		all = r.all()
	}
	here := false
	for _, g := range all {
		if r.dead(g.Owner) {
			continue
		}
		here = here || g.Gateway == r.self.Gateway
		views = append(views, r.view(g))
	}
	if !here {
		views = append(views, r.view(r.self))
	}
	return views
}

func (r restServers) view(g discovery.Gateway) rest.ServerView {
	return rest.ServerView{
		ID: g.Gateway, Namespace: r.namespace, Address: g.Address, REST: g.REST, Version: g.Version, Config: g.Config, Place: g.Place, Since: g.Since,
		Draining: g.Gateway == r.self.Gateway && r.draining(),
	}
}
