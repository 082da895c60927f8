// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"time"
)

// Told takes in one record of a store, or that the record with its key is gone. It must
// not block: the next one waits for it.
type Told[R any] func(r R, gone bool)

// SessionFollower tells of sessions as gateways write them: each Follow calls told, one
// call at a time, with all records that there are and then with each that any
// gateway, this one too, writes or deletes, until ctx ends. Only the key of a gone record is
// set. Only the newest state of a record counts: those between may be left out. A store that only one
// gateway writes to tells nothing and waits for ctx.
type SessionFollower interface {
	FollowSessions(ctx context.Context, told Told[SessionRecord]) error
}

// EngineFollower tells of engines as SessionFollower does of sessions.
type EngineFollower interface {
	FollowEngines(ctx context.Context, told Told[EngineRecord]) error
}

// TokenFollower tells of tokens as SessionFollower does of sessions.
type TokenFollower interface {
	FollowTokens(ctx context.Context, told Told[TokenRecord]) error
}

// DisabledFollower tells of disabled users as SessionFollower does of sessions.
type DisabledFollower interface {
	FollowDisabled(ctx context.Context, told Told[DisabledUser]) error
}

// Owner is a gateway process.
type Owner struct {
	// Gateway is the id of the process, new with each start.
	Gateway string `json:"gateway,omitempty"`
	// Place tells machines, and containers on them, apart (process.Place).
	Place string `json:"place,omitempty"`
	// PID and Start (process.Info) are good at Place.
	PID   int    `json:"pid,omitempty"`
	Start uint64 `json:"start,omitempty"`
}

// Gateway is a gateway that serves.
type Gateway struct {
	Owner
	// Address and REST are the host:port of its two doors.
	Address, REST string
	// Version is that of the program.
	Version string
	// Config tells its configuration of engines from those of other gateways.
	Config string
	// Since is when it came.
	Since time.Time
}

// Gateways knows the gateways of the cluster.
type Gateways interface {
	// Join makes g known until Leave, the end of its process or that of the store.
	Join(ctx context.Context, g Gateway) error
	Leave(ctx context.Context) error
	// Gateways are those that are known, oldest first. It answers from memory.
	Gateways() []Gateway
}

// Credential lets one engine create its node.
type Credential struct {
	RefID string
	// Key is the hex text of the engine's key of label secret.LabelZooKeeper.
	Key string
}

// Spaces makes and removes engine spaces, which nobody but gateways and the engines
// named may write to.
type Spaces interface {
	// OpenSpace makes the space if it is not there. The engines of these credentials, and
	// no others, may create nodes in it from now on.
	OpenSpace(ctx context.Context, path string, engines []Credential) error
	// CloseSpace removes the space unless there are nodes in it.
	CloseSpace(ctx context.Context, path string) error
	// Spaces are the paths of all engine spaces.
	Spaces(ctx context.Context) ([]string, error)
	// SweepSpace removes what is in the space and no node, or none that good names, and
	// tells how much that was.
	SweepSpace(ctx context.Context, path string, good func(Node) bool) (removed int, err error)
}
