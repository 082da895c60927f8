// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"bytes"
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// attack is one forged request and what became of it.
type attack struct {
	id     string
	method string
	shape  shape
	want   string // the session that it may arrive under
	sent   []byte // its last message
	err    error
}

// reading is a message as PySpark reads it.
type reading struct {
	ID         string `json:"id"`
	UserID     string `json:"user_id"`
	UserName   string `json:"user_name"`
	SessionID  string `json:"session_id"`
	Extensions int    `json:"extensions"`
	Error      string `json:"error"`
}

// TestForgedIdentitiesReachAnEngineOnlyAsTheCaller: every RPC in every shape,
// sent by alice in the name of others. What the engines got is read by PySpark's
// own message classes and by Go's.
func TestForgedIdentitiesReachAnEngineOnlyAsTheCaller(t *testing.T) {
	env.Python(t, "4.3")
	h := start(t, nil)
	attacks := attackAll(t, h.person("alice", aliceToken))
	require.GreaterOrEqual(t, len(attacks), 480)
	got := map[string][]arrived{}
	for _, a := range h.arrivals() {
		require.Empty(t, a.Error, "the engine could not decode what the gateway passed on: %x", a.Raw)
		checkByGo(t, a)
		for _, id := range a.Header["x-request-id"] {
			got[id] = append(got[id], a)
		}
	}
	passed := checkByPySpark(t, attacks, got)
	require.Greater(t, passed, len(attacks)/3, "most forgeries never arrive, so they prove nothing")
	for _, a := range attacks {
		checkFate(t, a, len(got[a.id]))
	}
	require.Len(t, runningUsers(h), 1, "only alice has an engine")
}

// attackAll sends everything, one after the other.
func attackAll(t *testing.T, alice *person) []attack {
	t.Helper()
	forms, all := shapes(), targets()
	session, other := alice.open(), alice.open()
	var attacks []attack
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, form := range slices.Sorted(maps.Keys(forms)) {
			to, s := all[name], forms[form]
			f := forge{session: session, other: other, body: to.body(t, ids{operation: uuid.NewString(), failure: uuid.NewString()})}
			if to.ends {
				f.session, f.other = alice.open(), alice.open()
			}
			attacks = append(attacks, alice.attack(name+"/"+form, to, s, f))
		}
	}
	return attacks
}

func (p *person) attack(id string, to target, s shape, f forge) attack {
	p.t.Helper()
	messages := [][]byte{s.build(f)}
	if s.second != nil {
		messages = append(messages, s.second(f))
	}
	a := attack{id: id, method: to.method, shape: s, want: f.session, sent: append([]byte{}, messages[len(messages)-1]...)}
	if s.other {
		a.want = f.other
	}
	ctx := p.context(p.t.Context(), append([]string{"x-request-id", id}, s.header...)...)
	_, a.err = p.send(ctx, to.method, messages, s.options...)
	require.NotEqual(p.t, codes.DeadlineExceeded, status.Code(a.err), "%s: %v", id, a.err)
	return a
}

// checkFate compares with what the shape declares.
func checkFate(t *testing.T, a attack, messages int) {
	t.Helper()
	switch a.shape.fate {
	case carried:
		require.Positive(t, messages, "%s should reach the engine: %v", a.id, a.err)
	case refused:
		require.Zero(t, messages, a.id)
		code := status.Code(a.err)
		require.Contains(t, []codes.Code{codes.InvalidArgument, codes.Unimplemented}, code, "%s: %v", a.id, a.err)
	}
}

// checkByGo reads a message as its method's type.
func checkByGo(t *testing.T, a arrived) {
	t.Helper()
	var m proto.Message = &pb.GetStatusRequest{}
	if method := pb.File_spark_connect_base_proto.Services().ByName("SparkConnectService").Methods().ByName(protoName(a.Method)); method != nil {
		m = newMessage(t, method.Input().FullName())
	}
	require.NoError(t, proto.Unmarshal(a.Raw, m))
	user := m.(interface{ GetUserContext() *pb.UserContext }).GetUserContext()
	require.Equal(t, "alice", user.GetUserId(), "%s %v", a.Method, a.Header["x-request-id"])
	require.Equal(t, "alice", user.GetUserName(), "%s %v", a.Method, a.Header["x-request-id"])
}

// checkByPySpark has PySpark read what arrived, and what was sent: the latter
// shows what would have happened without the gateway. It returns how many
// attacks arrived.
func checkByPySpark(t *testing.T, attacks []attack, got map[string][]arrived) int {
	t.Helper()
	const direct = "direct "
	var ask []map[string]any
	for _, a := range attacks {
		ask = append(ask, map[string]any{"id": direct + a.id, "method": a.method, "raw": a.sent})
		for _, m := range got[a.id] {
			ask = append(ask, map[string]any{"id": a.id, "method": m.Method, "raw": m.Raw})
		}
	}
	byID := map[string]attack{}
	for _, a := range attacks {
		byID[a.id] = a
	}
	forged, passed := 0, map[string]bool{}
	for _, r := range readByPySpark(t, ask) {
		a, ours := byID[r.ID]
		if !ours {
			if r.Error == "" && r.UserID != "alice" && r.UserID != "" {
				forged++
			}
			continue
		}
		passed[r.ID] = true
		require.Equal(t, reading{ID: a.id, UserID: "alice", UserName: "alice", SessionID: a.want, Extensions: a.shape.extensions}, r)
	}
	t.Logf("%d attacks: %d arrived, as alice; sent straight to an engine, %d would be read as somebody else", len(attacks), len(passed), forged)
	require.Greater(t, forged, len(attacks)/4, "the attacks are harmless, so they prove nothing")
	return len(passed)
}

func readByPySpark(t *testing.T, ask []map[string]any) []reading {
	t.Helper()
	var in bytes.Buffer
	for _, line := range ask {
		require.NoError(t, json.NewEncoder(&in).Encode(line))
	}
	cmd := exec.Command(env.Python(t, "4.3"), filepath.Join(env.Root(t), "integration-tests", "pyspark", "decode_requests.py"))
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	require.NoErrorf(t, err, "%s", stderr.String())
	var all []reading
	for line := range bytes.Lines(out) {
		var r reading
		require.NoError(t, json.Unmarshal(line, &r))
		all = append(all, r)
	}
	require.Len(t, all, len(ask))
	return all
}

// runningUsers are the owners of the engines.
func runningUsers(h *house) map[string]int {
	users := map[string]int{}
	for _, e := range h.Engines() {
		users[e.User]++
	}
	return users
}
