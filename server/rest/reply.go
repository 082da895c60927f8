// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"roundhouse/internal/errs"
)

// The header of a 401 and what stands in it behind the scheme.
const (
	challenge = "WWW-Authenticate"
	realm     = `realm="roundhouse"`
)

// comeBack is the Retry-After of errors whose class names no time.
const comeBack = 10 * time.Second

// statusError gives an error a status that its class does not have.
type statusError struct {
	status int
	err    error
}

func withStatus(status int, err error) error { return &statusError{status: status, err: err} }

// Error is the text of the error itself.
func (e *statusError) Error() string { return e.err.Error() }

// Unwrap returns the error itself.
func (e *statusError) Unwrap() error { return e.err }

// ErrEngineGone tells an engine that it is not wanted any longer (status 410).
var ErrEngineGone = withStatus(http.StatusGone,
	errs.New(errs.NotFound, "This gateway does not want the engine any longer: its launch was cancelled or it was ended."))

// reply answers with an error.
func (s *Server) reply(w http.ResponseWriter, err error) {
	status, body := errs.HTTP(err)
	var own *statusError
	if errors.As(err, &own) {
		status = own.status
	}
	if status == http.StatusUnauthorized && w.Header().Get(challenge) == "" {
		s.challenge(w.Header())
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		setRetryAfter(w, err)
	}
	writeJSON(w, status, body)
}

// challenge names the schemes that the gateway takes, each in a field of its own
// (RFC 9110 section 11.6.1): some clients read the first of a field only.
func (s *Server) challenge(h http.Header) {
	schemes := s.o.Challenges
	if len(schemes) == 0 {
		schemes = []string{"Bearer"}
	}
	for _, scheme := range schemes {
		switch scheme {
		case "Negotiate": // RFC 4559 has no parameters
		case "Basic":
			scheme += " " + realm + `, charset="UTF-8"`
		default:
			scheme += " " + realm
		}
		h.Add(challenge, scheme)
	}
}

// setRetryAfter says when another try makes sense: as the error or its class
// says, if one does.
func setRetryAfter(w http.ResponseWriter, err error) {
	after := comeBack
	var own interface{ RetryAfter() time.Duration }
	if c := errs.ClassOf(err); errors.As(err, &own) {
		after = own.RetryAfter()
	} else if c != nil && c.RetryAfter() > 0 {
		after = c.RetryAfter()
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(after.Seconds())))
}

func (s *Server) observe(route string, status int) {
	if s.o.Observer != nil {
		s.o.Observer.RESTCall(route, status)
	}
}

// record counts and logs a call: changes and failures always, refusals at most
// once a second, reads for debugging.
func (s *Server) record(r route, c *call, status int, err error, took time.Duration) {
	s.observe(r.pattern(), status)
	level := levelOf(r, status, err)
	if refusal(status) && !s.mayLogRefusal() {
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("route", r.pattern()), slog.String("path", c.r.URL.Path), slog.Int("status", status),
		slog.String("user", c.caller.User), slog.String("peer", c.r.RemoteAddr), slog.Duration("took", took),
	}
	if err != nil {
		attrs = append(attrs, slog.Any("err", err))
	}
	s.o.Log.LogAttrs(c.r.Context(), level, "rest call", attrs...)
}

// levelOf is the level at which a call is logged.
func levelOf(r route, status int, err error) slog.Level {
	switch {
	case status == http.StatusServiceUnavailable: // somebody is asked to come back
		return slog.LevelInfo
	case status == http.StatusInsufficientStorage:
		return slog.LevelWarn
	case status >= http.StatusInternalServerError:
		return slog.LevelError
	case r.rule == engine && err == nil: // heartbeats
		return slog.LevelDebug
	case status >= http.StatusBadRequest || r.method != http.MethodGet:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// refusal says whether a status turns a caller away, as anybody may cause it as
// often as a port answers.
func refusal(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusMisdirectedRequest, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	}
	return false
}

// mayLogRefusal is true once a second.
func (s *Server) mayLogRefusal() bool {
	now, last := time.Now().Unix(), s.lastRefusal.Load()
	return now != last && s.lastRefusal.CompareAndSwap(last, now)
}

// protect wraps all routes: no browser may be made to call them from another
// site, nor to show or keep what they answer.
func (s *Server) protect(next http.Handler) http.Handler {
	sameSite := http.NewCrossOriginProtection()
	sameSite.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.reply(w, errs.New(errs.PermissionDenied, "Calls from pages of another site are refused."))
		s.observe("none", http.StatusForbidden)
	}))
	guarded := sameSite.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		guarded.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	var data bytes.Buffer
	to := json.NewEncoder(&data)
	to.SetEscapeHTML(false)                  // no browser takes this for a page, and people read it
	if err := to.Encode(value); err != nil { // only strings, numbers and maps are written here
		data.Reset()
		data.WriteString(`{"message":"The answer could not be written."}`)
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data.Bytes()) // a caller that went away needs no answer
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a caller that went away needs no answer
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the first status.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
