// SPDX-License-Identifier: Apache-2.0

// Package control speaks to the control endpoint of the plugin inside a
// driver. engine/DESIGN.md is the protocol.
package control

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Types of events.
const (
	SessionOpened = "session-opened"
	SessionClosed = "session-closed"
	Draining      = "draining"
	Stopping      = "stopping"
)

const (
	answerLimit  = 16 << 20        // a status with some ten thousand sessions
	pollMargin   = 5 * time.Second // how much later than asked a long poll may answer
	dialTimeout  = 2 * time.Second
	callTimeout  = 10 * time.Second
	refusalLimit = 512
)

// ErrUnauthorized says that the endpoint does not know this engine's key: it
// belongs to somebody else.
var ErrUnauthorized = errors.New("control: the endpoint does not accept the key of this engine")

// Status is the state of a driver. Times are epoch milliseconds.
type Status struct {
	RefID         string    `json:"refId"`
	State         string    `json:"state"` // running, draining or stopping
	SparkVersion  string    `json:"sparkVersion"`
	ApplicationID string    `json:"applicationId"`
	UIURL         string    `json:"uiUrl"`
	StartTimeMs   int64     `json:"startTimeMs"`
	HeapUsedBytes int64     `json:"heapUsedBytes"`
	HeapMaxBytes  int64     `json:"heapMaxBytes"`
	LastEvent     int64     `json:"lastEvent"`
	Sessions      []Session `json:"sessions"`
}

// Session is one session inside a driver.
type Session struct {
	User              string `json:"user"`
	SessionID         string `json:"sessionId"`
	StartTimeMs       int64  `json:"startTimeMs"`
	LastAccessMs      int64  `json:"lastAccessMs"`
	RunningOperations int    `json:"runningOperations"`
	StreamingQueries  int    `json:"streamingQueries"`
	// Internal sessions were made inside the driver.
	Internal bool `json:"internal"`
}

// Events is a piece of the event history.
type Events struct {
	Events []Event `json:"events"`
	// Last is the newest sequence number, the next "after".
	Last int64 `json:"last"`
	// Lost says that events between "after" and the first one are gone.
	Lost bool `json:"lost"`
}

// Event is something that happened in a driver.
type Event struct {
	Seq       int64  `json:"seq"`
	TimeMs    int64  `json:"timeMs"`
	Type      string `json:"type"`
	User      string `json:"user"`
	SessionID string `json:"sessionId"`
	Reason    string `json:"reason"`
	Detail    string `json:"detail"`
}

// Client calls the endpoint of one engine. It is safe for concurrent use.
type Client struct {
	base      string
	key       string
	transport *http.Transport
	http      *http.Client
}

// New returns a client of the endpoint at address (host:port), on this machine,
// with the engine's control key. It does not dial yet. Proxies of the environment
// do not apply.
func New(address, key string) *Client { return NewOver(address, key, nil, dialDirectly) }

// NewOver is New for an endpoint that dial reaches, with TLS unless that is nil.
func NewOver(address, key string, over *tls.Config, dial func(ctx context.Context, address string) (net.Conn, error)) *Client {
	scheme := "http://"
	if over != nil {
		scheme = "https://"
	}
	transport := &http.Transport{
		DialContext:         func(ctx context.Context, _, address string) (net.Conn, error) { return dial(ctx, address) },
		TLSClientConfig:     over,
		MaxIdleConnsPerHost: 2,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
	return &Client{
		base: scheme + address, key: key, transport: transport,
		http: &http.Client{Transport: transport, CheckRedirect: refuseRedirect},
	}
}

func dialDirectly(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	return dialer.DialContext(ctx, "tcp", address)
}

// refuseRedirect keeps the key from going anywhere else.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close drops idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Status asks for the driver's state.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
}

// Events returns what happened after event number after. Without news it
// answers after wait.
func (c *Client) Events(ctx context.Context, after int64, wait time.Duration) (Events, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+pollMargin)
	defer cancel()
	query := url.Values{
		"after":  {strconv.FormatInt(after, 10)},
		"waitMs": {strconv.FormatInt(wait.Milliseconds(), 10)},
	}
	var e Events
	return e, c.call(ctx, http.MethodGet, "/v1/events?"+query.Encode(), nil, &e)
}

// The orders that a driver takes.
const (
	OrderStop   = "stop"    // end now
	OrderDrain  = "drain"   // end with the last session
	OrderWarmUp = "warm-up" // run a first query, if there was none
)

// Order gives one of the orders; the reason is for people.
func (c *Client) Order(ctx context.Context, order, reason string) error {
	body, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.call(ctx, http.MethodPost, "/v1/"+order, body, nil)
}

// Hold keeps the driver from stopping as unused or idle for so long, or until the
// next session.
func (c *Client) Hold(ctx context.Context, d time.Duration) error {
	body, err := json.Marshal(map[string]any{"reason": "a client is expected", "ms": d.Milliseconds()})
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.call(ctx, http.MethodPost, "/v1/hold", body, nil)
}

// call does one request and decodes the answer into out, if there is one.
func (c *Client) call(ctx context.Context, method, path string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("control %s: %w", path, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	defer resp.Body.Close()
	return read(resp, path, out)
}

func read(resp *http.Response, path string, out any) error {
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return ErrUnauthorized
	case resp.StatusCode/100 != 2:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, refusalLimit))
		return fmt.Errorf("control %s: status %d: %q", path, resp.StatusCode, text)
	case out == nil:
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, answerLimit)).Decode(out); err != nil {
		return fmt.Errorf("control %s: unreadable answer: %w", path, err)
	}
	return nil
}
