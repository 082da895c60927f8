// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// answerKind is what an answer of the gateway means.
type answerKind int

const (
	answerNone     answerKind = iota // none, or one that makes no sense
	answerOK                         // done as asked
	answerRefused                    // 403: MAC or path wrong
	answerUnwanted                   // 410: the gateway does not want this engine
	answerBusy                       // 409: sessions were just routed here
)

// Times of the calls to the gateway.
const (
	callTimeout      = 5 * time.Second
	firstRetry       = 200 * time.Millisecond
	lastRetry        = 5 * time.Second
	defaultHeartbeat = 10 * time.Second
	minHeartbeat     = 100 * time.Millisecond
)

// welcome is the answer to a registration.
type welcome struct {
	WarmUp      bool  `json:"warmUp"`
	HeartbeatMs int64 `json:"heartbeatMs"`
}

func (w welcome) heartbeat() time.Duration {
	if w.HeartbeatMs == 0 {
		return defaultHeartbeat
	}
	return max(minHeartbeat, time.Duration(w.HeartbeatMs)*time.Millisecond)
}

// client makes the two calls of an engine to its gateway.
type client struct {
	http http.Client
	s    settings
	keys keys
}

func newClient(s settings, k keys) *client {
	return &client{
		s: s, keys: k,
		http: http.Client{
			Timeout:       callTimeout,
			Transport:     &http.Transport{IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (c *client) register(ctx context.Context, node string) (answerKind, welcome) {
	return c.call(ctx, http.MethodPut, map[string]any{"path": c.s.path, "node": node, "timeMs": time.Now().UnixMilli()})
}

func (c *client) deregister(ctx context.Context, v verdict) answerKind {
	kind, _ := c.call(ctx, http.MethodDelete, map[string]any{
		"path": c.s.path, "reason": v.reason, "detail": v.detail, "timeMs": time.Now().UnixMilli(),
	})
	return kind
}

func (c *client) call(ctx context.Context, method string, content map[string]any) (answerKind, welcome) {
	body, err := json.Marshal(content)
	if err != nil {
		return answerNone, welcome{}
	}
	at, err := url.Parse(fmt.Sprintf("%s/api/v1/internal/engines/%s", c.s.gateway, c.s.refID))
	if err != nil {
		return answerNone, welcome{}
	}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(body))
	if err != nil {
		return answerNone, welcome{}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Roundhouse-MAC "+c.keys.mac(method, at.EscapedPath(), string(body)))
	resp, err := c.http.Do(req)
	if err != nil {
		return answerNone, welcome{}
	}
	defer resp.Body.Close()
	var w welcome
	switch resp.StatusCode {
	case http.StatusOK:
		_ = json.NewDecoder(resp.Body).Decode(&w) // a DELETE has no body to read
		return answerOK, w
	case http.StatusForbidden:
		return answerRefused, w
	case http.StatusConflict:
		return answerBusy, w
	case http.StatusGone:
		return answerUnwanted, w
	}
	return answerNone, w
}
