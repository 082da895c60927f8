// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"roundhouse/discovery"
)

const (
	// awayAfter is how long a gap in the connection is bridged: requests wait for its end.
	awayAfter = 2 * time.Second
	// answerWithin bounds a request with its repetitions.
	answerWithin = 3 * time.Second
	// repeatAfter is the pause before a request is sent again.
	repeatAfter = 20 * time.Millisecond
	// maxDialTimeout bounds how long a server may take to greet.
	maxDialTimeout = 5 * time.Second
	// maxPacket bounds one answer: the names of 100,000 sessions of one user. A longer one ends the connection.
	maxPacket = 16 << 20
)

var (
	errNoAnswer = errors.New("no answer")
	errSilent   = errors.New("it takes connections but does not greet as ZooKeeper, or has no quorum")
)

// answers are the errors that a server gives as an answer. After any other one a request may or
// may not have been carried out.
var answers = []error{
	zk.ErrNoNode, zk.ErrNodeExists, zk.ErrNoAuth, zk.ErrBadVersion, zk.ErrNotEmpty, zk.ErrNoChildrenForEphemerals,
	zk.ErrInvalidACL, zk.ErrAuthFailed, zk.ErrAPIError, zk.ErrBadArguments, zk.ErrInvalidPath, zk.ErrInvalidFlags,
}

// link is one connection to an ensemble, over which all share one ZooKeeper session. The
// requests of the library know no context and wait while there is no connection; ask bounds them.
type link struct {
	conn        *zk.Conn
	log         *slog.Logger
	addresses   []string
	tls         *tls.Config
	dialTimeout time.Duration
	timeout     time.Duration  // of the session, as it is asked for
	listen      func(zk.Event) // told of every event; it must not block
	life        context.Context
	end         context.CancelFunc
	events      <-chan zk.Event
	heard       atomic.Int64 // when the last bytes came, UnixNano

	mu struct {
		sync.Mutex
		up      bool
		since   time.Time     // when up last changed
		changed chan struct{} // closed when up changes
		socket  *socket
		dialled error       // why the last server could not be reached
		guarded int64       // the ZooKeeper session that has a watch which never fires
		hello   *time.Timer // ends a connection whose server does not greet
	}
}

// connect starts a connection and waits for its first ZooKeeper session.
func connect(ctx context.Context, o connection, listen func(zk.Event)) (*link, error) {
	l := &link{log: o.Log, addresses: o.Addresses, tls: o.TLS, listen: listen, timeout: o.SessionTimeout,
		dialTimeout: dialTimeout(o)}
	l.life, l.end = context.WithCancel(context.WithoutCancel(ctx))
	l.mu.since, l.mu.changed = time.Now(), make(chan struct{})
	var err error
	l.conn, l.events, err = zk.Connect(o.Addresses, o.SessionTimeout, zk.WithDialer(l.dial), zk.WithHostProvider(&hosts{}),
		zk.WithEventCallback(l.event), zk.WithLogger(logger{l.log}), zk.WithLogInfo(false), zk.WithMaxBufferSize(o.maxPacket))
	if err != nil {
		l.end()
		return nil, fmt.Errorf("connect to ZooKeeper: %w", err)
	}
	if err := l.first(ctx, o.ConnectionTimeout); err != nil {
		l.close()
		return nil, err
	}
	for _, who := range o.identities {
		if _, err := ask(ctx, l, func(c *zk.Conn, _ bool) (struct{}, error) {
			return struct{}{}, c.AddAuth("digest", []byte(who.user+":"+who.password))
		}); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

// dialTimeout is for how long one server is tried: one that is about to serve may take a connection and
// never greet.
func dialTimeout(o connection) time.Duration {
	return max(min(o.ConnectionTimeout/time.Duration(len(o.Addresses)), o.SessionTimeout/2, maxDialTimeout), time.Second)
}

// first waits for the first session.
func (l *link) first(ctx context.Context, within time.Duration) error {
	limit := time.NewTimer(within)
	defer limit.Stop()
	for {
		up, _, changed := l.state()
		if up {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return fmt.Errorf("within %s: %w", within, l.away(l.unanswered()))
		}
	}
}

// unanswered is why nobody answers.
func (l *link) unanswered() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.mu.dialled != nil:
		return l.mu.dialled
	case l.mu.socket != nil:
		return errSilent
	}
	return errNoAnswer
}

