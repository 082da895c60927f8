// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/discovery"
	"roundhouse/engine/control"
	"roundhouse/engine/local"
	"roundhouse/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var clusterSecret = []byte("a cluster secret of 32 bytes....")

// fakeProcess is a process that ends when it is told to.
type fakeProcess struct {
	id       local.Identity
	once     sync.Once
	done     chan struct{}
	status   string
	stubborn bool // ends on SIGKILL only
	undead   bool // does not end at all
	released chan struct{}
}

func newFakeProcess(pid int) *fakeProcess {
	return &fakeProcess{id: local.Identity{PID: pid, Start: uint64(pid) * 10}, done: make(chan struct{}), released: make(chan struct{}, 1000)}
}

func (p *fakeProcess) exit(status string) {
	p.once.Do(func() { p.status = status; close(p.done) })
}
func (p *fakeProcess) Identity() local.Identity { return p.id }
func (p *fakeProcess) Done() <-chan struct{}    { return p.done }
func (p *fakeProcess) Status() string {
	select {
	case <-p.done:
		return p.status
	default:
		return ""
	}
}
func (p *fakeProcess) Release() { p.released <- struct{}{} }
func (p *fakeProcess) End(ctx context.Context, grace time.Duration) error {
	if p.undead {
		return errors.New("it is blocked in the kernel")
	}
	if grace > 0 && !p.stubborn {
		p.exit("exit code 143")
	}
	if grace > 0 && p.stubborn {
		select {
		case <-time.After(grace):
		case <-ctx.Done():
		}
	}
	p.exit("killed by signal 9 (killed)")
	return nil
}

// fakeLauncher is both Launcher and Files.
type fakeLauncher struct {
	mu        sync.Mutex
	started   []Launch
	processes map[string]*fakeProcess // by ref id
	old       map[int]*fakeProcess    // of earlier gateways, by pid
	shared    bool                    // by gateways, which all see what one of them started
	lost      map[string]*fakeProcess // of earlier gateways that did not record them, by folder
	blind     error                   // of Open
	stuck     error                   // of Sweep
	swept     []string
	dropped   []string
	fail      error
	spoil     func(*fakeProcess) // of each process that is started
	reason    string
}

func (f *fakeLauncher) WorkDir(user, refID string) string { return "/work/" + user + "/" + refID }

func (f *fakeLauncher) Start(_ context.Context, l Launch) (Process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started = append(f.started, l)
	if f.fail != nil {
		return nil, f.fail
	}
	p := newFakeProcess(1000 + len(f.started))
	if f.spoil != nil {
		f.spoil(p)
	}
	f.processes[l.RefID] = p
	if f.shared {
		f.old[p.id.PID] = p
	}
	return p, nil
}

func (f *fakeLauncher) Open(id local.Identity, workDir string) (Process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.blind != nil {
		return nil, f.blind
	}
	if id == (local.Identity{}) && f.lost[workDir] != nil {
		return f.lost[workDir], nil
	}
	if p := f.old[id.PID]; p != nil && p.id == id && p.Status() == "" {
		return p, nil
	}
	return nil, local.ErrGone
}

func (f *fakeLauncher) launches() []Launch {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.started)
}

func (f *fakeLauncher) process(refID string) *fakeProcess {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.processes[refID]
}

func (f *fakeLauncher) DropSecrets(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dropped = append(f.dropped, dir)
	return nil
}

func (f *fakeLauncher) Sweep(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stuck != nil {
		return f.stuck
	}
	f.swept = append(f.swept, dir)
	return nil
}

// sweeps is how often a folder was swept.
func (f *fakeLauncher) sweeps() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.swept)
}

func (f *fakeLauncher) Expire(time.Time, map[string]bool) error { return nil }
func (f *fakeLauncher) Reason(_ string, hide secret.Masker) string {
	return hide.Text(f.reason)
}
func (f *fakeLauncher) Tail(_ string, lines int, hide secret.Masker) []string {
	if f.reason == "" || lines == 0 {
		return nil
	}
	return strings.Split(hide.Text(f.reason), "\n")
}

// memoryStore is an EngineStore of the test.
type memoryStore struct {
	mu      sync.Mutex
	records map[string]discovery.EngineRecord
	fail    error
	failPID error // of records with a process
}

func (s *memoryStore) AddEngine(ctx context.Context, r discovery.EngineRecord) error {
	return s.PutEngine(ctx, r)
}

func (s *memoryStore) TakeEngine(ctx context.Context, r discovery.EngineRecord, _ discovery.Owner) error {
	return s.PutEngine(ctx, r)
}

func (s *memoryStore) PutEngine(_ context.Context, r discovery.EngineRecord) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if s.failPID != nil && r.PID != 0 {
		return s.failPID
	}
	s.records[r.RefID] = r
	return nil
}

func (s *memoryStore) DeleteEngine(_ context.Context, refID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	delete(s.records, refID)
	return nil
}

func (s *memoryStore) Engines(context.Context) ([]discovery.EngineRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.records)), s.fail
}

func (s *memoryStore) get(refID string) (discovery.EngineRecord, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[refID]
	return r, ok
}

// fakeControl is the control endpoint of one driver.
type fakeControl struct {
	mu       sync.Mutex
	refID    string
	state    string // "" is running
	sessions []control.Session
	history  []control.Event // with the numbers 1, 2, ...
	oldest   int             // events up to this number have fallen out
	news     chan struct{}
	onStop   func(reason string) error
	orders   []string // but for stop
	down     error
}

// is says whose endpoint it is.
func (c *fakeControl) is(refID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refID = refID
}

func (c *fakeControl) Status(context.Context) (control.Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return control.Status{RefID: c.refID, State: cmp.Or(c.state, "running"), Sessions: c.sessions}, c.down
}

