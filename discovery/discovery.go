// SPDX-License-Identifier: Apache-2.0

// Package discovery is where gateways and engines find each other, and where
// the records live that any gateway needs to route any session (design
// section 5). Each need is an interface of its own; the embedded store
// implements those that one gateway needs, and discoverytest holds every
// implementation to the same behaviour.
package discovery

import (
	"context"
	"errors"
	"time"
)

// ErrNotFound is returned when a record does not exist.
var ErrNotFound = errors.New("discovery: not found")

// ErrExists is returned for a record that is there already.
var ErrExists = errors.New("discovery: the record exists")

// ErrConflict is returned for a record that contradicts the one that is there: it is
// of another session of its key, or of the same one on another engine or with another end.
var ErrConflict = errors.New("discovery: the record contradicts the stored one")

// ErrAway is returned while the store cannot be reached. What is known stays
// known; what was to be written has to be written again.
var ErrAway = errors.New("discovery: the store cannot be reached")

// ErrFull is returned when a store holds as many records as it may.
var ErrFull = errors.New("discovery: the store is full")

// ErrInvalid is returned for a record that cannot be kept: without its key, with
// a NUL in it, or too large.
var ErrInvalid = errors.New("discovery: invalid record")

// Finder reads engine nodes. Path is the engine space, such as
// /kyuubi_1_USER_SPARK_CONNECT/alice/default.
type Finder interface {
	// Find returns the nodes below path, oldest first.
	Find(ctx context.Context, path string) ([]Node, error)
}

// Watcher follows an engine space.
type Watcher interface {
	// Watch sends the full list of nodes below path at once and after each
	// change, until ctx ends; then it closes the channel. Slow receivers see
	// the newest list, not every list.
	Watch(ctx context.Context, path string) (<-chan []Node, error)
}

// Locker serialises what several gateways decide.
type Locker interface {
	// Lock waits for the lock of path or for ctx. When it returns, all that earlier
	// holders wrote is known here: the followers have been told. Unlock gives the lock back; it
	// may be called more than once, and answers ErrConflict if it may have been lost
	// before: somebody else may have had it meanwhile.
	Lock(ctx context.Context, path string) (unlock func() error, err error)
}

// SessionRecord is the durable route of a session: one node each, no write per
// call.
type SessionRecord struct {
	User string `json:"user"`
	// RealUser is who opened the session for User; "" is User.
	RealUser  string `json:"realUser,omitempty"`
	SessionID string `json:"sessionId"`
	// Gateway is the id of the gateway process that opened the session.
	Gateway string `json:"gateway,omitempty"`
	// EngineRef is "" while the session waits for its engine, and never changes then.
	EngineRef string `json:"engineRef,omitempty"`
	// Spec says which engine the session is to get; nil in records of earlier versions.
	Spec    *EngineSpec       `json:"spec,omitempty"`
	Options map[string]string `json:"options,omitempty"`
	// Runtime are the options that are set in the engine before the first call.
	// Some hold secrets of clients, so they are sealed by package session.
	Runtime []byte `json:"sealedRuntime,omitempty"`
	// Unused says that the session was opened ahead of its client, who has sent no
	// call yet.
	Unused  bool      `json:"unused,omitempty"`
	Client  string    `json:"client,omitempty"`
	Address string    `json:"address,omitempty"`
	Name    string    `json:"name,omitempty"`
	Opened  time.Time `json:"opened"`
	// Ended makes the record a tombstone.
	Ended *SessionEnd `json:"ended,omitempty"`
}

// SessionEnd is how a session ended.
type SessionEnd struct {
	// Cause is a word of package session.
	Cause string    `json:"cause"`
	Why   string    `json:"why,omitempty"`
	At    time.Time `json:"at"`
}

// EngineSpec is an engine.Spec in a record.
type EngineSpec struct {
	ShareLevel string            `json:"shareLevel"`
	Owner      string            `json:"owner"`
	LaunchUser string            `json:"launchUser"`
	Subdomain  string            `json:"subdomain"`
	Options    map[string]string `json:"options,omitempty"`
	Python     string            `json:"python,omitempty"`
}

