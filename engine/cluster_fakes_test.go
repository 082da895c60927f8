// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"roundhouse/discovery"
	"roundhouse/internal/secret"
)

// ensemble is the store that the gateways of a test share. Its followers are told
// at once.
type ensemble struct {
	mu        sync.Mutex
	records   map[string]discovery.EngineRecord
	followers map[int]discovery.Told[discovery.EngineRecord]
	serial    int
	locks     map[string]chan struct{}
	spaces    map[string][]discovery.Credential
	nodes     map[string][]discovery.Node
	changed   chan struct{} // closed at each change of nodes
	away      error
	lossy     bool            // the next answer to a write is lost
	stolen    bool            // the next lock is lost before it is given back
	theft     func()          // what happens then, with mu held
	watches   int             // how often Watch was called
	unlisted  error           // of Spaces
	unswept   error           // of SweepSpace
	slow      bool            // SweepSpace lasts until its context ends
	sweeps    int             // how often SweepSpace was called
	asked     map[string]int  // how often a lock was asked for
	added     int             // records
	dead      map[string]bool // gateways
	worlds    []*world
}

func newEnsemble() *ensemble {
	return &ensemble{
		records: map[string]discovery.EngineRecord{}, followers: map[int]discovery.Told[discovery.EngineRecord]{},
		locks: map[string]chan struct{}{}, spaces: map[string][]discovery.Credential{}, nodes: map[string][]discovery.Node{},
		changed: make(chan struct{}), dead: map[string]bool{}, theft: func() {}, asked: map[string]int{},
	}
}

func (s *ensemble) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// all are the records.
func (s *ensemble) all() map[string]discovery.EngineRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.records)
}

// tell calls every follower; mu is held, so that they hear all in one order.
func (s *ensemble) tell(r discovery.EngineRecord, gone bool) {
	for _, told := range s.followers {
		told(r, gone)
	}
}

func (s *ensemble) AddEngine(_ context.Context, r discovery.EngineRecord) error {
	return s.write(r, func(_ discovery.EngineRecord, there bool) error {
		if there {
			return discovery.ErrExists
		}
		s.added++
		return nil
	})
}

func (s *ensemble) PutEngine(ctx context.Context, r discovery.EngineRecord) error {
	return s.TakeEngine(ctx, r, r.Owner)
}

func (s *ensemble) TakeEngine(_ context.Context, r discovery.EngineRecord, from discovery.Owner) error {
	return s.write(r, func(old discovery.EngineRecord, there bool) error {
		if !there {
			return discovery.ErrNotFound
		}
		return old.Owned(from)
	})
}

func (s *ensemble) write(r discovery.EngineRecord, right func(old discovery.EngineRecord, there bool) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return s.away
	}
	old, there := s.records[r.RefID]
	if err := right(old, there); err != nil {
		return err
	}
	s.records[r.RefID] = r
	if s.lossy { // it is written, and the answer does not come
		s.lossy = false
		return discovery.ErrAway
	}
	s.tell(r, false)
	return nil
}

func (s *ensemble) DeleteEngine(_ context.Context, refID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.records[refID]; there && s.away == nil {
		delete(s.records, refID)
		s.tell(discovery.EngineRecord{RefID: refID}, true)
	}
	return s.away
}

func (s *ensemble) Engines(context.Context) ([]discovery.EngineRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.records)), nil
}

