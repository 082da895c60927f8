// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"fmt"
	"path"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"roundhouse/server/proxy"
)

// The test-only route for grpc.testing.TestService. The gateway carries Connect
// calls only, so the client side of the route gives each call the name of a
// Connect method of its shape and puts its messages into field 3 of a request
// (toGateway); the Director sends it on over a connection that undoes both
// (fromGateway). Front door, proxy, metadata, errors and responses are the
// product's and unchanged.

const (
	testService  = "/grpc.testing.TestService/"
	routeSession = "00112233-4455-6677-8899-aabbccddeeff"
	payloadField = 3
	openingField = 4
)

// shapes names the Connect method that carries each test method; those without
// a row go by their own names, through the handler of unknown methods.
var shapes = map[string]string{
	"EmptyCall": "Config", "UnaryCall": "AnalyzePlan", "StreamingOutputCall": "ExecutePlan", "StreamingInputCall": "AddArtifacts",
}

func toConnect(method string) string {
	name, ok := strings.CutPrefix(method, testService)
	if !ok {
		return method // another service: the gateway's own answer
	}
	if shape := shapes[name]; shape != "" {
		name = shape
	}
	return "/" + proxy.Service + "/" + name
}

func fromConnect(method string) string {
	name := path.Base(method)
	for test, shape := range shapes {
		if shape == name {
			return testService + test
		}
	}
	return testService + name
}

// opening is a message that says nothing but where its stream goes.
type opening struct{}

// envelope puts requests into a request of the gateway; replies come bare.
type envelope struct{}

func (envelope) Name() string { return "proto" }

func (envelope) Marshal(v any) (mem.BufferSlice, error) {
	out := proxy.AppendString(nil, 1, routeSession)
	if v == (opening{}) {
		return mem.BufferSlice{mem.SliceBuffer(proxy.AppendString(out, openingField, ""))}, nil
	}
	raw, err := proto.Marshal(v.(proto.Message))
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", v, err)
	}
	return mem.BufferSlice{mem.SliceBuffer(proxy.AppendString(out, payloadField, string(raw)))}, nil
}

func (envelope) Unmarshal(data mem.BufferSlice, v any) error {
	return proto.Unmarshal(data.Materialize(), v.(proto.Message))
}

// toGateway is the client side of the route.
type toGateway struct{ *grpc.ClientConn }

func dialGateway(address string) (toGateway, error) {
	cc, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(envelope{})))
	return toGateway{cc}, err
}

func (c toGateway) Invoke(ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error {
	return c.ClientConn.Invoke(ctx, toConnect(method), in, out, opts...)
}

func (c toGateway) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := c.ClientConn.NewStream(ctx, desc, toConnect(method), opts...)
	if err == nil && desc.ClientStreams {
		// The gateway routes by the first message, and a stream of the suite may
		// have none. An error shows in RecvMsg.
		_ = s.SendMsg(opening{})
	}
	return s, err
}

// fromGateway is the engine side of the route.
type fromGateway struct{ to grpc.ClientConnInterface }

func (c fromGateway) Invoke(ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error {
	data, _ := payload(in)
	return c.to.Invoke(ctx, fromConnect(method), &proxy.Frame{Data: data}, out, opts...)
}

func (c fromGateway) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := c.to.NewStream(ctx, desc, fromConnect(method), opts...)
	return bareStream{s}, err
}

type bareStream struct{ grpc.ClientStream }

func (s bareStream) SendMsg(m any) error {
	data, isOpening := payload(m)
	if isOpening {
		return nil
	}
	return s.ClientStream.SendMsg(&proxy.Frame{Data: data})
}

// payload is what a request of the gateway carries.
func payload(frame any) (data mem.BufferSlice, isOpening bool) {
	data = mem.BufferSlice{mem.SliceBuffer{}}
	_ = proxy.ScanBytes(frame.(*proxy.Frame).Bytes(), func(num int, val []byte) {
		switch num {
		case payloadField:
			data = mem.BufferSlice{mem.SliceBuffer(val)}
		case openingField:
			isOpening = true
		}
	}) // the proxy made it
	return data, isOpening
}

// testRoute sends every call to one server. Metadata that the suite wants back
// pass, as trace ids do in the product.
type testRoute struct{ server grpc.ClientConnInterface }

func (testRoute) Admit(context.Context, *proxy.Call) error { return nil }

// LetGo, CutAll and Calls: the suite ends its calls itself.
func (testRoute) LetGo(error)      {}
func (testRoute) CutAll(error) int { return 0 }
func (testRoute) Calls() int       { return 0 }

func (d testRoute) Route(_ context.Context, c *proxy.Call, _ proxy.Request) (*proxy.Route, error) {
	header := metadata.MD{}
	for k, v := range c.Header {
		if strings.HasPrefix(k, "x-grpc-test-") {
			header[k] = v
		}
	}
	return &proxy.Route{
		Conn: fromGateway{d.server}, Header: header,
		Stamp: proxy.Stamp{UserID: "interop", SessionID: routeSession},
	}, nil
}