// SessionStore keeps session records. A record that Add or Put returned for is
// durable.
type SessionStore interface {
	// AddSession creates the record; ErrExists if there is one of (user, session id).
	AddSession(ctx context.Context, r SessionRecord) error
	// PutSession creates or replaces the record; ErrConflict if it is of another session (Opened),
	// or if that would give the session another engine or another end, or bring back one that has ended.
	PutSession(ctx context.Context, r SessionRecord) error
	// GetSession returns ErrNotFound for an unknown (user, session id). It finds what any
	// gateway wrote, also before followers are told.
	GetSession(ctx context.Context, user, sessionID string) (SessionRecord, error)
	// DeleteSession removes the record of r as r has it; ErrConflict if it is of another session (Opened)
	// by now, or has another engine or end. Of an absent record it is no error.
	DeleteSession(ctx context.Context, r SessionRecord) error
	Sessions(ctx context.Context) ([]SessionRecord, error)
}

// EngineRecord is what a gateway must know to adopt or end an engine that
// another gateway process launched.
type EngineRecord struct {
	RefID      string            `json:"refId"`
	Path       string            `json:"path"`
	User       string            `json:"user"`
	ShareLevel string            `json:"shareLevel"`
	Subdomain  string            `json:"subdomain"`
	Options    map[string]string `json:"options,omitempty"`
	// Session is the one session that a CONNECTION engine is for.
	Session string `json:"session,omitempty"`
	// Group is the primary group of User where it is known; Python the interpreter of the
	// engine's workers.
	Group  string `json:"group,omitempty"`
	Python string `json:"python,omitempty"`
	// Fingerprint tells the configuration that the engine was launched with from others.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Owner is the gateway that launches the engine. The process runs at the owner's place.
	Owner Owner `json:"owner,omitzero"`
	// PID and StartTime (clock ticks since boot, /proc/PID/stat field 22)
	// identify the local process; both are 0 before the spawn.
	PID       int       `json:"pid,omitempty"`
	StartTime uint64    `json:"startTime,omitempty"`
	WorkDir   string    `json:"workDir,omitempty"`
	Submitted time.Time `json:"submitted"`
	// Node is the registration as last verified, empty before it.
	Node string `json:"node,omitempty"`
}

// EngineStore keeps engine records, from before the spawn to after the end. A
// record has one owner at a time, and only the owner replaces it.
type EngineStore interface {
	// AddEngine creates the record; ErrExists if there is one of r.RefID.
	AddEngine(ctx context.Context, r EngineRecord) error
	// PutEngine replaces the record; ErrNotFound if there is none, ErrConflict if it has
	// another owner by now.
	PutEngine(ctx context.Context, r EngineRecord) error
	// TakeEngine replaces the record of the gateway from; the errors are those of PutEngine.
	TakeEngine(ctx context.Context, r EngineRecord, from Owner) error
	// DeleteEngine of an absent record is no error.
	DeleteEngine(ctx context.Context, refID string) error
	Engines(ctx context.Context) ([]EngineRecord, error)
}

// TokenRecord is what is kept of a token that a gateway issued, never the token
// itself. Its meaning is that of package auth/issue.
type TokenRecord struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	Name      string    `json:"name,omitempty"`
	Hash      string    `json:"hash"`
	Method    string    `json:"method,omitempty"`
	Scope     []string  `json:"scope,omitempty"`
	Parent    string    `json:"parent,omitempty"`
	By        string    `json:"by,omitempty"`
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires"`
	Last      time.Time `json:"last"`
	SlidUntil time.Time `json:"slidUntil,omitzero"`
	Revoked   time.Time `json:"revoked,omitzero"`
	Used      time.Time `json:"used,omitzero"`
}

// TokenStore keeps token records. A record that PutToken returned for is
// durable.
type TokenStore interface {
	// PutToken creates or replaces the record. A Revoked that is stored stays, whatever r
	// says: another gateway may have revoked the token meanwhile.
	PutToken(ctx context.Context, r TokenRecord) error
	// GetToken returns ErrNotFound for an unknown id. It finds what any gateway's PutToken
	// returned for, also before followers are told.
	GetToken(ctx context.Context, id string) (TokenRecord, error)
	// DeleteToken of an absent record is no error.
	DeleteToken(ctx context.Context, id string) error
	Tokens(ctx context.Context) ([]TokenRecord, error)
}

// DisabledUser says that a user may not use any gateway, until an administrator
// takes it back.
type DisabledUser struct {
	User string `json:"user"`
	// By is the administrator who said so.
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
}

// DisabledStore keeps the records of disabled users. What Put and Delete
// returned for is durable.
type DisabledStore interface {
	// PutDisabled creates or replaces the record of r.User.
	PutDisabled(ctx context.Context, r DisabledUser) error
	// DeleteDisabled of an absent record is no error.
	DeleteDisabled(ctx context.Context, user string) error
	// Disabled returns all, by user.
	Disabled(ctx context.Context) ([]DisabledUser, error)
}
