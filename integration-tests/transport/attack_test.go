// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// The bounds of an attack; README.md says how they are made honest.
const (
	slower    = 2                     // times the p99 of the good client's calls
	fewCalls  = 10 * time.Millisecond // on top of it in a short run, whose p99 is that of 5 calls of 460
	manyCalls = 3 * time.Millisecond  // on top of it in a long one
	growth    = 100 << 20             // bytes of resident memory, from first to last
	recovery  = 5                     // seconds
	idleShare = 0.1                   // of a processor, beyond twice that of the quiet phase
)

// least is a tenth of what an attacker does in a short run: one that gets less
// from the machine proves nothing.
var least = map[string]loot{
	"continuation-flood": {Frames: 2_200},
	"hpack-bomb":         {Frames: 210},
	"made-you-reset":     {Frames: 240_000},
	"ping-flood":         {Frames: 590_000},
	"rapid-reset":        {Frames: 240_000},
	"settings-flood":     {Frames: 5_900},
	"slowloris":          {Frames: 4, Prefaces: 2, Headers: 2},
	"zero-window":        {Frames: 190},
}

// TestAttacks attacks a gateway in each way while a good client works with it
// and with its twin, which nobody attacks.
func TestAttacks(t *testing.T) {
	g, twin := startGateway(t), startGateway(t)
	s := &siege{gateway: g, good: newGoodClient(t, g, "alice"), twin: newGoodClient(t, twin, "alice")}
	newGoodClient(t, g, "mallory") // her engine runs before anything is measured
	s.watch(t, warmUp, nil)
	s.memory = env.RSS(t, g.PID())
	for _, name := range slices.Sorted(maps.Keys(attacks)) {
		t.Run(name, func(t *testing.T) { s.withstand(t, name) })
	}
	left := s.grown(t)
	t.Logf("after all attacks: memory +%d MB", left>>20)
	require.Less(t, left, int64(growth))
}

// warmUp is how long the good client works before the memory of the gateway is
// taken for its usual one.
const warmUp = 2 * time.Second

type siege struct {
	gateway    *env.Gateway
	good, twin *goodClient
	memory     int64 // of the gateway before all attacks, in bytes
}

// grown is how much memory the gateway has more than before all attacks.
func (s *siege) grown(t *testing.T) int64 { return env.RSS(t, s.gateway.PID()) - s.memory }

// phase is what was seen while something went on.
type phase struct {
	took, twin latencies
	cpu        float64 // processors that the gateway used
	grown      int64   // bytes of memory beyond those before all attacks, at most
}

// most is what calls may take in a phase: twice the p99 of the quiet phase, or
// of the twin in the same seconds, when the machine is busy with other things.
func (p phase) most(quiet phase) time.Duration {
	return slower*max(quiet.took.at(0.99), p.twin.at(0.99)) + env.Duration(fewCalls, manyCalls)
}

// strict says whether the p99 is within the bound without anything on top.
func (p phase) strict(quiet phase) bool {
	return p.took.at(0.99) <= p.most(quiet)-env.Duration(fewCalls, manyCalls)
}

// tries is how often an attack is repeated because calls were slow: the p99 is
// that of a few calls, which another program on the machine may have met.
const tries = 3

func (s *siege) withstand(t *testing.T, name string) {
	lasts := env.Duration(2500*time.Millisecond, 30*time.Second)
	var quiet, during phase
	for range tries {
		quiet = s.watch(t, lasts/2, nil)
		during = s.attack(t, name, lasts)
		t.Logf("quiet %v; attacked %v; the twin %v; cpu %.2f -> %.2f; memory +%d MB; at most twice the p99: %v",
			quiet.took, during.took, during.twin, quiet.cpu, during.cpu, during.grown>>20, during.strict(quiet))
		require.Less(t, during.grown, int64(growth))
		if during.took.at(0.99) <= during.most(quiet) {
			break
		}
	}
	require.LessOrEqual(t, during.took.at(0.99), during.most(quiet), "the good client is slowed down")
	s.recover(t, quiet)
}

// recover waits until calls and processor are as before.
func (s *siege) recover(t *testing.T, quiet phase) {
	for second := 1; ; second++ {
		after := s.watch(t, time.Second, nil)
		if after.took.at(0.99) <= after.most(quiet) && after.cpu <= slower*quiet.cpu+idleShare {
			t.Logf("recovered after %d s", second)
			return
		}
		require.Less(t, second, recovery, "not recovered: %v, the twin %v, cpu %.2f", after.took, after.twin, after.cpu)
	}
}

// callInterval is the pace of the good client: one call each to the gateway and
// its twin.
const callInterval = 5 * time.Millisecond

// watch lets the good client work until the time is over or done is closed.
func (s *siege) watch(t *testing.T, lasts time.Duration, done <-chan struct{}) (p phase) {
	pid := s.gateway.PID()
	used, begin := cpu(t, pid), time.Now()
	pace := time.NewTicker(callInterval)
	defer pace.Stop()
	over := time.After(lasts)
	for working := true; working; {
		select {
		case <-over:
			working = false
		case <-done:
			working = false
		case <-pace.C:
			p.took = append(p.took, s.good.call(t))
			p.twin = append(p.twin, s.twin.call(t))
			p.grown = max(p.grown, s.grown(t))
		}
	}
	p.cpu = (cpu(t, pid) - used).Seconds() / time.Since(begin).Seconds()
	return p
}

// attack watches the gateway while an attacker of low priority attacks it.
func (s *siege) attack(t *testing.T, name string, lasts time.Duration) phase {
	t.Helper()
	done := make(chan struct{})
	var out []byte
	var err error
	cmd := role(t, lasts+10*time.Second, lowPriority, "attack", name, s.gateway.GRPC, lasts.String())
	go func() { defer close(done); out, err = cmd.Output() }() // waited for below
	p := s.watch(t, lasts+20*time.Second, done)
	<-done
	require.NoError(t, err)
	var did loot
	require.NoError(t, json.Unmarshal(out, &did))
	t.Logf("%s: %+v", name, did)
	require.GreaterOrEqual(t, did.Connections, int64(attackConns))
	require.GreaterOrEqual(t, did.Frames, least[name].Frames, "the attacker was starved")
	require.GreaterOrEqual(t, did.Prefaces, least[name].Prefaces)
	require.GreaterOrEqual(t, did.Headers, least[name].Headers)
	return p
}
