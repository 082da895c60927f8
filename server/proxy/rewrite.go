// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers that all request messages of the service share (Spark's
// base.proto; a test checks them on every request type).
const (
	fieldSessionID   = protowire.Number(1)
	fieldUserContext = protowire.Number(2)

	fieldUserID     = protowire.Number(1)
	fieldUserName   = protowire.Number(2)
	fieldExtensions = protowire.Number(999)
)

// ErrMalformed is the cause of every error about request bytes that are not a
// well-formed message.
var ErrMalformed = errors.New("malformed request message")

// Request is what the scan of a request's top level found. It refers to the
// scanned bytes.
type Request struct {
	// SessionID is the last session_id, as protobuf reads it.
	SessionID string
	// UserID is the user_id that the client claims: the last one counts.
	UserID string

	raw        []byte
	keep       []span // all of raw but the user_context fields
	extensions []byte // the extensions of all user_context fields, encoded
}

type span struct{ from, to int }

// Stamp is the identity that goes onto every message of a call.
type Stamp struct {
	UserID    string
	SessionID string
}

// Scan validates the whole top level of a request and finds what all requests
// share. The plan inside is not decoded.
func Scan(raw []byte) (Request, error) {
	r := Request{raw: raw}
	for at := 0; at < len(raw); {
		num, typ, val, n, err := nextField(raw[at:])
		if err != nil {
			return Request{}, fmt.Errorf("%w at byte %d: %w", ErrMalformed, at, err)
		}
		switch num {
		case fieldSessionID:
			err = r.readSessionID(typ, val)
		case fieldUserContext:
			err = r.readUserContext(typ, val)
		}
		if err != nil {
			return Request{}, fmt.Errorf("%w at byte %d: %w", ErrMalformed, at, err)
		}
		if num != fieldUserContext {
			r.retain(at, at+n)
		}
		at += n
	}
	return r, nil
}

// Stamped encodes the request with exactly one user_context, that of s (plus
// the extensions that the client sent), and session_id, both at the end, where
// no earlier field can override them.
func (r Request) Stamped(s Stamp) []byte {
	size := len(s.UserID)*2 + len(s.SessionID) + len(r.extensions) + 32
	for _, k := range r.keep {
		size += k.to - k.from
	}
	out := make([]byte, 0, size)
	for _, k := range r.keep {
		out = append(out, r.raw[k.from:k.to]...)
	}
	return appendStamp(out, s, r.extensions)
}

// ScanBytes calls visit for each top-level field with a length-delimited value.
// It serves readers of single fields. The error says that raw is not
// well-formed; what has passed Scan is.
func ScanBytes(raw []byte, visit func(num int, val []byte)) error {
	for len(raw) > 0 {
		num, typ, val, n, err := nextField(raw)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		if typ == protowire.BytesType {
			visit(int(num), val)
		}
		raw = raw[n:]
	}
	return nil
}

// AppendString adds a string field at the end of an encoded message, where it
// overrides earlier ones.
func AppendString(raw []byte, num int, val string) []byte {
	raw = protowire.AppendTag(raw, protowire.Number(num), protowire.BytesType)
	return protowire.AppendString(raw, val)
}

func appendStamp(out []byte, s Stamp, extensions []byte) []byte {
	ctx := make([]byte, 0, len(s.UserID)*2+len(extensions)+8)
	ctx = AppendString(ctx, int(fieldUserID), s.UserID)
	ctx = AppendString(ctx, int(fieldUserName), s.UserID)
	ctx = append(ctx, extensions...)
	out = protowire.AppendTag(out, fieldUserContext, protowire.BytesType)
	out = protowire.AppendBytes(out, ctx)
	return AppendString(out, int(fieldSessionID), s.SessionID)
}

func (r *Request) retain(from, to int) {
	if last := len(r.keep) - 1; last >= 0 && r.keep[last].to == from {
		r.keep[last].to = to
		return
	}
	r.keep = append(r.keep, span{from, to})
}

func (r *Request) readSessionID(typ protowire.Type, val []byte) error {
	s, err := text("session_id", typ, val)
	r.SessionID = s
	return err
}

// readUserContext merges one more user_context as protobuf does: the last
// user_id wins, extensions add up.
func (r *Request) readUserContext(typ protowire.Type, val []byte) error {
	if typ != protowire.BytesType {
		return fmt.Errorf("user_context has wire type %d", typ)
	}
	for at := 0; at < len(val); {
		num, typ, v, n, err := nextField(val[at:])
		if err != nil {
			return fmt.Errorf("user_context: %w", err)
		}
		switch num {
		case fieldUserID:
			if r.UserID, err = text("user_id", typ, v); err != nil {
				return err
			}
		case fieldExtensions:
			if typ != protowire.BytesType {
				return fmt.Errorf("extensions has wire type %d", typ)
			}
			r.extensions = append(r.extensions, val[at:at+n]...)
		}
		at += n
	}
	return nil
}

func text(name string, typ protowire.Type, val []byte) (string, error) {
	if typ != protowire.BytesType {
		return "", fmt.Errorf("%s has wire type %d", name, typ)
	}
	if !utf8.Valid(val) {
		return "", fmt.Errorf("%s is not UTF-8", name)
	}
	return string(val), nil
}

// nextField reads one field: val is the content of a length-delimited one, n
// the size of the whole field. Groups are refused: no Spark Connect message has
// one, and they could hide what follows. So are field numbers above the largest
// one: readers that keep 32 bits of a tag, as Java's does, see another field.
func nextField(b []byte) (num protowire.Number, typ protowire.Type, val []byte, n int, err error) {
	num, typ, n = protowire.ConsumeTag(b)
	if n < 0 {
		return 0, 0, nil, 0, protowire.ParseError(n)
	}
	if !num.IsValid() {
		return 0, 0, nil, 0, fmt.Errorf("field number %d is too large", num)
	}
	if typ == protowire.StartGroupType || typ == protowire.EndGroupType {
		return 0, 0, nil, 0, fmt.Errorf("field %d is a group", num)
	}
	m := protowire.ConsumeFieldValue(num, typ, b[n:])
	if m < 0 {
		return 0, 0, nil, 0, protowire.ParseError(m)
	}
	if typ == protowire.BytesType {
		val, _ = protowire.ConsumeBytes(b[n:])
	}
	return num, typ, val, n + m, nil
}

// Raw is the request as received.
func (r Request) Raw() []byte { return r.raw }
