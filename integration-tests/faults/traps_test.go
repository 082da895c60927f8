// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"hash/crc32"
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// TestBadHandshakesStopNobody: junk, silence and halves of a handshake on the
// TLS port neither end nor block anything, and are given up.
func TestBadHandshakesStopNobody(t *testing.T) {
	t.Parallel()
	g, dial := startTLS(t)
	good := dial()
	require.NoError(t, good.version(t.Context()))
	before := descriptors(t, g.PID())
	for _, says := range []string{"", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", strings.Repeat("\xff", 4096)} {
		for range 25 {
			c, err := net.Dial("tcp", g.GRPC)
			require.NoError(t, err)
			t.Cleanup(func() { _ = c.Close() })
			_, err = c.Write([]byte(says))
			require.NoError(t, err)
		}
		began := time.Now()
		newcomer := dial()
		require.NoError(t, newcomer.version(t.Context()), "while others hang in their handshake")
		require.NoError(t, good.version(t.Context()))
		require.Less(t, time.Since(began), 5*time.Second)
		newcomer.close()
	}
	env.Eventually(t, 30*time.Second, "bad connections are given up", func() bool { return descriptors(t, g.PID()) <= before+1 })
}

// TestCallsLeaveNothing: thousands of calls need no more descriptors and
// goroutines than the first.
func TestCallsLeaveNothing(t *testing.T) {
	t.Parallel()
	h := newHops(t)
	c := env.NewSparkClient(t, h.GRPC, "alice")
	for range 10 {
		require.NoError(t, c.Version(t.Context()))
	}
	before := footprint(t, h)
	for range env.Count(2000, 10000) {
		require.NoError(t, c.Version(t.Context()))
	}
	env.Eventually(t, 10*time.Second, fmt.Sprintf("the gateway holds what it held before: %+v", before), func() bool {
		now := footprint(t, h)
		return now.descriptors <= before.descriptors+2 && now.goroutines <= before.goroutines+5
	})
	require.Equal(t, 1, h.engine.Connections(), "all calls share one connection")
}

// TestConnectionForEachCall: a client that makes a TLS connection for each call
// keeps its session, and its connections leave nothing.
func TestConnectionForEachCall(t *testing.T) {
	t.Parallel()
	g, dial := startTLS(t)
	require.NoError(t, dial().version(t.Context()))
	before := descriptors(t, g.PID())
	for range env.Count(100, 1000) {
		c := dial()
		require.NoError(t, c.version(t.Context()))
		c.close()
	}
	require.Len(t, g.Sessions(), 1)
	require.Len(t, g.Engines(), 1)
	env.Eventually(t, 10*time.Second, "connections are closed", func() bool { return descriptors(t, g.PID()) <= before+2 })
}

// TestSlowEngineAndFastUpload: what the engine does not take stays with the
// client.
func TestSlowEngineAndFastUpload(t *testing.T) {
	t.Parallel()
	g := env.Start(t, env.FakeSpark(t, "spark.fake.artifact.delay.ms", "100"))
	c := env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, c.Version(t.Context()))
	before := g.Metric("process_resident_memory_bytes")
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := c.AddArtifacts(ctx)
	require.NoError(t, err)
	var sent atomic.Int64
	over := make(chan struct{})
	go func() { // waited for below
		defer close(over)
		data := make([]byte, 1<<20)
		chunk := &pb.AddArtifactsRequest_ArtifactChunk{Data: data, Crc: int64(crc32.ChecksumIEEE(data))}
		for i := range 1000 {
			err := stream.Send(&pb.AddArtifactsRequest{
				SessionId: c.Session, UserContext: c.UserContext(),
				Payload: &pb.AddArtifactsRequest_Batch_{Batch: &pb.AddArtifactsRequest_Batch{
					Artifacts: []*pb.AddArtifactsRequest_SingleChunkArtifact{{Name: fmt.Sprintf("files/%d", i), Data: chunk}},
				}},
			})
			if err != nil {
				return
			}
			sent.Add(1)
		}
	}()
	began := time.Now()
	env.Eventually(t, 20*time.Second, "the engine takes some", func() bool { return time.Since(began) > 3*time.Second })
	taken := int64(time.Since(began)/(100*time.Millisecond)) + 1
	ahead, grown := sent.Load()-taken, g.Metric("process_resident_memory_bytes")-before
	t.Logf("%d MiB sent in 3 s, of which the engine took at most %d; the gateway grew by %.0f MiB", sent.Load(), taken, grown/(1<<20))
	require.Greater(t, sent.Load(), int64(10), "MiB: the upload is under way")
	require.Less(t, ahead, int64(24), "MiB between client and engine")
	require.Less(t, grown, float64(96<<20))
	cancel()
	<-over
}

// TestInterruptThatIsNeverAnswered: Spark 4.1 does not answer for unknown ids.
func TestInterruptThatIsNeverAnswered(t *testing.T) {
	t.Parallel()
	g := env.Start(t, env.FakeSpark(t, "spark.fake.mute.interrupts", "true"))
	c := env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, c.Version(t.Context()))
	began := time.Now()
	_, err := c.Interrupt(t.Context(), &pb.InterruptRequest{
		SessionId: c.Session, UserContext: c.UserContext(), InterruptType: pb.InterruptRequest_INTERRUPT_TYPE_OPERATION_ID,
		Interrupt: &pb.InterruptRequest_OperationId{OperationId: "11111111-2222-3333-4444-555555555555"},
	})
	require.Equal(t, codes.DeadlineExceeded, status.Code(err), err)
	require.Contains(t, err.Error(), "[GATEWAY.ENGINE_TIMEOUT]")
	require.Less(t, time.Since(began), 45*time.Second)
	require.NoError(t, c.Version(t.Context()), "the session goes on")
}