// close ends the session, with its ephemeral nodes, and waits for the library.
func (l *link) close() {
	if up, _, _ := l.state(); !up {
		l.end() // before, so that the library does not wait for a connection
	}
	l.conn.Close()
	l.end()
	l.drop()
	for range l.events { // ends when the library has
	}
}

func (l *link) state() (up bool, since time.Time, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.up, l.mu.since, l.mu.changed
}

func (l *link) event(e zk.Event) {
	if e.Type == zk.EventSession {
		switch e.State {
		case zk.StateHasSession:
			l.turned(true)
		case zk.StateDisconnected:
			l.turned(false)
		case zk.StateExpired:
			l.turned(false)
			l.drop() // the library forgets this connection without closing it
		}
	}
	l.listen(e)
}

func (l *link) turned(up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.hello != nil {
		l.mu.hello.Stop()
	}
	if l.mu.up != up {
		l.mu.up, l.mu.since = up, time.Now()
		close(l.mu.changed)
		l.mu.changed = make(chan struct{})
	}
}

// guard notes that a session has a watch, which the library sets again after a gap.
func (l *link) guard(session int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.guarded = session
}

func (l *link) isGuarded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.guardedLocked()
}

func (l *link) guardedLocked() bool { return l.mu.guarded != 0 && l.mu.guarded == l.conn.SessionID() }

// await waits for the end of a short gap.
func (l *link) await(ctx context.Context) error {
	for {
		up, since, changed := l.state()
		if up {
			return nil
		}
		rest := time.Until(since.Add(awayAfter))
		if rest <= 0 {
			return errNoAnswer
		}
		timer := time.NewTimer(rest)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		timer.Stop()
	}
}

// ask sends a request until it has an answer, for answerWithin at most. Again tells a repetition:
// the one before may have been carried out.
func ask[T any](ctx context.Context, l *link, request func(c *zk.Conn, again bool) (T, error)) (answer T, err error) {
	if ctx.Err() != nil {
		return answer, l.fault(ctx, errNoAnswer)
	}
	limited, cancel := bounded(ctx)
	defer cancel()
	for again := false; ; again = true {
		if err := l.await(limited); err != nil {
			return answer, l.fault(ctx, err)
		}
		sent := time.Now()
		answer, err = once(limited, func() (T, error) { return request(l.conn, again) })
		switch {
		case limited.Err() != nil && err == context.Cause(limited):
			l.suspect(sent)
			return answer, l.fault(ctx, err)
		case err == nil || slices.ContainsFunc(answers, func(a error) bool { return errors.Is(err, a) }):
			return answer, err
		}
		select {
		case <-limited.Done():
			return answer, l.fault(ctx, err)
		case <-l.life.Done():
			return answer, l.away(errors.New("the connection was closed"))
		case <-time.After(repeatAfter):
		}
	}
}

// bounded gives several requests the time of one.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, answerWithin, errNoAnswer)
}

// once sends a request and waits for the answer or for ctx.
func once[T any](ctx context.Context, request func() (T, error)) (T, error) {
	type result struct {
		answer T
		err    error
	}
	results := make(chan result, 1)
	go func() { // ends with the answer or with its connection
		answer, err := request()
		results <- result{answer, err}
	}()
	select {
	case r := <-results:
		return r.answer, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// suspect ends a connection over which nothing has come since a request was sent, so
// that the library turns to the next server. Its own limit is two thirds of a session timeout.
func (l *link) suspect(sent time.Time) {
	if time.Since(sent) > awayAfter && l.heard.Load() < sent.UnixNano() {
		l.log.Debug("ZooKeeper: a server does not answer, trying the next one")
		l.drop()
	}
}

func (l *link) drop() {
	l.mu.Lock()
	socket := l.mu.socket
	l.mu.Unlock()
	if socket != nil {
		_ = socket.Close()
	}
}

// fault is the error of a request that had no answer.
func (l *link) fault(ctx context.Context, err error) error {
	if ctx.Err() != nil && context.Cause(ctx) != errNoAnswer {
		return ctx.Err()
	}
	return l.away(err)
}

func (l *link) away(err error) error {
	return fmt.Errorf("%w: ZooKeeper (%s) does not answer; see that it runs, has a quorum and is the one of kyuubi.ha.addresses: %w",
		discovery.ErrAway, strings.Join(l.addresses, ","), err)
}
