// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/control"
)

func TestAHeldEngineStays(t *testing.T) {
	g := newGateway(t, welcoming)
	r := start(t, g.URL, map[string]string{
		"spark.kyuubi.session.engine.idle.timeout": "1500", "spark.kyuubi.session.engine.spark.max.initial.wait": "1500",
	})
	n := node(t, g.await(t, http.MethodPut, 1)[0])
	held := time.Now()
	require.NoError(t, r.control(t, n).Hold(t.Context(), 3*time.Second))
	require.ErrorContains(t, r.control(t, n).Hold(t.Context(), time.Hour+time.Millisecond), "400")
	gone := g.await(t, http.MethodDelete, 1)[0]
	require.GreaterOrEqual(t, time.Since(held), 3*time.Second)
	require.Equal(t, "unused", gone.field(t, "reason"))
	require.Equal(t, exitOrderly, r.exitCode(t))
}

func TestTheNextSessionEndsAHold(t *testing.T) {
	g := newGateway(t, welcoming)
	r := start(t, g.URL, map[string]string{
		"spark.kyuubi.session.engine.idle.timeout": "1500", "spark.kyuubi.session.idle.timeout": "1500",
	})
	n := node(t, g.await(t, http.MethodPut, 1)[0])
	require.NoError(t, r.control(t, n).Hold(t.Context(), time.Hour))
	r.open(t, n)
	require.Equal(t, exitOrderly, r.exitCode(t))
	require.Equal(t, "idle", g.seen(http.MethodDelete)[0].field(t, "reason"))
}

func TestADrainingEngineIsNotHeld(t *testing.T) {
	g := newGateway(t, welcoming)
	r := start(t, g.URL, nil)
	n := node(t, g.await(t, http.MethodPut, 1)[0])
	r.open(t, n)
	require.NoError(t, r.control(t, n).Order(t.Context(), control.OrderDrain, "admin"))
	require.ErrorContains(t, r.control(t, n).Hold(t.Context(), time.Second), "409")
}
