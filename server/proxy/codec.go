// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// Frame is one gRPC message as bytes. A received Frame holds a reference on
// grpc's buffers, which a send passes on; a Frame that is not sent must be
// dropped by Free.
type Frame struct {
	Data mem.BufferSlice
}

// Free gives the buffers back.
func (f *Frame) Free() {
	f.Data.Free()
	f.Data = nil
}

// Bytes returns the message in one piece, as a copy, and frees the frame.
func (f *Frame) Bytes() []byte {
	b := f.Data.Materialize()
	f.Free()
	return b
}

// codec carries Frames by reference and everything else as protobuf, so that
// ordinary services (health) can live on the same server.
type codec struct{}

// Codec is the codec both sides of the proxy must use.
func Codec() encoding.CodecV2 { return codec{} }

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case *Frame:
		data := m.Data
		m.Data = nil // ownership goes to grpc, which frees it after the send
		return data, nil
	case proto.Message:
		b, err := proto.Marshal(m)
		if err != nil {
			return nil, fmt.Errorf("encoding %T: %w", v, err)
		}
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	default:
		return nil, fmt.Errorf("cannot encode %T: neither a frame nor a protobuf message", v)
	}
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch m := v.(type) {
	case *Frame:
		data.Ref() // grpc frees its own reference when this returns
		m.Data = data
		return nil
	case proto.Message:
		return proto.Unmarshal(data.Materialize(), m)
	default:
		return fmt.Errorf("cannot decode into %T: neither a frame nor a protobuf message", v)
	}
}
