// SPDX-License-Identifier: Apache-2.0

// Package proxyuser decides who may act for whom, by Hadoop's settings
// hadoop.proxyuser.<real user>.users, .groups and .hosts and with their meaning:
// the user must be listed, or one of the user's groups, and so must the address
// of the connection; * stands for all; what is not set allows nothing.
package proxyuser

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"roundhouse/auth"
	"roundhouse/internal/errs"
	"roundhouse/internal/recall"
)

// Prefix begins the names of the settings.
const Prefix = "hadoop.proxyuser."

const (
	// lookupTimeout bounds one question for the addresses of a host.
	lookupTimeout = 2 * time.Second
	// keep is how long an answer holds, hold how long while nobody gives another.
	keep, hold = time.Minute, 5 * time.Minute
	// all in a list stands for everybody, everywhere.
	all = "*"
)

// Rules are the settings of all real users. Make them with New; they are safe
// for concurrent use.
type Rules struct {
	real   map[string]*grant
	groups func(ctx context.Context, user string) ([]string, error)
	hosts  recall.Memory[[]netip.Addr]
}

// grant is what one real user may do.
type grant struct {
	users, groups, hosts []string
	networks             []netip.Prefix
}

// New reads the settings, whose names are given without Prefix: "hue.hosts". An
// error names the setting in full. groups tells the groups of users.
func New(settings map[string]string, groups func(ctx context.Context, user string) ([]string, error)) (*Rules, error) {
	r := &Rules{real: map[string]*grant{}, groups: groups, hosts: recall.Memory[[]netip.Addr]{
		Ask: lookupHost, Timeout: lookupTimeout, Keep: keep, Hold: hold,
	}}
	for key, text := range settings {
		dot := strings.LastIndexByte(key, '.')
		if dot < 0 {
			return nil, fault(key, "it names no user: write %s<user>.hosts, .users or .groups", Prefix)
		}
		if err := r.set(key[:dot], key[dot+1:], split(text)); err != nil {
			return nil, fault(key, "%v", err)
		}
	}
	for user, g := range r.real {
		if len(g.hosts)+len(g.networks) == 0 {
			return nil, fault(user+".hosts", "it is needed beside the lists of users or groups: without it %s may act for others from nowhere", user)
		}
		if len(g.users)+len(g.groups) == 0 {
			return nil, fault(user+".users", "it or the list of groups is needed beside the hosts: without them %s may act for nobody", user)
		}
	}
	return r, nil
}

// Fault is a setting that cannot be used.
type Fault struct {
	// Key is the setting in full.
	Key string
	// Text says what is wrong with it.
	Text string
}

// Error is both.
func (f *Fault) Error() string { return f.Key + ": " + f.Text }

func fault(key, format string, args ...any) error {
	return &Fault{Key: Prefix + key, Text: fmt.Sprintf(format, args...)}
}

func split(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

func (r *Rules) set(user, what string, list []string) error {
	if err := auth.ValidUser(user); err != nil {
		return err
	}
	g := r.real[user]
	if g == nil {
		g = &grant{}
		r.real[user] = g
	}
	switch what {
	case "users":
		g.users = list
		return checkUsers(list)
	case "groups":
		g.groups = list
		return nil
	case "hosts":
		return g.setHosts(list)
	}
	return fmt.Errorf("there is no such setting; a real user has hosts, users and groups")
}

func checkUsers(list []string) error {
	for _, name := range list {
		if err := auth.ValidUser(name); name != all && err != nil {
			return err
		}
	}
	return nil
}

// setHosts sorts a list into networks and names.
func (g *grant) setHosts(list []string) error {
	for _, item := range list {
		address, err := netip.ParseAddr(item)
		if err == nil {
			g.networks = append(g.networks, netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen()))
			continue
		}
		if !strings.Contains(item, "/") {
			g.hosts = append(g.hosts, item)
			continue
		}
		network, err := netip.ParsePrefix(item)
		if err != nil {
			return fmt.Errorf("%q is no network such as 10.0.0.0/8", item)
		}
		g.networks = append(g.networks, network.Masked())
	}
	return nil
}

// Check says why the real user may not act for another one over a connection
// from an address; nil if it may. It asks for groups and addresses of hosts as
// long as ctx lives. The text is a sentence without its end that names the
// setting. The error is of class AUTH_UNAVAILABLE if they cannot be told now.
func (r *Rules) Check(ctx context.Context, real, user string, from netip.Addr) error {
	g := r.real[real]
	if g == nil {
		return fmt.Errorf("%s may act for nobody: there is no %s%s.users or .groups", real, Prefix, real)
	}
	listed, err := r.lists(ctx, g, user)
	switch {
	case err != nil:
		return errs.Wrap(errs.AuthUnavailable, err, "The groups of user %s cannot be found out now, so nobody knows whether %s may act for that user (%s%s.groups). "+
			"Try again in a minute.", user, real, Prefix, real)
	case !listed:
		return fmt.Errorf("neither %s%s.users nor .groups lists user %s", Prefix, real, user)
	}
	near, err := r.from(ctx, g, from.Unmap().WithZone(""))
	switch {
	case near:
		return nil
	case err != nil:
		return errs.Wrap(errs.AuthUnavailable, err, "The addresses of a host cannot be found out now, so nobody knows whether %s may act for others from %v (%s%s.hosts). "+
			"Try again in a minute.", real, from, Prefix, real)
	}
	return fmt.Errorf("%s%s.hosts does not list the address %v", Prefix, real, from)
}

func (r *Rules) lists(ctx context.Context, g *grant, user string) (bool, error) {
	if slices.Contains(g.users, all) || slices.Contains(g.users, user) || slices.Contains(g.groups, all) {
		return true, nil
	}
	if len(g.groups) == 0 {
		return false, nil
	}
	groups, err := r.groups(ctx, user)
	return slices.ContainsFunc(groups, func(name string) bool { return slices.Contains(g.groups, name) }), err
}

// from says whether a grant lists an address. The error counts only if it does
// not.
func (r *Rules) from(ctx context.Context, g *grant, from netip.Addr) (listed bool, err error) {
	if slices.Contains(g.hosts, all) || slices.ContainsFunc(g.networks, func(n netip.Prefix) bool { return n.Contains(from) }) {
		return true, nil
	}
	for _, host := range g.hosts {
		addresses, fault := r.hosts.Get(ctx, host)
		if slices.Contains(addresses, from) {
			return true, nil
		}
		err = errors.Join(err, fault)
	}
	return false, err
}

// lookupHost are the addresses of a host; none if there is no such host.
func lookupHost(ctx context.Context, host string) ([]netip.Addr, error) {
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	var said *net.DNSError
	if errors.As(err, &said) && said.IsNotFound {
		return nil, nil
	}
	for i, a := range addresses {
		addresses[i] = a.Unmap().WithZone("")
	}
	return addresses, err
}
