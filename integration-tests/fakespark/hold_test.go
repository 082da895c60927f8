// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
	"roundhouse/engine/control"
)

// hold orders the engine to wait and returns the code of the answer.
func (r *running) hold(t *testing.T, n discovery.Node, ms string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+n.Attributes["control"]+"/v1/hold", strings.NewReader(`{"reason":"ahead","ms":`+ms+`}`))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+r.keys.control)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

func TestAHeldEngineStays(t *testing.T) {
	g := newGateway(t, welcoming)
	r := start(t, g.URL, map[string]string{
		"spark.kyuubi.session.engine.idle.timeout": "1500", "spark.kyuubi.session.engine.spark.max.initial.wait": "1500",
	})
	n := node(t, g.await(t, http.MethodPut, 1)[0])
	held := time.Now()
	require.Equal(t, http.StatusAccepted, r.hold(t, n, "3000"))
	require.Equal(t, http.StatusBadRequest, r.hold(t, n, "3600001"))
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
	require.Equal(t, http.StatusAccepted, r.hold(t, n, "3600000"))
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
	require.Equal(t, http.StatusConflict, r.hold(t, n, "1000"))
}