// TestFrozenEngine: a pause like a long garbage collection is waited out; an
// engine that is silent for good is given up with one clear error, and ended.
func TestFrozenEngine(t *testing.T) {
	t.Parallel()
	g := env.Start(t, env.FakeSpark(t))
	c := env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, c.Version(t.Context()))
	e := g.OnlyEngine()
	env.Freeze(t, e.PID)
	thaw := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(e.PID, syscall.SIGCONT) })
	defer thaw.Stop()
	began := time.Now()
	require.NoError(t, c.Version(t.Context()), "five seconds are waited out")
	require.Greater(t, time.Since(began), 3*time.Second)

	env.Freeze(t, e.PID)
	began = time.Now()
	err := c.Version(t.Context())
	require.Contains(t, fmt.Sprint(err), "INVALID_HANDLE.SESSION_CHANGED")
	require.Contains(t, err.Error(), e.RefID)
	require.Less(t, time.Since(began), darkness()+10*time.Second)
	t.Logf("given up after %v: %s", time.Since(began).Round(time.Millisecond), status.Convert(err).Message())
	env.Eventually(t, 20*time.Second, "the frozen engine is ended", func() bool { return len(g.Engines()) == 0 && !env.Alive(e.PID) })
}

// TestLaunchThatIsDeletedStaysDeleted: a driver that does not hear that it is
// stopped, and registers later, is refused and gone.
func TestLaunchThatIsDeletedStaysDeleted(t *testing.T) {
	t.Parallel()
	g := env.Start(t, env.FakeSpark(t, "spark.fake.start.delay.ms", "1500", "spark.fake.ignore.sigterm", "true",
		"kyuubi.session.engine.startup.destroy.timeout", "PT1M"))
	c := env.NewSparkClient(t, g.GRPC, "alice")
	got := make(chan error, 1)
	go func() { got <- c.Version(t.Context()) }() // waited for below
	env.Eventually(t, 10*time.Second, "the launch begins", func() bool { return len(g.Engines()) == 1 && g.Engines()[0].PID != 0 })
	doomed := g.Engines()[0]
	env.Eventually(t, 10*time.Second, "the driver is deaf to SIGTERM", func() bool { return ignores(t, doomed.PID, syscall.SIGTERM) })
	code, body := g.Call(http.MethodDelete, "/api/v1/admin/engine?refId="+doomed.RefID, "root")
	require.Equal(t, http.StatusOK, code, string(body))
	require.Contains(t, fmt.Sprint(<-got), "[GATEWAY.ENGINE_LAUNCH_FAILED]")
	env.Eventually(t, 20*time.Second, "the driver is gone", func() bool { return len(g.Engines()) == 0 && !env.Alive(doomed.PID) })
	require.EqualValues(t, 1, g.Metric(`roundhouse_engine_nodes_rejected_total{reason="unknown"}`), "it registered too late")
}

// ignores says whether a process ignores a signal (SigIgn of proc(5)).
func ignores(t *testing.T, pid int, sig syscall.Signal) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), "\nSigIgn:")
	require.True(t, found)
	mask, err := strconv.ParseUint(strings.Fields(after)[0], 16, 64)
	require.NoError(t, err)
	return mask&(1<<(sig-1)) != 0
}

const token = "0123456789abcdef-of-alice"

// secureClient is a client with one TLS connection.
type secureClient struct {
	pb.SparkConnectServiceClient
	close func()
}

// startTLS starts a gateway that wants TLS and a token. Its clients share one session.
func startTLS(t *testing.T) (*env.Gateway, func() secureClient) {
	t.Helper()
	certificate, key := env.Certificate(t)
	conf := env.FakeSpark(t,
		"kyuubi.frontend.spark.connect.ssl.enabled", "true",
		"kyuubi.frontend.spark.connect.ssl.certificate.path", certificate,
		"kyuubi.frontend.spark.connect.ssl.key.path", key)
	maps.Copy(conf, env.Tokens(t, token+" alice admin"))
	g := env.Prepare(t, conf)
	g.Token = token
	g.StartUntilCleanup()
	text, err := os.ReadFile(certificate)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(text))
	return g, func() secureClient {
		conn, err := grpc.NewClient(g.GRPC, grpc.WithPerRPCCredentials(bearer{}),
			grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})))
		require.NoError(t, err)
		shut := func() { _ = conn.Close() }
		t.Cleanup(shut)
		return secureClient{pb.NewSparkConnectServiceClient(conn), shut}
	}
}

func (c secureClient) version(ctx context.Context) error {
	_, err := c.AnalyzePlan(ctx, &pb.AnalyzePlanRequest{
		SessionId: "00112233-4455-6677-8899-aabbccddeeff",
		Analyze:   &pb.AnalyzePlanRequest_SparkVersion_{SparkVersion: &pb.AnalyzePlanRequest_SparkVersion{}},
	})
	return err
}

type bearer struct{}

func (bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + token}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }
