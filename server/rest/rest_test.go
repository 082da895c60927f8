// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

func TestHealth(t *testing.T) {
	o := options(aWorld())
	o.Ready = func() error { return errors.New("no Spark in SPARK_HOME") }
	c := serve(t, o)
	require.Equal(t, "ok\n", c.do("", "GET", "/healthz", "").Body.String())
	reply := c.do("", "GET", "/readyz", "")
	require.Equal(t, http.StatusServiceUnavailable, reply.Code)
	require.Equal(t, "no Spark in SPARK_HOME\n", reply.Body.String())
	require.Equal(t, http.StatusOK, serve(t, options(aWorld())).do("", "GET", "/readyz", "").Code)
}

func TestPingVersionMetrics(t *testing.T) {
	c := serve(t, options(aWorld()))
	require.Equal(t, "pong", c.do("", "GET", "/api/v1/ping", "").Body.String())
	require.JSONEq(t, `{"version": "0.1.0"}`, c.do("alice", "GET", "/api/v1/version", "").Body.String())
	require.Equal(t, "up 1\n", c.do("alice", "GET", "/metrics", "").Body.String())
}

func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	c := serve(t, options(aWorld()))
	for _, path := range []string{"/healthz", "/api/v1/sessions", "/nowhere"} {
		h := c.do("alice", "GET", path, "").Header()
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.Equal(t, "default-src 'none'; frame-ancestors 'none'", h.Get("Content-Security-Policy"), path)
		require.Equal(t, "no-store", h.Get("Cache-Control"), path)
		require.Empty(t, h.Get("Server"))
		require.Empty(t, h.Get("Access-Control-Allow-Origin"))
	}
}

func TestCallsFromOtherSitesAreRefused(t *testing.T) {
	w := aWorld()
	c := serve(t, options(w))
	for _, r := range routes() {
		if r.method == http.MethodGet {
			continue
		}
		for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
			reply := c.do("root", r.method, example(r.path), "{}", header[0], header[1])
			require.Equal(t, http.StatusForbidden, reply.Code, r.pattern())
			message(t, reply)
		}
	}
	for _, line := range w.log {
		require.Equal(t, "observed none Forbidden", line)
	}
}

// TestErrorsAreReadable: people read them in a terminal.
func TestErrorsAreReadable(t *testing.T) {
	w := aWorld()
	w.openErr = errs.New(errs.OptionInvalid, "Want <size> & no more.")
	require.Contains(t, serve(t, options(w)).do("alice", "POST", "/api/v1/sessions", "").Body.String(), "<size> & no more")
}

// TestWithoutAuthentication: the claimed name counts, everybody may do
// everything, and only where the server is called by a name of its own.
func TestWithoutAuthentication(t *testing.T) {
	w := aWorld()
	o := options(w)
	o.Authenticator = auth.None{}
	o.Hosts = []string{"gateway.example"}
	c := serve(t, o)
	const alice = "Basic YWxpY2U6" // alice:

	require.Contains(t, c.do("", "GET", "/api/v1/sessions", "", "Authorization", alice).Body.String(), aliceSession)
	require.JSONEq(t, `[]`, c.do("", "GET", "/api/v1/sessions", "").Body.String(), "anonymous has no sessions")
	require.Contains(t, c.do("", "GET", "/api/v1/admin/sessions", "").Body.String(), aliceSession)
	for host, want := range map[string]int{
		"127.0.0.1:10099": 200, "[::1]:10099": 200, "localhost": 200, "gateway.example:10099": 200,
		"rebound.evil.example:10099": http.StatusMisdirectedRequest, "": http.StatusMisdirectedRequest,
	} {
		require.Equal(t, want, c.do("", "GET", "/api/v1/sessions", "", "Host", host).Code, "host %q", host)
	}
	bad := c.do("", "GET", "/api/v1/sessions", "", "Authorization", "Basic Li4vZXZpbDo=") // ../evil:
	require.Equal(t, http.StatusBadRequest, bad.Code)
}

// TestAPanicIsOneFailedCall, and its text stays in the log.
func TestAPanicIsOneFailedCall(t *testing.T) {
	var log bytes.Buffer
	o := options(aWorld())
	o.Ready = func() error { panic("deep secret") }
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	reply := serve(t, o).do("", "GET", "/readyz", "")
	require.Equal(t, http.StatusInternalServerError, reply.Code)
	require.NotContains(t, message(t, reply), "secret")
	require.Contains(t, log.String(), "deep secret")
}

// TestRefusalsAreLoggedOnceASecond, whatever turned them away: anybody can cause
// them, as fast as the port answers.
func TestRefusalsAreLoggedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := options(aWorld())
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		c := serve(t, o)
		for range 3 {
			for range 100 {
				require.Equal(t, http.StatusUnauthorized, c.do("", "GET", "/api/v1/sessions", "").Code)
				require.Equal(t, http.StatusForbidden, c.do("bob", "POST", "/api/v1/admin/users/eve/disable", "").Code)
				require.Equal(t, http.StatusNotFound, c.do("", "GET", "/ca.pem", "").Code)
			}
			<-time.After(time.Second)
		}
		require.Equal(t, 3, strings.Count(log.String(), "rest call"), log.String())
	})
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	o := options(aWorld())
	o.Registrar = nil
	_, err := New(o)
	require.EqualError(t, err, "rest: Registrar is missing")
}

// TestRun serves over a real connection and lets a call under way finish.
func TestRun(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	entered, leave := make(chan struct{}), make(chan struct{})
	o := options(aWorld())
	o.Listener = listener
	o.Ready = func() error { close(entered); <-leave; return nil }
	s, err := New(o)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }() // the test waits for done
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // the test waits for answers
		text, err := get("http://" + s.Addr().String() + "/readyz")
		answers <- answer{text, err}
	}()
	<-entered
	cancel()
	close(leave)
	a := <-answers
	require.NoError(t, a.err)
	require.Equal(t, "ready\n", a.text)
	require.NoError(t, <-done)
	_, err = net.Dial("tcp", s.Addr().String())
	require.Error(t, err, "the port must be closed")
}

func get(url string) (string, error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	return string(text), err
}

func TestRunReportsABrokenListener(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	o := options(aWorld())
	o.Listener = listener
	s, err := New(o)
	require.NoError(t, err)
	require.ErrorContains(t, s.Run(t.Context()), "serving REST on 127.0.0.1:")
}

// pipes is a listener whose connections stay inside the test.
type pipes struct {
	incoming chan net.Conn
	closed   chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.incoming:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// TestSlowCallersAreCutOff: one that does not finish its headers, one that does
// not finish its body, one that says nothing more.
func TestSlowCallersAreCutOff(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"GET /healthz HTTP/1.1\r\nHost: x\r\n": headerTimeout,
		"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\nContent-Length: 9\r\n\r\n{": readTimeout,
		"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n":                                                               idleTimeout,
	} {
		synctest.Test(t, func(t *testing.T) {
			o := options(aWorld())
			door := pipes{incoming: make(chan net.Conn), closed: make(chan struct{})}
			o.Listener = door
			s, err := New(o)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }() // the test waits for done
			near, far := net.Pipe()
			door.incoming <- far
			began := time.Now()
			go func() { _, _ = io.WriteString(near, text) }() // ends with the connection, which the server closes
			_, err = io.ReadAll(near)
			require.NoError(t, err, "the server must close the connection")
			require.InDelta(t, want.Seconds(), time.Since(began).Seconds(), 1, "%q", text)
			cancel()
			require.NoError(t, <-done)
		})
	}
}