func (s *ensemble) FollowEngines(ctx context.Context, told discovery.Told[discovery.EngineRecord]) error {
	s.mu.Lock()
	s.serial++
	id := s.serial
	s.followers[id] = told
	for _, r := range s.records {
		told(r, false)
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.set(func() { delete(s.followers, id) })
	return nil
}

func (s *ensemble) Lock(ctx context.Context, path string) (func() error, error) {
	s.mu.Lock()
	if s.locks[path] == nil {
		s.locks[path] = make(chan struct{}, 1)
	}
	s.asked[path]++
	lock, away := s.locks[path], s.away
	s.mu.Unlock()
	if away != nil {
		return nil, away
	}
	select {
	case lock <- struct{}{}:
		return func() error {
			<-lock
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.stolen {
				s.stolen = false
				s.theft()
				return discovery.ErrConflict
			}
			return nil
		}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *ensemble) Watch(ctx context.Context, path string) (<-chan []discovery.Node, error) {
	s.set(func() { s.watches++ })
	lists := make(chan []discovery.Node, 1)
	go func() { // ends with ctx
		defer close(lists)
		for ctx.Err() == nil {
			s.mu.Lock()
			list, changed := slices.Clone(s.nodes[path]), s.changed
			s.mu.Unlock()
			select {
			case lists <- list:
			case <-ctx.Done():
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}()
	return lists, nil
}

func (s *ensemble) Find(_ context.Context, path string) ([]discovery.Node, error) {
	return s.in(path), nil
}

func (s *ensemble) OpenSpace(_ context.Context, path string, engines []discovery.Credential) error {
	s.set(func() { s.spaces[path] = engines })
	return s.away
}

func (s *ensemble) CloseSpace(_ context.Context, path string) error {
	s.set(func() { delete(s.spaces, path) })
	return nil
}

func (s *ensemble) SweepSpace(ctx context.Context, path string, good func(discovery.Node) bool) (removed int, err error) {
	s.mu.Lock()
	s.sweeps++
	slow := s.slow
	s.mu.Unlock()
	if slow {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	kept := slices.DeleteFunc(s.in(path), func(n discovery.Node) bool { return !good(n) })
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.nodes[path])
	s.nodes[path] = kept
	return before - len(kept), s.unswept
}

func (s *ensemble) Spaces(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.spaces)), s.unlisted
}

// in are the nodes in a space.
func (s *ensemble) in(path string) []discovery.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.nodes[path])
}

// node puts a node into a space.
func (s *ensemble) node(path string, n discovery.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[path] = append(s.nodes[path], n)
	close(s.changed)
	s.changed = make(chan struct{})
}

// register lets the driver of a launch put its node.
func (s *ensemble) register(l Launch) {
	for _, w := range s.worlds {
		w.controlOf(l).is(l.RefID)
	}
	connect, controlAddress := addresses(l.RefID)
	n, err := discovery.ParseNode(nodeName(l.RefID, l.Spec.Path(), connect, controlAddress))
	if err != nil {
		panic(err)
	}
	s.node(l.Spec.Path(), n)
}

func (s *ensemble) alive(o discovery.Owner) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.dead[o.Gateway]
}

// gateway makes the world of one gateway of the ensemble. The processes of
// gateways at one place are seen by all of them.
func (s *ensemble) gateway(t *testing.T, name string, machine *fakeLauncher, change ...func(*Options)) *world {
	t.Helper()
	known := make(chan string, 100)
	all := func(o *Options) {
		o.Store, o.Cluster, o.Alive = s, s, s.alive
		o.Launcher, o.Files = machine, machine
		o.Self = discovery.Owner{Gateway: name, Place: "here"}
		o.OnKnown = func(refID string) { known <- refID }
	}
	w := newWorld(t, append([]func(*Options){all}, change...)...)
	w.launcher, w.known = machine, known
	s.worlds = append(s.worlds, w)
	return w
}

// elsewhere makes a gateway one of another machine.
func elsewhere(o *Options) { o.Self.Place = "there" }

// relayed is what the driver of a launch registers when it offers a relay.
func (s *ensemble) relayed(l Launch, relay, pin string) {
	connect, controlAddress := addresses(l.RefID)
	for _, w := range s.worlds {
		w.controlOf(l).is(l.RefID)
		w.control(relay).is(l.RefID)
	}
	key := keysOf(clusterSecret, l.RefID).Register
	s.node(l.Spec.Path(), discovery.Node{Address: connect, Version: ProtocolVersion, RefID: l.RefID, Attributes: map[string]string{
		"control": controlAddress, "sparkVersion": "4.3.0", "kyuubi.engine.id": "local-1", "relay": relay, "fingerprint": pin,
		"mac": secret.MAC(key, registrationLabel, l.Spec.Path(), connect, controlAddress, pin, l.RefID, relay),
	}})
}

func newMachine() *fakeLauncher {
	return &fakeLauncher{shared: true, processes: map[string]*fakeProcess{}, old: map[int]*fakeProcess{}, lost: map[string]*fakeProcess{}}
}
