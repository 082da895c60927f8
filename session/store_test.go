// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"roundhouse/discovery"
)

// memoryStore is a store. Used by itself it tells nothing, as one of a single gateway.
type memoryStore struct {
	mu      sync.Mutex
	records map[Key]discovery.SessionRecord
	fail    error
	most    int // if not 0, so many records
	locks   map[string]chan struct{}
	// gateways are those that share the store.
	gateways []*gatewayStore
}

func newMemoryStore() *memoryStore {
	return &memoryStore{records: map[Key]discovery.SessionRecord{}, locks: map[string]chan struct{}{}}
}

func (s *memoryStore) setFail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// all are the records as they are now.
func (s *memoryStore) all() map[Key]discovery.SessionRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.records)
}

func (s *memoryStore) AddSession(_ context.Context, r discovery.SessionRecord) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.records[Key{r.User, r.SessionID}]; known && s.fail == nil {
		return discovery.ErrExists
	}
	return s.putLocked(r)
}

func (s *memoryStore) PutSession(_ context.Context, r discovery.SessionRecord) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, known := s.records[Key{r.User, r.SessionID}]; known {
		if err := r.Replace(old); err != nil {
			return err
		}
	}
	return s.putLocked(r)
}

func (s *memoryStore) putLocked(r discovery.SessionRecord) error {
	if s.fail != nil {
		return s.fail
	}
	if _, known := s.records[Key{r.User, r.SessionID}]; !known && s.most > 0 && len(s.records) >= s.most {
		return discovery.ErrFull
	}
	r.Opened = r.Opened.Round(0) // as JSON does
	s.records[Key{r.User, r.SessionID}] = r
	s.tellLocked(Key{r.User, r.SessionID})
	return nil
}

func (s *memoryStore) GetSession(_ context.Context, user, id string) (discovery.SessionRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, known := s.records[Key{user, id}]
	if !known {
		return r, discovery.ErrNotFound
	}
	return r, nil
}

func (s *memoryStore) DeleteSession(_ context.Context, r discovery.SessionRecord) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := Key{r.User, r.SessionID}
	if old, known := s.records[k]; known {
		if err := r.Remove(old); err != nil {
			return err
		}
	}
	if s.fail != nil {
		return s.fail
	}
	delete(s.records, k)
	s.tellLocked(k)
	return nil
}

func (s *memoryStore) Sessions(context.Context) ([]discovery.SessionRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.records)), nil
}

func (s *memoryStore) FollowSessions(ctx context.Context, _ discovery.Told[discovery.SessionRecord]) error {
	<-ctx.Done()
	return nil
}

func (s *memoryStore) Lock(ctx context.Context, path string) (unlock func() error, err error) {
	s.mu.Lock()
	held := s.locks[path]
	if held == nil {
		held = make(chan struct{}, 1)
		s.locks[path] = held
	}
	s.mu.Unlock()
	select {
	case held <- struct{}{}:
		return sync.OnceValue(func() error { <-held; return nil }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *memoryStore) tellLocked(k Key) {
	for _, g := range s.gateways {
		g.queue = append(g.queue, k)
	}
}

// gatewayStore is the store as one of several gateways sees it. As the real one it tells what
// there is to tell before a write returns, and reads records where they are stored.
type gatewayStore struct {
	*memoryStore
	// lag is how late the gateway is told.
	lag time.Duration
	// telling lets one tell at a time; the others are guarded by the store's mutex.
	telling chan struct{}
	lost    func() // if not nil, the next lock is lost, and this happens then
	queue   []Key
	told    discovery.Told[discovery.SessionRecord]
	away    bool
	silent  bool // away, and nobody has noticed yet
	blind   bool // one record cannot be read
}

// join is the store of one more gateway.
func (s *memoryStore) join(lag time.Duration) *gatewayStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &gatewayStore{memoryStore: s, lag: lag, telling: make(chan struct{}, 1)}
	s.gateways = append(s.gateways, g)
	return g
}

func (g *gatewayStore) setAway(away bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.away = away
}

func (g *gatewayStore) setSilent(silent bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.silent = silent
}

func (g *gatewayStore) setBlind(blind bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.blind = blind
}

func (g *gatewayStore) reach(ctx context.Context) error {
	g.mu.Lock()
	away, silent := g.away, g.silent
	g.mu.Unlock()
	if silent {
		<-ctx.Done()
	}
	if away || silent {
		return discovery.ErrAway
	}
	return nil
}

// lose has the next lock lost at once, and calls meanwhile at that moment.
func (g *gatewayStore) lose(meanwhile func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lost = meanwhile
}

// tell tells all that there is to tell by now, unless ctx ends while somebody else tells.
func (g *gatewayStore) tell(ctx context.Context) {
	select {
	case g.telling <- struct{}{}:
		defer func() { <-g.telling }()
	case <-ctx.Done():
		return
	}
	for {
		g.mu.Lock()
		if len(g.queue) == 0 || g.told == nil || g.away {
			g.mu.Unlock()
			return
		}
		k := g.queue[0]
		g.queue = g.queue[1:]
		r, known := g.records[k]
		told := g.told
		g.mu.Unlock()
		if !known {
			r = discovery.SessionRecord{User: k.User, SessionID: k.ID}
		}
		told(r, !known)
	}
}

func (g *gatewayStore) FollowSessions(ctx context.Context, told discovery.Told[discovery.SessionRecord]) error {
	g.mu.Lock()
	g.told = told
	g.queue = slices.Collect(maps.Keys(g.records))
	g.mu.Unlock()
	tick := time.NewTicker(max(g.lag, time.Millisecond))
	defer tick.Stop()
	for {
		g.tell(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (g *gatewayStore) Lock(ctx context.Context, path string) (func() error, error) {
	if err := g.reach(ctx); err != nil {
		return nil, err
	}
	unlock, err := g.memoryStore.Lock(ctx, path)
	if err != nil {
		return nil, err
	}
	g.tell(ctx)
	g.mu.Lock()
	lost := g.lost
	g.lost = nil
	g.mu.Unlock()
	if lost == nil {
		return unlock, nil
	}
	_ = unlock()
	lost()
	return func() error { return discovery.ErrConflict }, nil
}

// settled tells what was written.
func (g *gatewayStore) settled(ctx context.Context, err error) error {
	if err == nil {
		g.tell(ctx)
	}
	return err
}

func (g *gatewayStore) AddSession(ctx context.Context, r discovery.SessionRecord) error {
	if err := g.reach(ctx); err != nil {
		return err
	}
	return g.settled(ctx, g.memoryStore.AddSession(ctx, r))
}

func (g *gatewayStore) PutSession(ctx context.Context, r discovery.SessionRecord) error {
	if err := g.reach(ctx); err != nil {
		return err
	}
	return g.settled(ctx, g.memoryStore.PutSession(ctx, r))
}

func (g *gatewayStore) GetSession(ctx context.Context, user, id string) (discovery.SessionRecord, error) {
	if err := g.reach(ctx); err != nil {
		return discovery.SessionRecord{}, err
	}
	g.mu.Lock()
	blind := g.blind
	g.mu.Unlock()
	if blind {
		return discovery.SessionRecord{}, discovery.ErrAway
	}
	return g.memoryStore.GetSession(ctx, user, id)
}

func (g *gatewayStore) DeleteSession(ctx context.Context, r discovery.SessionRecord) error {
	if err := g.reach(ctx); err != nil {
		return err
	}
	return g.settled(ctx, g.memoryStore.DeleteSession(ctx, r))
}
