// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"go.etcd.io/bbolt"

	"roundhouse/discovery"
)

// The file has these buckets. The sequence number that bbolt keeps with each
// bucket counts the records of sessions, engines and tokens.
//
//	meta      schema -> version of this layout
//	sessions  user NUL session id -> JSON
//	engines   refID -> JSON
//	disabled  user -> JSON
//	tokens    id -> JSON, which has no token
var (
	bucketMeta     = []byte("meta")
	bucketSessions = []byte("sessions")
	bucketEngines  = []byte("engines")
	bucketDisabled = []byte("disabled")
	bucketTokens   = []byte("tokens")
	keySchema      = []byte("schema")
)

const (
	schemaVersion = "1"
	maxDisabled   = 100_000 // records of disabled users
	separator     = "\x00"
)

// prepare makes the buckets and refuses a layout that this program does not
// know.
func prepare(tx *bbolt.Tx) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	found := string(meta.Get(keySchema))
	if found != "" && found != schemaVersion {
		return fmt.Errorf("it has layout %q, this gateway knows %q; use the gateway version that wrote it", found, schemaVersion)
	}
	for _, name := range [][]byte{bucketSessions, bucketEngines, bucketTokens, bucketDisabled} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	if found == schemaVersion {
		return nil
	}
	return meta.Put(keySchema, []byte(schemaVersion))
}

// makeKey joins the parts of a key.
func makeKey(parts ...string) ([]byte, error) {
	if err := discovery.CheckKey(parts...); err != nil {
		return nil, err
	}
	return []byte(strings.Join(parts, separator)), nil
}

// putCounted stores record as JSON under key; limit bounds the bucket.
func (s *Store) putCounted(ctx context.Context, bucket, key []byte, limit int, record any) error {
	return s.putOver(ctx, bucket, key, limit, func([]byte) (any, error) { return record, nil })
}

// putOver stores what over makes of the record that is stored, nil if there is none.
func (s *Store) putOver(ctx context.Context, bucket, key []byte, limit int, over func(old []byte) (any, error)) error {
	return s.write(ctx, func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		old := b.Get(key)
		record, err := over(old)
		if err != nil {
			return err
		}
		value, err := discovery.Encode(record)
		if err != nil {
			return err
		}
		if old == nil {
			if err := grow(b, limit); err != nil {
				return err
			}
		}
		return b.Put(key, value)
	})
}

func grow(b *bbolt.Bucket, limit int) error {
	count := b.Sequence()
	if count >= uint64(limit) {
		return fmt.Errorf("%w: %d records", discovery.ErrFull, count)
	}
	return b.SetSequence(count + 1)
}

func (s *Store) deleteCounted(ctx context.Context, bucket, key []byte) error {
	return s.deleteIf(ctx, bucket, key, func([]byte) error { return nil })
}

// deleteIf deletes the record that is stored, if there is one and right has no error for it.
func (s *Store) deleteIf(ctx context.Context, bucket, key []byte, right func(old []byte) error) error {
	return s.write(ctx, func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		old := b.Get(key)
		if old == nil {
			return nil
		}
		if err := right(old); err != nil {
			return err
		}
		if err := b.SetSequence(b.Sequence() - 1); err != nil {
			return err
		}
		return b.Delete(key)
	})
}

// all decodes every record of a bucket, in the order of its keys.
func all[T any](ctx context.Context, s *Store, bucket []byte) ([]T, error) {
	var records []T
	err := s.read(ctx, func(tx *bbolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(key, value []byte) error {
			var r T
			if err := json.Unmarshal(value, &r); err != nil {
				return fmt.Errorf("discovery: record %q of %s: %w", bytes.ToValidUTF8(key, nil), bucket, err)
			}
			records = append(records, r)
			return nil
		})
	})
	return records, err
}

// write runs change in a transaction that is on the disk when write returns.
// change may run more than once.
func (s *Store) write(ctx context.Context, change func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.db.Batch(change)
}

func (s *Store) read(ctx context.Context, look func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.db.View(look)
}
