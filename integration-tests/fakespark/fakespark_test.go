// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"roundhouse/discovery"
	"roundhouse/engine/control"
	"roundhouse/internal/secret"
	connect "roundhouse/proto/gen/spark/connect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testPath  = "/kyuubi_1_USER_SPARK_CONNECT/alice/default"
	waitLimit = 20 * time.Second
	pollEvery = 10 * time.Millisecond
)

// message is a call that a driver made to the gateway.
type message struct {
	method, url, authorization string
	body                       []byte
}

func (m message) field(t *testing.T, name string) string {
	t.Helper()
	var fields map[string]any
	require.NoError(t, json.Unmarshal(m.body, &fields))
	text, _ := fields[name].(string)
	return text
}

// gateway is a stub of the registering gateway; answer decides by method and
// number of the call.
type gateway struct {
	*httptest.Server
	answer func(method string, n int) (int, string)
	mu     sync.Mutex
	calls  []message
}

func newGateway(t *testing.T, answer func(method string, n int) (int, string)) *gateway {
	g := &gateway{answer: answer}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

// welcoming accepts everything and wants a heartbeat every 100 ms.
func welcoming(string, int) (int, string) { return http.StatusOK, `{"warmUp":false,"heartbeatMs":100}` }

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	g.calls = append(g.calls, message{r.Method, r.URL.Path, r.Header.Get("Authorization"), body})
	n := 0
	for _, c := range g.calls {
		if c.method == r.Method {
			n++
		}
	}
	g.mu.Unlock()
	code, text := g.answer(r.Method, n)
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
}

func (g *gateway) seen(method string) []message {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []message
	for _, c := range g.calls {
		if c.method == method {
			out = append(out, c)
		}
	}
	return out
}

func (g *gateway) await(t *testing.T, method string, n int) []message {
	t.Helper()
	require.Eventually(t, func() bool { return len(g.seen(method)) >= n }, waitLimit, pollEvery, "%s number %d", method, n)
	return g.seen(method)
}

// submission is a prepared launch: files and keys of one engine.
type submission struct {
	refID string
	args  []string
	keys  keys
	dir   string
}

func prepare(t *testing.T, gatewayURL string, props map[string]string) submission {
	t.Helper()
	s := submission{refID: uuid.NewString(), keys: keys{rpc: "rpc-key", register: "register-key", control: "control-key", zoo: "zoo-key"}, dir: t.TempDir()}
	keyFile := filepath.Join(s.dir, "engine.key")
	require.NoError(t, os.WriteFile(keyFile, []byte("rpc=rpc-key\nregister=register-key\ncontrol=control-key\nzk=zoo-key\n"), 0o600))
	all := map[string]string{
		"spark.kyuubi.ha.engine.ref.id":   s.refID,
		"spark.kyuubi.ha.namespace":       testPath,
		"spark.kyuubi.engine.key.file":    keyFile,
		"spark.kyuubi.engine.gateway.url": gatewayURL,
		"spark.kyuubi.engine.submit.time": strconv.FormatInt(time.Now().UnixMilli(), 10),
		"spark.driver.memory":             "2g",
	}
	for k, v := range props {
		all[k] = v
	}
	var text strings.Builder
	for k, v := range all {
		text.WriteString(k + "=" + strings.ReplaceAll(v, ":", `\:`) + "\n")
	}
	file := filepath.Join(s.dir, "spark.properties")
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	s.args = []string{"--properties-file", file, "--class", "org.roundhouse.engine.ConnectEngine", "plugin.jar"}
	return s
}

// running is a driver inside the test process.
type running struct {
	submission
	log  *lockedBuffer
	stop context.CancelFunc // what SIGTERM does
	exit chan int
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func start(t *testing.T, gatewayURL string, props map[string]string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{submission: prepare(t, gatewayURL, props), log: &lockedBuffer{}, stop: stop, exit: make(chan int, 1)}
	gone := make(chan struct{})
	go func() { // the cleanup waits
		defer close(gone)
		r.exit <- run(ctx, r.args, r.log)
	}()
	t.Cleanup(func() { stop(); <-gone })
	return r
}

func (r *running) exitCode(t *testing.T) int {
	t.Helper()
	select {
	case code := <-r.exit:
		return code
	case <-time.After(waitLimit):
		require.FailNow(t, "the driver did not end", r.log.String())
		return 0
	}
}

// node parses the registration with the gateway's own code.
func node(t *testing.T, m message) discovery.Node {
	t.Helper()
	n, err := discovery.ParseNode(m.field(t, "node"))
	require.NoError(t, err)
	return n
}

func (r *running) stub(t *testing.T, n discovery.Node, token string) (connect.SparkConnectServiceClient, context.Context) {
	t.Helper()
	conn, err := grpc.NewClient(n.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return connect.NewSparkConnectServiceClient(conn), metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
}

func (r *running) control(t *testing.T, n discovery.Node) *control.Client {
	t.Helper()
	c := control.New(n.Attributes["control"], r.keys.control)
	t.Cleanup(c.Close)
	return c
}

// open makes alice's session in the driver and returns its id.
func (r *running) open(t *testing.T, n discovery.Node) string {
	t.Helper()
	id := uuid.NewString()
	stub, ctx := r.stub(t, n, r.keys.rpc)
	_, err := stub.Config(ctx, &connect.ConfigRequest{
		SessionId: id, UserContext: &connect.UserContext{UserId: "alice"},
		Operation: &connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_Set{Set: &connect.ConfigRequest_Set{}}},
	})
	require.NoError(t, err)
	return id
}

// signed checks the authorization of a call with the gateway's own code.
func (r *running) signed(t *testing.T, m message) {
	t.Helper()
	require.Equal(t, "/api/v1/internal/engines/"+r.refID, m.url)
	require.Equal(t, "Roundhouse-MAC "+secret.MAC(r.keys.register, m.method, m.url, string(m.body)), m.authorization)
	require.Equal(t, testPath, m.field(t, "path"))
}
