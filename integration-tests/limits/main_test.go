// SPDX-License-Identifier: Apache-2.0

// Package limits shows with the gateway binary that what one user does stays
// within its limits and costs others nothing: sessions, engines, the launch
// queue, calls, uploads, and engines that grow old. Engines are fakes but for
// one test.
package limits

import (
	"context"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
)

func TestMain(m *testing.M) { env.Main(m) }

// start runs a gateway with fake engines and these settings.
func start(t *testing.T, settings map[string]string) *env.Gateway {
	t.Helper()
	conf := env.FakeSpark(t)
	maps.Copy(conf, settings)
	return env.Start(t, conf)
}

// wants is a context whose calls ask for an engine with this much memory.
func wants(ctx context.Context, memory string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "spark.driver.memory", memory)
}

// requireLimit checks a refusal: its class, the setting it names, and what it says.
func requireLimit(t *testing.T, err error, key string, says ...string) {
	t.Helper()
	require.Equal(t, codes.ResourceExhausted, status.Code(err), err)
	require.ErrorContains(t, err, "[GATEWAY.LIMIT_EXCEEDED]")
	for _, text := range append(says, key) {
		require.ErrorContains(t, err, text)
	}
}

// enginesOf lists the engines of a user that are not ending.
func enginesOf(g *env.Gateway, user string) []env.Engine {
	var own []env.Engine
	for _, e := range g.Engines() {
		if e.User == user && e.State != "ended" {
			own = append(own, e)
		}
	}
	return own
}
