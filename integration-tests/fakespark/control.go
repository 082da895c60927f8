// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	maxBody      = 64 << 10
	maxEventWait = time.Minute
	maxHold      = time.Hour
)

// handler is what the control endpoint asks the driver.
type handler interface {
	status() any
	drain(reason string)
	stop(reason string)
	warmUp(reason string)
	// hold is false if the engine is about to end.
	hold(ctx context.Context, reason string, limit time.Duration) bool
}

// controlServer is the engine's control endpoint, on loopback.
type controlServer struct {
	server *http.Server
	lis    net.Listener
}

func newControl(key string, h handler, ev *events) (*controlServer, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	routes := map[string]route{
		"/v1/status":  {http.MethodGet, func(w http.ResponseWriter, _ *http.Request, _ []byte) { reply(w, http.StatusOK, h.status()) }},
		"/v1/events":  {http.MethodGet, func(w http.ResponseWriter, r *http.Request, _ []byte) { poll(w, r, ev) }},
		"/v1/drain":   {http.MethodPost, command(h.drain)},
		"/v1/stop":    {http.MethodPost, command(h.stop)},
		"/v1/warm-up": {http.MethodPost, command(h.warmUp)},
		"/v1/hold":    {http.MethodPost, hold(h)},
	}
	c := &controlServer{lis: lis, server: &http.Server{Handler: guarded(key, routes), ReadHeaderTimeout: 10 * time.Second}}
	return c, nil
}

// Serve answers until close.
func (c *controlServer) Serve() { _ = c.server.Serve(c.lis) }

func (c *controlServer) addr() string { return c.lis.Addr().String() }

func (c *controlServer) close() { _ = errors.Join(c.server.Close(), c.lis.Close()) }

// route is one path: its verb and what answers it.
type route struct {
	verb   string
	answer func(http.ResponseWriter, *http.Request, []byte)
}

// guarded checks key, path, verb and size, in this order.
func guarded(key string, routes map[string]route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, known := routes[r.URL.Path]
		switch {
		case r.Header.Get("Authorization") != "Bearer "+key:
			w.WriteHeader(http.StatusUnauthorized)
		case !known:
			w.WriteHeader(http.StatusNotFound)
		case r.Method != to.verb:
			w.Header().Set("Allow", to.verb)
			w.WriteHeader(http.StatusMethodNotAllowed)
		default:
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
			if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				return
			}
			to.answer(w, r, body)
		}
	})
}

func reply(w http.ResponseWriter, code int, content any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(content) // the caller went away
}

func poll(w http.ResponseWriter, r *http.Request, ev *events) {
	after, err := number(r.URL.Query().Get("after"))
	wait, err2 := number(r.URL.Query().Get("waitMs"))
	if errors.Join(err, err2) != nil {
		reply(w, http.StatusBadRequest, map[string]string{"message": "after and waitMs must be numbers"})
		return
	}
	reply(w, http.StatusOK, ev.after(r.Context(), after, min(time.Duration(wait)*time.Millisecond, maxEventWait)))
}

func number(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

// command answers 202 and does what a body with a reason asks for.
func command(do func(reason string)) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, _ *http.Request, body []byte) {
		var wish struct {
			Reason string `json:"reason"`
		}
		if len(body) > 0 && json.Unmarshal(body, &wish) != nil {
			reply(w, http.StatusBadRequest, map[string]string{"message": "the body is no JSON object"})
			return
		}
		w.WriteHeader(http.StatusAccepted)
		_ = http.NewResponseController(w).Flush() // before the driver may be gone
		do(wish.Reason)
	}
}

// hold answers 409 when it is too late.
func hold(h handler) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, r *http.Request, body []byte) {
		var wish struct {
			Reason string `json:"reason"`
			Ms     int64  `json:"ms"`
		}
		err := json.Unmarshal(body, &wish)
		switch {
		case err != nil || wish.Ms < 1 || wish.Ms > maxHold.Milliseconds():
			reply(w, http.StatusBadRequest, map[string]string{"message": "ms has to be 1 to 3600000"})
		case h.hold(r.Context(), wish.Reason, time.Duration(wish.Ms)*time.Millisecond):
			w.WriteHeader(http.StatusAccepted)
		default:
			reply(w, http.StatusConflict, map[string]string{"message": "the engine is about to end and cannot be held"})
		}
	}
}
