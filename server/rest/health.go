// SPDX-License-Identifier: Apache-2.0

package rest

import (
	_ "embed" // for openapi.yaml
	"io"
	"net/http"
)

// health says that the process answers.
func (s *Server) health(c *call) error {
	writeText(c.w, http.StatusOK, "ok\n")
	return nil
}

// readiness says whether new sessions are welcome.
func (s *Server) readiness(c *call) error {
	if reason := s.o.Ready(); reason != nil {
		setRetryAfter(c.w, nil)
		writeText(c.w, http.StatusServiceUnavailable, reason.Error()+"\n")
		return nil
	}
	writeText(c.w, http.StatusOK, "ready\n")
	return nil
}

func (s *Server) metrics(c *call) error {
	s.o.Metrics.ServeHTTP(c.w, c.r)
	return nil
}

func (s *Server) ping(c *call) error {
	writeText(c.w, http.StatusOK, "pong")
	return nil
}

// openAPI describes every route; see openapi.yaml.
//
//go:embed openapi.yaml
var openAPI string

// describe serves the description of all routes.
func (s *Server) describe(c *call) error {
	c.w.Header().Set("Content-Type", "application/yaml") // RFC 9512
	_, _ = io.WriteString(c.w, openAPI)                  // a caller that went away needs no answer
	return nil
}

func (s *Server) version(c *call) error {
	writeJSON(c.w, http.StatusOK, map[string]string{"version": s.o.Version})
	return nil
}
