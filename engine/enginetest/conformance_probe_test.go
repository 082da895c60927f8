// SPDX-License-Identifier: Apache-2.0

package enginetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	connect "roundhouse/proto/gen/spark/connect"
)

// target is one server that the scenarios run against.
type target struct {
	addr  string
	token string
}

// probe runs one scenario on one target and notes what it sees, in words that
// do not depend on ids, ports or timing.
type probe struct {
	t    *testing.T
	ctx  context.Context
	stub connect.SparkConnectServiceClient
	conn *grpc.ClientConn
	user string
	id   string // session id
	ssid string // last server side session id seen
	seen []string
}

func newProbe(t *testing.T, to target) *probe {
	t.Helper()
	conn, err := grpc.NewClient(to.addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(128<<20)))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(func() { cancel(); _ = conn.Close() })
	return &probe{
		t: t, conn: conn, stub: connect.NewSparkConnectServiceClient(conn),
		ctx:  metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+to.token),
		user: "alice", id: uuid.NewString(),
	}
}

// see notes one observation.
func (p *probe) see(what, format string, args ...any) {
	p.seen = append(p.seen, what+": "+mask(fmt.Sprintf(format, args...)))
}

// answer notes the outcome of a unary call: its error, or the fields set in the answer.
func (p *probe) answer(what string, m proto.Message, err error) {
	if err != nil {
		p.see(what, "%s", explain(err))
		return
	}
	p.see(what, "OK %s", fields(m))
	if s := stringField(m, "server_side_session_id"); s != "" {
		p.ssid = s
	}
}

var (
	uuidText = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	frames   = regexp.MustCompile(`stack_trace\[\d+\]`)
)

// mask takes out what differs from run to run.
func mask(s string) string {
	return frames.ReplaceAllString(uuidText.ReplaceAllString(s, "<uuid>"), "stack_trace")
}

// explain says everything about an error that a client could act upon.
func explain(err error) string {
	if err == nil || errors.Is(err, io.EOF) {
		return "OK"
	}
	st := status.Convert(err)
	out := fmt.Sprintf("%s %q", st.Code(), firstLine(st.Message()))
	if st.Code() == codes.Unimplemented {
		return st.Code().String() // the text is the gRPC library's
	}
	if len(st.Details()) == 0 {
		return out
	}
	for _, d := range st.Details() {
		info, ok := d.(*errdetails.ErrorInfo)
		if !ok {
			out += fmt.Sprintf(" %T", d)
			continue
		}
		out += " " + errorInfo(info)
	}
	return out
}

// errorInfo renders an ErrorInfo: the values of stable metadata, the keys of the rest.
func errorInfo(info *errdetails.ErrorInfo) string {
	out := "{" + info.Domain + " " + info.Reason
	keys := make([]string, 0, len(info.Metadata))
	for k := range info.Metadata {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		switch k {
		case "errorClass", "sqlState":
			out += " " + k + "=" + info.Metadata[k]
		case "classes":
			out += " " + simpleNames(info.Metadata[k])
		case "messageParameters":
			out += " " + k + "=" + parameters(info.Metadata[k])
		default:
			out += " " + k
		}
	}
	return out + "}"
}

// simpleNames shortens a list of Java class names: "SparkException<Exception<...".
func simpleNames(list string) string {
	var names []string
	if json.Unmarshal([]byte(list), &names) != nil {
		return "not JSON"
	}
	for i, n := range names {
		names[i] = n[strings.LastIndexByte(n, '.')+1:]
	}
	return strings.Join(names, "<")
}

func parameters(text string) string {
	var m map[string]string
	if json.Unmarshal([]byte(text), &m) != nil {
		return "not JSON"
	}
	b, _ := json.Marshal(m)
	return string(b)
}

func firstLine(s string) string {
	line, rest, more := strings.Cut(s, "\n")
	if more && rest != "" {
		line += " ..."
	}
	return line
}

// fields names the set top-level fields of a message; lists with their length.
func fields(m proto.Message) string {
	var names []string
	m.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(fd.Name())
		if fd.IsList() {
			name += fmt.Sprintf("[%d]", v.List().Len())
		}
		names = append(names, name)
		return true
	})
	slices.Sort(names)
	return "{" + strings.Join(names, " ") + "}"
}

func stringField(m proto.Message, name protoreflect.Name) string {
	fd := m.ProtoReflect().Descriptor().Fields().ByName(name)
	if fd == nil || fd.Kind() != protoreflect.StringKind || fd.IsList() {
		return ""
	}
	return m.ProtoReflect().Get(fd).String()
}

func (p *probe) userContext() *connect.UserContext {
	return &connect.UserContext{UserId: p.user, UserName: p.user}
}