// emit makes the driver tell of something that happens now.
func (c *fakeControl) emit(kind, user, id, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history = append(c.history, control.Event{TimeMs: time.Now().UnixMilli(), Type: kind, User: user, SessionID: id, Reason: reason})
	close(c.news)
	c.news = make(chan struct{})
}

func (c *fakeControl) Events(ctx context.Context, after int64, wait time.Duration) (control.Events, error) {
	c.mu.Lock()
	news, found, down := c.news, c.since(int(after)), c.down
	c.mu.Unlock()
	if len(found.Events) > 0 || wait == 0 {
		return found, down
	}
	select {
	case <-news:
	case <-time.After(wait):
	case <-ctx.Done():
		return control.Events{}, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since(int(after)), c.down
}

func (c *fakeControl) since(after int) control.Events {
	from := max(after, c.oldest)
	return control.Events{Events: c.history[from:], Last: int64(len(c.history)), Lost: from > after}
}

func (c *fakeControl) Order(_ context.Context, order, reason string) error {
	if order != orderStop {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.orders = append(c.orders, order)
		return c.down
	}
	if c.onStop == nil {
		return errors.New("refused")
	}
	return c.onStop(reason)
}
func (c *fakeControl) Hold(_ context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.orders = append(c.orders, "hold "+d.String())
	return c.down
}
func (c *fakeControl) Close() {}

// world is a manager with everything around it faked.
type world struct {
	t        *testing.T
	m        *Manager
	launcher *fakeLauncher
	store    *memoryStore
	dialling sync.Mutex
	controls map[string]*fakeControl // by address
	closed   chan string             // "user session reason" of OnSessionClosed
	doubt    bool                    // OnSessionClosed cannot tell
	census   chan Census             // of OnCensus
	launched chan error              // of OnLaunch
	known    chan string             // of OnKnown, where gateways share a store
	stop     func()
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	w := &world{
		t:        t,
		launcher: &fakeLauncher{processes: map[string]*fakeProcess{}, old: map[int]*fakeProcess{}, lost: map[string]*fakeProcess{}},
		store:    &memoryStore{records: map[string]discovery.EngineRecord{}},
		controls: map[string]*fakeControl{},
		closed:   make(chan string, 100),
		census:   make(chan Census, 100),
		launched: make(chan error, 100),
	}
	w.start(change...)
	return w
}

func (w *world) options() Options {
	return Options{
		Secrets: [][]byte{clusterSecret}, Launcher: w.launcher, Files: w.launcher, Store: w.store,
		Log:         slog.New(slog.DiscardHandler),
		LaunchLimit: 2, InitializeTimeout: 3 * time.Minute, Linger: 2 * time.Minute, DestroyTimeout: 5 * time.Second,
		Heartbeat: 10 * time.Second, LogTimeout: time.Hour, MaxMessage: 1 << 20,
		OnSessionClosed: func(_, user, id, reason string) bool { w.closed <- user + " " + id + " " + reason; return !w.doubt },
		OnCensus:        func(_ string, c Census) { w.census <- c },
		OnLaunch:        func(_ time.Duration, err error) { w.launched <- err },
		DialControl:     func(at Endpoint, _ string) Control { return w.control(at.Address) },
	}
}

// start makes and runs a manager; a second one is the next gateway.
func (w *world) start(change ...func(*Options)) {
	w.t.Helper()
	options := w.options()
	for _, c := range change {
		c(&options)
	}
	m, err := NewManager(options)
	require.NoError(w.t, err)
	m.CatchUp(context.Background())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { // ends with stop
		defer close(ended)
		_ = m.Run(ctx)
	}()
	w.m = m
	w.stop = sync.OnceFunc(func() { cancel(); <-ended })
	w.t.Cleanup(w.stop)
}

func (w *world) control(address string) *fakeControl {
	w.dialling.Lock()
	defer w.dialling.Unlock()
	if w.controls[address] == nil {
		w.controls[address] = &fakeControl{news: make(chan struct{})}
	}
	return w.controls[address]
}

// nodeName is a signed registration as the plugin makes it.
func nodeName(refID, path, address, controlAddress string) string {
	key := keysOf(clusterSecret, refID).Register
	return discovery.Node{
		Address: address, Version: ProtocolVersion, RefID: refID,
		Attributes: map[string]string{
			"control": controlAddress, "sparkVersion": "4.3.0", "kyuubi.engine.id": "local-1",
			"mac": secret.MAC(key, registrationLabel, path, address, controlAddress, "", refID),
		},
	}.String()
}

func addresses(refID string) (connect, controlAddress string) {
	port := 20000 + int(refID[0])<<4 + int(refID[1])
	return fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", port+20000)
}

// register lets the driver of a launch register.
func (w *world) register(l Launch) (Welcome, error) {
	connect, controlAddress := addresses(l.RefID)
	path := l.Spec.Path()
	return w.m.Register(context.Background(), l.RefID, path, nodeName(l.RefID, path, connect, controlAddress), time.Now().UnixMilli())
}

// controlOf is the control endpoint of a launch's driver.
func (w *world) controlOf(l Launch) *fakeControl {
	_, address := addresses(l.RefID)
	return w.control(address)
}

// outcome is the result of an Acquire in the background.
type outcome struct {
	lease *Lease
	err   error
}

// acquire calls Acquire in the background.
func (w *world) acquire(ctx context.Context, spec Spec) <-chan outcome {
	result := make(chan outcome, 1)
	go func() { // ends with Acquire
		lease, err := w.m.Acquire(ctx, spec)
		result <- outcome{lease, err}
	}()
	return result
}

func userSpec(user string) Spec {
	return Spec{Namespace: "kyuubi", ShareLevel: User, Owner: user, LaunchUser: user, Subdomain: "default"}
}
