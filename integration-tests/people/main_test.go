// SPDX-License-Identifier: Apache-2.0

// Package people shows with the gateway binary what people may do once their
// name is known: the rules file, acting for others, operators, people who leave,
// and what is written down of all that. Engines are fakes but for one test.
package people

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

func TestMain(m *testing.M) { env.Main(m) }

// tokenOf is the token of a user; nothing of it may be found anywhere.
func tokenOf(user string) string { return "hunter2-token-of-" + user + "-4f1d8c0b7a6e" }

// house is a gateway with token authentication.
type house struct {
	*env.Gateway
	t     *testing.T
	rules string // the path of its rules file
}

// prepare makes a gateway with fake engines whose people are known by tokens;
// boss is an administrator. With rules it has a rules file of that text.
func prepare(t *testing.T, rules string, settings map[string]string) *house {
	t.Helper()
	h := &house{t: t, rules: filepath.Join(t.TempDir(), "rules.yaml")}
	var lines []string
	for _, user := range []string{"alice", "bob", "carol", "eve", "portal", "olga"} {
		lines = append(lines, tokenOf(user)+" "+user)
	}
	conf := env.Tokens(t, append(lines, tokenOf("boss")+" boss admin")...)
	maps.Copy(conf, env.FakeSpark(t))
	if rules != "" {
		h.writeRules(rules)
		conf["kyuubi.server.rules.file"] = h.rules
	}
	maps.Copy(conf, settings)
	h.Gateway = env.Prepare(t, conf)
	h.Token = tokenOf("boss")
	return h
}

func start(t *testing.T, rules string, settings map[string]string) *house {
	t.Helper()
	h := prepare(t, rules, settings)
	h.StartUntilCleanup()
	return h
}

func (h *house) writeRules(text string) {
	h.t.Helper()
	require.NoError(h.t, os.WriteFile(h.rules+".new", []byte(text), 0o600))
	require.NoError(h.t, os.Rename(h.rules+".new", h.rules))
}

// as is a context whose calls are those of a user, with metadata.
func (h *house) as(user string, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(h.t.Context(), append([]string{"authorization", "Bearer " + tokenOf(user)}, pairs...)...)
}

func (h *house) client() *env.SparkClient { return env.NewSparkClient(h.t, h.GRPC, "whoever") }

// open opens a session of a user, or is the refusal.
func (h *house) open(user string, pairs ...string) error {
	return h.client().Version(h.as(user, pairs...))
}

// set is a Config.Set of c with these pairs.
func set(ctx context.Context, c *env.SparkClient, pairs ...string) error {
	in := &pb.ConfigRequest_Set{}
	for i := 0; i < len(pairs); i += 2 {
		in.Pairs = append(in.Pairs, &pb.KeyValue{Key: pairs[i], Value: &pairs[i+1]})
	}
	_, err := c.Config(ctx, &pb.ConfigRequest{
		SessionId: c.Session, UserContext: c.UserContext(),
		Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_Set{Set: in}},
	})
	return err
}

// rest makes a REST call of a user with a body and headers, and returns status and body.
func (h *house) rest(user, method, path, body string, headers ...string) (*http.Response, string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.REST+path, strings.NewReader(body))
	require.NoError(h.t, err)
	if user != "" {
		req.Header.Set("Authorization", "Bearer "+tokenOf(user))
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	reply, err := http.DefaultClient.Do(req)
	require.NoError(h.t, err)
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	require.NoError(h.t, err)
	return reply, string(text)
}

// command runs a command of the gateway and returns what it said and its code.
func (h *house) command(args ...string) (said string, code int) {
	h.t.Helper()
	cmd := exec.Command(h.Binary, args...)
	cmd.Env = h.Env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		var exit *exec.ExitError
		require.ErrorAs(h.t, err, &exit)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// auditPath is where the audit log is.
func (h *house) auditPath() string { return filepath.Join(h.Home, "logs", "audit.log") }

// audit are the lines of the audit log.
func (h *house) audit() (all []map[string]any) {
	h.t.Helper()
	text, err := os.ReadFile(h.auditPath())
	require.NoError(h.t, err)
	for line := range bytes.Lines(text) {
		var object map[string]any
		require.NoError(h.t, json.Unmarshal(line, &object), "%s", line)
		all = append(all, object)
	}
	return all
}

// written says whether the audit log has a line with these fields.
func (h *house) written(fields map[string]any) bool {
	h.t.Helper()
	for _, line := range h.audit() {
		if has(line, fields) {
			return true
		}
	}
	return false
}

func has(line, fields map[string]any) bool {
	for k, want := range fields {
		text, _ := line[k].(string)
		if want, ok := want.(string); !ok || !strings.Contains(text, want) {
			return false
		}
	}
	return true
}

// owners are the users of the engines that are not ending.
func (h *house) owners() (all []string) {
	h.t.Helper()
	for _, e := range h.Engines() {
		if e.State != "ended" {
			all = append(all, e.User)
		}
	}
	return all
}

func requireDenied(t *testing.T, err error, says ...string) {
	t.Helper()
	require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
	for _, text := range append(says, "[GATEWAY.PERMISSION_DENIED]") {
		require.ErrorContains(t, err, text)
	}
}
