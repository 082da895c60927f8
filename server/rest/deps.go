// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"time"

	"roundhouse/auth"
	engines "roundhouse/engine"
)

// Sessions are the sessions of all gateways that share a store. A session is known by its
// user and its id together.
type Sessions interface {
	// Open makes a session with the options that the caller asks for; from is the
	// caller's address without the port.
	Open(ctx context.Context, caller auth.Identity, from string, configs map[string]string) (SessionView, error)
	// List returns the sessions of a user and those that the user opened for others,
	// or of everybody for "".
	List(user string) []SessionView
	// Get finds one of these; false for a session that is not open. With an error, which is the
	// caller's answer, another gateway may have it.
	Get(ctx context.Context, user, id string) (SessionView, bool, error)
	// Close ends a session; the reason is shown to its user.
	Close(ctx context.Context, user, id, reason string) error
}

// Engines are the engines of all gateways that share a store.
type Engines interface {
	Engines() []EngineView
	// CurrentFingerprints are, by the reference ids of engines, those of the
	// configuration that a launch of today would have, as far as they are known.
	CurrentFingerprints() map[string]string
	// Stop ends an engine, by force with kill; the reason is shown to the users
	// of its sessions.
	Stop(ctx context.Context, refID string, kill bool, reason string) error
	// Retire lets an engine drain: it takes no new session and ends with its last one.
	Retire(ctx context.Context, refID, reason string) error
}

// Registrar takes the calls of engines (engine/DESIGN.md, embedded discovery).
// Its errors are of class PERMISSION_DENIED (the registration is not what the
// launch expects), ErrEngineGone (the engine is not wanted any longer) or
// CONFLICT (sessions were just routed to it), else the engine tries again.
type Registrar interface {
	// VerifyCall checks the MAC of a call, in hex, over its method, URL path and
	// body.
	VerifyCall(refID, method, path string, body []byte, mac string) bool
	// Register takes or renews a registration; timeMs is the clock of the engine.
	Register(ctx context.Context, refID, path, node string, timeMs int64) (Welcome, error)
	// Deregister takes a registration back.
	Deregister(ctx context.Context, refID, path, reason, detail string) error
}

// Observer counts calls.
type Observer interface {
	// RESTCall is told of each call: the route as in the table, "none" for a
	// path without one, and the HTTP status.
	RESTCall(route string, status int)
}

// SessionView is a session as REST shows it. Unset times are zero.
type SessionView struct {
	ID   string
	User string
	// OpenedBy is who opened it: its user, or who acted for that one.
	OpenedBy string
	// Name is kyuubi.session.name.
	Name string
	// RemoteID is the engine's own id of the session.
	RemoteID      string
	ClientAddress string
	// Client is the client_type that the client sends.
	Client  string
	Options map[string]string
	// EngineID is the application id of the engine, EngineRef its reference id.
	EngineID   string
	EngineRef  string
	EngineName string
	EngineURL  string
	// Instance is the host:port of the Connect port of the gateway that opened it, or went on
	// with its opening.
	Instance string
	Opened   time.Time
	// LastAccess is the last call, and Operations counts the operations started so far: zero
	// and nil where only other gateways know.
	LastAccess time.Time
	Operations *int
	// Failure says why the session could not open, in a sentence.
	Failure string
}

// EngineView is an engine as REST shows it.
type EngineView struct {
	RefID      string
	Version    string
	User       string
	Type       string
	ShareLevel string
	Subdomain  string
	// Address is the host:port of its Connect service; empty until it registered.
	Address string
	// Path is the engine space in discovery.
	Path string
	// Attributes are the pairs of its registration.
	Attributes map[string]string
	// State is starting, running, draining or ended.
	State     string
	Sessions  int
	Submitted time.Time
	PID       int
	LogPath   string
	// AppState is what the resource manager calls the state of the application,
	// AppDiagnostic what it waits for; both are empty without one.
	AppState      string
	AppDiagnostic string
	// Queue is the place in the launch queue, 0 outside of it.
	Queue int
	// Fingerprint is that of the configuration that it was launched with; "" where it is
	// not known.
	Fingerprint string
	// Place tells the machine of its process from others.
	Place string
}

// shared says whether the engine is that of a group or of all users.
func (v EngineView) shared() bool { return engines.ShareLevel(v.ShareLevel).Shared() }

// Welcome answers a registration.
type Welcome struct {
	// WarmUp tells the engine to run a small query of its own.
	WarmUp bool
	// Heartbeat is how often the engine repeats its registration.
	Heartbeat time.Duration
}
