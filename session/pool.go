// SPDX-License-Identifier: Apache-2.0

package session

import (
	"math/rand/v2"
	"slices"
	"strconv"

	"roundhouse/conf"
)

// Pool are the engines of which a new session gets one (kyuubi.engine.pool.*): each is a
// subdomain beside the others. The zero Pool is none, and the subdomain is settled.
type Pool struct {
	// Name begins the subdomain of each member, Size is how many there are.
	Name string
	Size int
	// Policy is kyuubi.engine.pool.selectPolicy.
	Policy string
	// rest ends the subdomain of each member: it is the same for equal wishes, so that
	// engines of other launch options or Pythons are none of this pool.
	rest string
}

// Active says whether a member has to be chosen.
func (p Pool) Active() bool { return p.Size > 0 }

// Subdomain is that of a member, counted from 0.
func (p Pool) Subdomain(member int) string {
	return p.Name + "-" + strconv.Itoa(member) + p.rest
}

// choose says which member a session gets. counts are the live sessions of each member,
// those that still wait for their engine too; used tells which got a session last, the one
// with the highest number. As long as no other choice is made meanwhile and none ends, members differ by
// one session at most, but for RANDOM.
func (p Pool) choose(counts []int, used []uint64) int {
	switch p.Policy {
	case conf.PoolLeastSessions:
		return slices.Index(counts, slices.Min(counts))
	case conf.PoolPolling:
		return slices.Index(used, slices.Min(used))
	}
	return rand.IntN(p.Size)
}

// poolOf is the pool that options ask for.
func poolOf(o conf.Options) Pool {
	if o.Pool.Size < 1 {
		return Pool{}
	}
	p := Pool{Name: o.Pool.Name, Size: o.Pool.Size, Policy: o.Pool.Policy}
	if o.Subdomain != "" {
		p.rest = "-" + o.Subdomain
	}
	return p
}
