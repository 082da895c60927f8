// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"roundhouse/discovery"
	"roundhouse/engine/control"
	"roundhouse/engine/local"
	"roundhouse/internal/secret"
)

// Options are the parts and settings of a Manager.
type Options struct {
	// Secrets are the cluster secret, from which every engine's keys are derived,
	// and those before it: engines of earlier gateways may have keys of them.
	Secrets  [][]byte
	Launcher Launcher
	Files    Files
	Store    discovery.EngineStore
	Log      *slog.Logger

	// Self is this gateway process, by which others know its launches.
	Self discovery.Owner
	// Cluster is what gateways share that launch engines together; nil for a gateway
	// that is alone. Alive, needed with it, says whether a gateway lives.
	Cluster Cluster
	Alive   func(discovery.Owner) bool
	// Fingerprint tells the configuration that an engine of spec would be launched
	// with now from others. Optional.
	Fingerprint func(spec Spec) (string, error)

	// LaunchLimit is how many launches run at once (kyuubi.server.limit.engine.startup).
	LaunchLimit int
	// UserLimit is how many engines one user may have; 0 means any number.
	UserLimit int
	// GroupLimit is how many engines the users of one primary group may have
	// together; 0 means any number. Groups is needed with it.
	GroupLimit int
	Groups     Groups
	// InitializeTimeout is the time from the spawn to the registration.
	InitializeTimeout time.Duration
	// Linger is how long a launch goes on that nobody waits for.
	Linger time.Duration
	// DestroyTimeout is the time between SIGTERM and SIGKILL.
	DestroyTimeout time.Duration
	// Heartbeat is how often an engine renews its registration.
	Heartbeat time.Duration
	// LogTimeout is how long the log of an ended engine is kept.
	LogTimeout time.Duration
	// MaxMessage is the largest message in bytes that calls to engines carry.
	MaxMessage int

	// Track returns how to look at the application of an engine, nil when there
	// is no resource manager to ask. An error says what is wrong with the settings
	// of the engine. Optional.
	Track func(spec Spec, refID string) (Look, error)

	// OnSessionClosed is told of sessions that a driver closed: reason is idle,
	// released or expired. It returns false to get a census, because it cannot
	// tell which session is meant. It must not block for long. Optional.
	OnSessionClosed func(refID, user, sessionID, reason string) bool
	// OnCensus is told what a driver knows of sessions, after events of it were
	// missed. Optional.
	OnCensus func(refID string, c Census)
	// OnSpawn is told of each launch that leaves the queue. Optional.
	OnSpawn func()
	// OnLaunch is told of each launch that ended: how long it took since the
	// spawn, or the error of its waiters. Optional.
	OnLaunch func(took time.Duration, err error)
	// OnStopping returns when all gateways can know why the sessions of an engine have ended
	// whose process is ended next. Optional.
	OnStopping func(refID string)
	// OnChange is told of each engine that is there, that did not come, or that
	// ended. It must not block for long. Optional.
	OnChange func(Change)
	// OnKnown is told of each engine that another gateway launched, once it can be
	// used here. It must not block for long. Optional.
	OnKnown func(refID string)
	// OnForged is told of nodes in an engine space that no engine signed. Optional.
	OnForged func(path string)
	// DialControl makes the client of a control endpoint. Optional.
	DialControl func(at Endpoint, key string) Control
}

// What became of an engine.
const (
	ChangeLaunched = "launched"
	ChangeFailed   = "failed"
	ChangeEnded    = "ended"
)

// Change is what became of an engine, one of the constants, and why it failed or
// ended.
type Change struct {
	What, RefID, User string
	Why               error
}

// Launcher starts drivers and finds them again.
type Launcher interface {
	// WorkDir is the folder of an engine. It need not exist.
	WorkDir(launchUser, refID string) string
	// Start writes the engine's files and starts its driver. An error is a
	// whole sentence for people.
	Start(ctx context.Context, l Launch) (Process, error)
	// Open finds the process of an earlier gateway that runs for the engine of
	// workDir, also if the id is zero because that gateway ended before it could
	// record it; local.ErrGone if there is none.
	Open(id local.Identity, workDir string) (Process, error)
}

// Files looks after the folders of engines.
type Files interface {
	// DropSecrets removes what only the start of a driver needs.
	DropSecrets(workDir string) error
	// Sweep removes all but the log.
	Sweep(workDir string) error
	// Expire removes what is left of engines that are not in live (their ref
	// ids) and whose log was last written before the given time.
	Expire(before time.Time, live map[string]bool) error
	// Reason says in the words of the log why a driver did not start.
	Reason(workDir string, hide secret.Masker) string
	// Tail returns the last lines of the log; none if there is no log.
	Tail(workDir string, lines int, hide secret.Masker) []string
}

// LogFile is the name of an engine's log in its folder.
const LogFile = "engine.log"

// Process is a driver, or the spark-submit that started it.
type Process interface {
	Identity() local.Identity
	// Done is closed when the process has ended.
	Done() <-chan struct{}
	// Status says how it ended.
	Status() string
	// End ends the process group, gently for as long as grace.
	End(ctx context.Context, grace time.Duration) error
	// Release stops watching; the process goes on.
	Release()
}

// Control is the plugin's control endpoint.
type Control interface {
	Status(ctx context.Context) (control.Status, error)
	Events(ctx context.Context, after int64, wait time.Duration) (control.Events, error)
	// Order gives one of the orders; the reason is for people.
	Order(ctx context.Context, order, reason string) error
	// Hold keeps the driver from stopping as unused or idle for so long, or until the
	// next session.
	Hold(ctx context.Context, d time.Duration) error
	Close()
}

// The orders that a driver takes.
const (
	orderStop   = control.OrderStop
	orderDrain  = control.OrderDrain
	orderWarmUp = control.OrderWarmUp
)

// Launch is what a Launcher needs to know.
type Launch struct {
	Spec      Spec
	RefID     string
	WorkDir   string
	Keys      Keys
	Submitted time.Time
	// Timeout is how long after Submitted the driver must have registered.
	Timeout time.Duration
	// Fingerprint is that of Options.Fingerprint.
	Fingerprint string
}

// Keys are the secrets of one engine, as hex text. They print as asterisks.
type Keys struct {
	RPC      string // bearer of the Connect port
	Register string // MAC of calls of the plugin
	Control  string // bearer of the control endpoint
	Store    string // with which the engine creates its node, where gateways share a store
	Relay    string // seed of the key by which the engine's relay knows gateways
}

// String hides the keys.
func (Keys) String() string { return secret.Hidden }

// GoString hides the keys.
func (Keys) GoString() string { return secret.Hidden }

// LogValue hides the keys.
func (Keys) LogValue() slog.Value { return slog.StringValue(secret.Hidden) }

func keysOf(cluster []byte, refID string) Keys {
	return Keys{
		RPC:      secret.Derive(cluster, secret.LabelRPC, refID),
		Register: secret.Derive(cluster, secret.LabelRegister, refID),
		Control:  secret.Derive(cluster, secret.LabelControl, refID),
		Store:    secret.Derive(cluster, secret.LabelZooKeeper, refID),
		Relay:    secret.Derive(cluster, secret.LabelRelay, refID),
	}
}

// keysThat finds the keys of an engine by what they fit: those of its driver where
// this gateway knows them, else of any of the secrets.
func (m *Manager) keysThat(refID string, fit func(Keys) bool) (Keys, bool) {
	m.mu.Lock()
	e, l := m.mu.engines[refID], m.mu.starting[refID]
	m.mu.Unlock()
	secrets := m.opts.Secrets
	if l != nil && !l.inherited {
		secrets = secrets[:1]
	}
	for _, cluster := range secrets {
		keys := keysOf(cluster, refID)
		if (e == nil || e.keys == keys) && fit(keys) {
			return keys, true
		}
	}
	return Keys{}, false
}

// masker hides all keys that an engine can have.
func (m *Manager) masker(refID string) secret.Masker {
	var all []string
	for _, cluster := range m.opts.Secrets {
		keys := keysOf(cluster, refID)
		all = append(all, keys.RPC, keys.Register, keys.Control, keys.Store, keys.Relay)
	}
	return secret.Mask(all...)
}

func (o *Options) complete() error {
	switch {
	case len(o.Secrets) == 0 || len(o.Secrets[0]) == 0:
		return errors.New("engine: no cluster secret")
	case o.Launcher == nil || o.Files == nil || o.Store == nil || o.Log == nil:
		return errors.New("engine: a part is missing: Launcher, Files, Store or Log")
	case o.LaunchLimit < 1:
		return fmt.Errorf("engine: the launch limit is %d; at least 1 is needed", o.LaunchLimit)
	case o.Cluster != nil && (o.Alive == nil || o.Self.Gateway == ""):
		return errors.New("engine: a cluster needs Self and Alive")
	case o.GroupLimit > 0 && o.Groups == nil:
		return errors.New("engine: a limit per group needs Groups")
	case o.InitializeTimeout <= 0 || o.Heartbeat <= 0 || o.DestroyTimeout <= 0 || o.MaxMessage <= 0:
		return errors.New("engine: a timeout or the message size is not positive")
	}
	if o.DialControl == nil {
		o.DialControl = func(at Endpoint, key string) Control { return control.NewOver(at.Address, key, at.TLS, at.dial) }
	}
	if o.Track == nil {
		o.Track = func(Spec, string) (Look, error) { return nil, nil }
	}
	if o.OnSessionClosed == nil {
		o.OnSessionClosed = func(string, string, string, string) bool { return true }
	}
	if o.OnCensus == nil {
		o.OnCensus = func(string, Census) {}
	}
	if o.Fingerprint == nil {
		o.Fingerprint = func(Spec) (string, error) { return "", nil }
	}
	if o.OnKnown == nil {
		o.OnKnown = func(string) {}
	}
	if o.OnForged == nil {
		o.OnForged = func(string) {}
	}
	if o.OnStopping == nil {
		o.OnStopping = func(string) {}
	}
	if o.OnChange == nil {
		o.OnChange = func(Change) {}
	}
	if o.OnSpawn == nil {
		o.OnSpawn = func() {}
	}
	if o.OnLaunch == nil {
		o.OnLaunch = func(time.Duration, error) {}
	}
	return nil
}
