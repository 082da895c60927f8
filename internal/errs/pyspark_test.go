// SPDX-License-Identifier: Apache-2.0

package errs

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	connect "roundhouse/proto/gen/spark/connect"
)

// failingService fails every call of the first session it meets and serves
// the version to all others.
type failingService struct {
	connect.UnimplementedSparkConnectServiceServer
	fail func(sessionID string) error

	mu    sync.Mutex
	first string
}

func (s *failingService) AnalyzePlan(_ context.Context, r *connect.AnalyzePlanRequest) (*connect.AnalyzePlanResponse, error) {
	if s.isFirst(r.SessionId) {
		return nil, Status(s.fail(r.SessionId)).Err()
	}
	return &connect.AnalyzePlanResponse{
		SessionId: r.SessionId,
		Result: &connect.AnalyzePlanResponse_SparkVersion_{
			SparkVersion: &connect.AnalyzePlanResponse_SparkVersion{Version: "healed"},
		},
	}, nil
}

func (s *failingService) isFirst(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == "" {
		s.first = id
	}
	return s.first == id
}

func (s *failingService) ReleaseSession(_ context.Context, r *connect.ReleaseSessionRequest) (*connect.ReleaseSessionResponse, error) {
	return &connect.ReleaseSessionResponse{SessionId: r.SessionId}, nil
}

// outcome is what testdata/heal.py prints.
type outcome struct {
	Error, Type, Condition, Version string
	Stopped, Fresh                  bool
	Seconds                         float64
}

func runPySpark(t *testing.T, python string, fail func(sessionID string) error) outcome {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	connect.RegisterSparkConnectServiceServer(server, &failingService{fail: fail})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }() // the cleanup waits for it
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-served)
	})

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "testdata/heal.py", "sc://"+listener.Addr().String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	var o outcome
	require.NoError(t, json.Unmarshal(out, &o), "%s", out)
	return o
}

func TestPySparkReadsOurErrors(t *testing.T) {
	for _, env := range []string{"PYSPARK_PYTHON_43", "PYSPARK_PYTHON_40"} {
		t.Run(env, func(t *testing.T) {
			python := os.Getenv(env)
			if python == "" {
				t.Skipf("%s names no Python that has PySpark with its connect extra", env)
			}
			t.Run("session changed heals", func(t *testing.T) {
				o := runPySpark(t, python, func(id string) error { return SessionChanged(id, "Engine e1 died (exit code 137).") })
				require.Contains(t, o.Error, "Engine e1 died (exit code 137).")
				require.Equal(t, "INVALID_HANDLE.SESSION_CHANGED", o.Condition)
				require.True(t, o.Stopped)
				require.True(t, o.Fresh)
				require.Equal(t, "healed", o.Version)
				require.Less(t, o.Seconds, 2.0)
			})
			t.Run("launch failure is read at once", func(t *testing.T) {
				text := "Engine e1 did not start: spark-submit ended with 1:\nline\tÄ 100 %"
				o := runPySpark(t, python, func(string) error { return New(EngineLaunchFailed, "%s", text) })
				require.Equal(t, "[GATEWAY.ENGINE_LAUNCH_FAILED] "+text, o.Error)
				require.Equal(t, "SparkConnectGrpcException", o.Type)
				require.False(t, o.Stopped)
				require.Less(t, o.Seconds, 2.0)
			})
			t.Run("long text arrives", func(t *testing.T) {
				long := strings.Repeat("é\n", 1<<16)
				o := runPySpark(t, python, func(id string) error { return SessionChanged(id, long) })
				require.Contains(t, o.Error, "is invalid. é\né\n")
				require.True(t, o.Stopped)
				require.Equal(t, "healed", o.Version)
			})
		})
	}
}
