// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Bounds of what a store keeps.
const (
	// MaxKey is the most bytes of a user, an id or the path of an engine space.
	MaxKey = 1 << 10
	// MaxRecord is the most bytes of an encoded record.
	MaxRecord = 64 << 10
)

// CheckKey refuses with ErrInvalid what cannot be a part of a key: nothing, more than MaxKey
// bytes, a NUL.
func CheckKey(parts ...string) error {
	for _, part := range parts {
		if part == "" || len(part) > MaxKey || strings.Contains(part, "\x00") {
			return fmt.Errorf("%w: key part %.40q must have 1 to %d bytes and no NUL", ErrInvalid, part, MaxKey)
		}
	}
	return nil
}

// Encode is the text of a record as stores keep it; ErrInvalid if it is too large.
func Encode(record any) ([]byte, error) {
	text, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("discovery: encode: %w", err)
	}
	if len(text) > MaxRecord {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrInvalid, len(text), MaxRecord)
	}
	return text, nil
}

// Check refuses with ErrInvalid a node whose name would not read back as the same node.
func (n Node) Check() error {
	back, err := ParseNode(n.String())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if back.RefID != n.RefID || back.Version != n.Version || len(back.Attributes) != len(n.Attributes) {
		return fmt.Errorf("%w: node of engine %.40q has values that the format cannot carry", ErrInvalid, n.RefID)
	}
	return nil
}

// Replace returns ErrConflict if r cannot take the place of old: Opened tells sessions of one key
// apart, the engine of a session never changes, and an ended one keeps its end.
func (r SessionRecord) Replace(old SessionRecord) error {
	switch {
	case !r.Opened.Equal(old.Opened):
		return fmt.Errorf("%w: session %s of %s is another one", ErrConflict, r.SessionID, r.User)
	case old.EngineRef != "" && r.EngineRef != old.EngineRef:
		return fmt.Errorf("%w: session %s of %s is on engine %s, not %q", ErrConflict, r.SessionID, r.User, old.EngineRef, r.EngineRef)
	case old.Ended != nil && !r.endsAs(old):
		return fmt.Errorf("%w: session %s of %s has ended", ErrConflict, r.SessionID, r.User)
	}
	return nil
}

// Remove returns ErrConflict if old, which is stored, may not be deleted as r: it is of another session,
// or has another engine or end.
func (r SessionRecord) Remove(old SessionRecord) error {
	if !r.Opened.Equal(old.Opened) || r.EngineRef != old.EngineRef || !r.endsAs(old) {
		return fmt.Errorf("%w: session %s of %s has changed", ErrConflict, r.SessionID, r.User)
	}
	return nil
}

// endsAs says whether both live, or have the same end.
func (r SessionRecord) endsAs(old SessionRecord) bool {
	if r.Ended == nil || old.Ended == nil {
		return r.Ended == old.Ended
	}
	return r.Ended.At.Equal(old.Ended.At)
}

// Owned returns ErrConflict unless the record is of the gateway from.
func (r EngineRecord) Owned(from Owner) error {
	if r.Owner.Gateway != from.Gateway {
		return fmt.Errorf("%w: engine %s is of gateway %s, not of %s", ErrConflict, r.RefID, r.Owner.Gateway, from.Gateway)
	}
	return nil
}
