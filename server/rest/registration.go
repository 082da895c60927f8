// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"

	"roundhouse/internal/errs"
)

// registration is the body of PUT /api/v1/internal/engines/{refId}.
type registration struct {
	Path   string `json:"path"`
	Node   string `json:"node"`
	TimeMs int64  `json:"timeMs"`
}

// welcome answers it.
type welcome struct {
	WarmUp      bool  `json:"warmUp"`
	HeartbeatMs int64 `json:"heartbeatMs"`
}

// farewell is the body of DELETE /api/v1/internal/engines/{refId}.
type farewell struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
	TimeMs int64  `json:"timeMs"`
}

// registerEngine takes or renews the registration of an engine.
func (s *Server) registerEngine(c *call) error {
	var body registration
	if err := c.readLenient(&body); err != nil {
		return err
	}
	if body.Path == "" || body.Node == "" {
		return errs.New(errs.InvalidRequest, "A registration needs path and node.")
	}
	w, err := s.o.Registrar.Register(c.r.Context(), c.refID, body.Path, body.Node, body.TimeMs)
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusOK, welcome{WarmUp: w.WarmUp, HeartbeatMs: w.Heartbeat.Milliseconds()})
	return nil
}

// deregisterEngine takes it back.
func (s *Server) deregisterEngine(c *call) error {
	var body farewell
	if err := c.readLenient(&body); err != nil {
		return err
	}
	err := s.o.Registrar.Deregister(c.r.Context(), c.refID, body.Path, body.Reason, body.Detail)
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusOK, struct{}{})
	return nil
}
