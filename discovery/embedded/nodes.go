// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"roundhouse/discovery"
)

// Register creates or replaces the node of n.RefID below path. A new node gets
// the next sequence number, a replaced one keeps its own, so that an engine
// which renews its registration keeps its age. A renewal that changes nothing
// writes nothing.
func (s *Store) Register(ctx context.Context, path string, n discovery.Node) error {
	key, err := makeKey(path, n.RefID)
	if err != nil {
		return err
	}
	if err := n.Check(); err != nil {
		return err
	}
	same, err := s.hasNode(ctx, key, n)
	if err != nil || same {
		return err
	}
	err = s.write(ctx, func(tx *bbolt.Tx) error { return s.putNode(tx.Bucket(bucketNodes), key, n) })
	if err == nil {
		s.watches.changed(path)
	}
	return err
}

func (s *Store) hasNode(ctx context.Context, key []byte, n discovery.Node) (same bool, err error) {
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		name := tx.Bucket(bucketNodes).Get(key)
		if name == nil {
			return nil
		}
		stored, err := discovery.ParseNode(string(name))
		n.Sequence = stored.Sequence
		same = n.String() == string(name)
		return err
	})
	return same, err
}

func (s *Store) putNode(b *bbolt.Bucket, key []byte, n discovery.Node) error {
	if name := b.Get(key); name != nil {
		stored, err := discovery.ParseNode(string(name))
		if err != nil {
			return err
		}
		n.Sequence = stored.Sequence
		return b.Put(key, []byte(n.String()))
	}
	if count := b.Stats().KeyN; count >= s.options.MaxNodes {
		return fmt.Errorf("%w: %d nodes", discovery.ErrFull, count)
	}
	sequence, err := b.NextSequence()
	if err != nil {
		return err
	}
	n.Sequence = int64(sequence)
	return b.Put(key, []byte(n.String()))
}

// Deregister removes the node of refID below path if there is one.
func (s *Store) Deregister(ctx context.Context, path, refID string) error {
	key, err := makeKey(path, refID)
	if err != nil {
		return err
	}
	removed := false
	err = s.write(ctx, func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketNodes)
		removed = b.Get(key) != nil
		return b.Delete(key)
	})
	if err == nil && removed {
		s.watches.changed(path)
	}
	return err
}

// Find returns the nodes below path, oldest first.
func (s *Store) Find(ctx context.Context, path string) ([]discovery.Node, error) {
	var nodes []discovery.Node
	prefix, err := makeKey(path)
	if err != nil {
		return nil, err
	}
	prefix = append(prefix, separator...)
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(bucketNodes).Cursor()
		for key, name := cursor.Seek(prefix); bytes.HasPrefix(key, prefix); key, name = cursor.Next() {
			n, err := discovery.ParseNode(string(name))
			if err != nil {
				return err
			}
			nodes = append(nodes, n)
		}
		return nil
	})
	slices.SortFunc(nodes, func(a, b discovery.Node) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return nodes, err
}
