// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that records
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// recorder writes down what reaches a driver, for tests of hostile input
// (spark.fake.record=<folder>): launch-<ref id>.json once, and
// calls-<ref id>.jsonl with a line for each request message.
type recorder struct {
	base encoding.CodecV2
	mu   struct {
		sync.Mutex
		file *os.File
		raw  map[any][]byte // bytes of messages decoded, until their call is known
	}
}

// launched is what spark-submit was given. The token of the Connect port is in
// none of it.
type launched struct {
	Args       []string          `json:"args"`
	Env        []string          `json:"env"`
	Dir        string            `json:"dir"`
	Properties map[string]string `json:"properties"`
}

// recorded is one request message. A message that cannot be decoded has an
// error and no header.
type recorded struct {
	Method string              `json:"method"`
	Header map[string][]string `json:"header,omitempty"`
	Raw    []byte              `json:"raw"`
	Error  string              `json:"error,omitempty"`
}

// newRecorder records the launch; the file of calls stays open with the process.
func newRecorder(dir, refID string, args []string, props map[string]string) (*recorder, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	text, err := json.Marshal(launched{Args: append([]string{os.Args[0]}, args...), Env: os.Environ(), Dir: cwd, Properties: props})
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "launch-"+refID+".json"), text, 0o600); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	r := &recorder{base: encoding.GetCodecV2("proto")}
	r.mu.raw = map[any][]byte{}
	r.mu.file, err = os.OpenFile(filepath.Join(dir, "calls-"+refID+".jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return r, nil
}

// options make a server of the fake engine record.
func (r *recorder) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(r), grpc.ChainUnaryInterceptor(r.unary), grpc.ChainStreamInterceptor(r.stream),
		grpc.UnknownServiceHandler(r.unknown),
	}
}

func (r *recorder) write(line recorded) {
	text, err := json.Marshal(line)
	if err != nil {
		text = []byte(fmt.Sprintf(`{"error":%q}`, err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = r.mu.file.Write(append(text, '\n')) // a test that finds nothing fails
}

// saw writes a message whose call is known.
func (r *recorder) saw(ctx context.Context, method string, m any) {
	r.mu.Lock()
	raw := r.mu.raw[m]
	delete(r.mu.raw, m)
	r.mu.Unlock()
	header, _ := metadata.FromIncomingContext(ctx)
	r.write(recorded{Method: method[strings.LastIndexByte(method, '/')+1:], Header: header, Raw: raw})
}

// Name implements encoding.CodecV2.
func (r *recorder) Name() string { return r.base.Name() }

// Marshal implements encoding.CodecV2.
func (r *recorder) Marshal(v any) (mem.BufferSlice, error) { return r.base.Marshal(v) }

// Unmarshal implements encoding.CodecV2.
func (r *recorder) Unmarshal(data mem.BufferSlice, v any) error {
	raw := data.Materialize()
	if err := r.base.Unmarshal(data, v); err != nil {
		r.write(recorded{Method: fmt.Sprintf("%T", v), Raw: raw, Error: err.Error()})
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.raw[v] = raw
	return nil
}

func (r *recorder) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	r.saw(ctx, info.FullMethod, req)
	return next(ctx, req)
}

func (r *recorder) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return next(srv, &recordedStream{ServerStream: s, to: r, method: info.FullMethod})
}

// unknown answers methods that a later Spark may have.
func (r *recorder) unknown(_ any, s grpc.ServerStream) error {
	for {
		if err := s.RecvMsg(&emptypb.Empty{}); err != nil {
			return status.Error(codes.Unimplemented, "the fake engine has no such method")
		}
	}
}

// recordedStream records each message that it receives.
type recordedStream struct {
	grpc.ServerStream
	to     *recorder
	method string
}

// RecvMsg implements grpc.ServerStream.
func (s *recordedStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil {
		s.to.saw(s.Context(), s.method, m)
	}
	return err
}
