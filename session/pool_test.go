// SPDX-License-Identifier: Apache-2.0

package session

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/conf"
	"roundhouse/engine"
)

// TestLeastSessionsStaysInBalance: however sessions come and end, a new one goes to a
// member with the fewest, and while none ends no two differ by more than one.
func TestLeastSessionsStaysInBalance(t *testing.T) {
	for _, size := range []int{1, 2, 4, 32} {
		p, counts := Pool{Name: "p", Size: size, Policy: conf.PoolLeastSessions}, make([]int, size)
		for range 10 * size {
			counts[p.choose(counts, nil)]++
			require.LessOrEqual(t, slices.Max(counts)-slices.Min(counts), 1)
		}
		counts[size-1] -= 5
		require.Equal(t, size-1, p.choose(counts, nil))
	}
	require.Equal(t, 1, Pool{Size: 3, Policy: conf.PoolLeastSessions}.choose([]int{2, 1, 1}, nil), "the first of the least")
}

func TestPollingTakesTurns(t *testing.T) {
	p, used := Pool{Size: 3, Policy: conf.PoolPolling}, make([]uint64, 3)
	var got []int
	for turn := range uint64(5) {
		member := p.choose(make([]int, 3), used)
		used[member] = turn + 1
		got = append(got, member)
	}
	require.Equal(t, []int{0, 1, 2, 0, 1}, got)
	require.Equal(t, 1, p.choose(make([]int, 3), []uint64{7, 2, 9}), "whichever gateway used the others")
}

func TestRandomReachesEveryMember(t *testing.T) {
	p, met := Pool{Size: 4, Policy: conf.PoolRandom}, make([]bool, 4)
	for range 1000 {
		met[p.choose(make([]int, 4), nil)] = true
	}
	require.NotContains(t, met, false)
}

func TestPlansOfPools(t *testing.T) {
	p := planner(t, map[string]string{"kyuubi.engine.pool.size": "4", "kyuubi.engine.spark.python.3.12": "/opt/python3.12"})
	plan := func(client string, pairs ...conf.Pair) Plan {
		got, err := p.Plan(Wishes{User: "alice", Client: client, Pairs: pairs})
		require.NoError(t, err)
		return got
	}
	usual := plan("")
	require.True(t, usual.Pool.Active())
	require.Equal(t, "engine-pool-0", usual.Spec.Subdomain)
	require.Equal(t, "engine-pool-3", usual.Pool.Subdomain(3))
	other := plan("python/3.12", conf.Pair{Key: "spark.driver.memory", Value: "1g"})
	require.Regexp(t, `^engine-pool-2-o-[0-9a-f]{12}-py3\.12$`, other.Pool.Subdomain(2))
	require.Equal(t, other.Pool.Subdomain(0), other.Spec.Subdomain)
	require.Equal(t, "engine-pool-2-o-0123456789ab", PlainSubdomain("engine-pool-2-o-0123456789ab-py3.12"))
	named := plan("", conf.Pair{Key: conf.EngineSubdomain.Key, Value: "mine"})
	require.False(t, named.Pool.Active())
	require.Equal(t, "mine", named.Spec.Subdomain)
	single := plan("", conf.Pair{Key: conf.EngineShareLevel.Key, Value: conf.ShareConnection})
	require.False(t, single.Pool.Active())
	require.Equal(t, engine.Connection, single.Spec.ShareLevel)
}
