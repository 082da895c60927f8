// SPDX-License-Identifier: Apache-2.0

// Package embedded is the discovery of a single gateway: records of engines,
// sessions, tokens and disabled users in one bbolt file, which the gateway holds under
// an exclusive file lock. What a method returned for is on the disk.
// docs/decisions/0002-embedded-store.md says why bbolt.
package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// FileName is the name of the store's file below Options.Dir.
const FileName = "discovery.db"

const (
	lockWait = time.Second
	// batchWait is how long a write waits for others to share its fsync.
	batchWait = time.Millisecond
)

// Options say where a store is and how much it may hold. A zero limit means
// its default.
type Options struct {
	// Dir is made with mode 0700 if absent.
	Dir string
	// MaxSessions bounds the session records (default 100000).
	MaxSessions int
	// MaxEngines bounds the engine records (default 10000).
	MaxEngines int
	// MaxTokens bounds the token records (default 100000).
	MaxTokens int
}

func (o Options) withDefaults() Options {
	fill := func(limit *int, value int) {
		if *limit == 0 {
			*limit = value
		}
	}
	fill(&o.MaxSessions, 100_000)
	fill(&o.MaxEngines, 10_000)
	fill(&o.MaxTokens, 100_000)
	return o
}

// Store implements the interfaces of package discovery that one gateway needs. It is
// safe for concurrent use.
type Store struct {
	db      *bbolt.DB
	options Options
	locks   locks
}

// Open opens or makes the store in o.Dir. If another process holds it, Open
// fails within about a second and names the file and, where known, the process.
func Open(o Options) (*Store, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the data directory: %w", err)
	}
	path := filepath.Join(o.Dir, FileName)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait})
	if err != nil {
		return nil, openFault(path, err)
	}
	db.MaxBatchDelay = batchWait
	if err := db.Update(prepare); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot use the store %s: %w", path, err), db.Close())
	}
	return &Store{db: db, options: o.withDefaults()}, nil
}

func openFault(path string, err error) error {
	if errors.Is(err, bolterrors.ErrTimeout) {
		return fmt.Errorf("the store %s is in use by %s; one data directory serves one gateway: stop the other one, "+
			"or give this one a directory of its own: %w", path, holder(path), err)
	}
	for _, damage := range []error{bolterrors.ErrInvalid, bolterrors.ErrChecksum, bolterrors.ErrVersionMismatch} {
		if errors.Is(err, damage) {
			return fmt.Errorf("the store %s is damaged or not ours; move it away to start with an empty one "+
				"(sessions and engines of before are then unknown): %w", path, err)
		}
	}
	return fmt.Errorf("cannot open the store %s: %w", path, err)
}

// Close releases the file. Calling it again is no error.
func (s *Store) Close() error { return s.db.Close() }
