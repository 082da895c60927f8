// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"fmt"
	"sync"
	"time"

	"roundhouse/conf"
	"roundhouse/internal/errs"
	"roundhouse/server/proxy"
	"roundhouse/session"
)

// Limits bound what one user may have under way at the Connect door. 0 means
// no limit.
type Limits struct {
	// Calls may be open at the same time, Held of them wait for an engine.
	Calls, Held int
	// UploadBytes are of one AddArtifacts call, SessionBytes of all of a session.
	UploadBytes, SessionBytes int64
	// UploadIdle ends an AddArtifacts call that brings nothing for so long.
	UploadIdle time.Duration
}

// wayOutRoom is how many calls beyond the limit may be open that end something,
// so that a user at the limit can get below it.
const wayOutRoom = 100

// tally counts by user what is open now. The zero tally is ready for use.
type tally struct {
	mu   sync.Mutex
	open map[string]int
}

// take counts one more unless most (0: any number) are open, and returns how
// many were.
func (t *tally) take(user string, most int) (open int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	open = t.open[user]
	if most > 0 && open >= most {
		return open, false
	}
	if t.open == nil {
		t.open = map[string]int{}
	}
	t.open[user] = open + 1
	return open, true
}

// give takes one back.
func (t *tally) give(user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[user]--; t.open[user] == 0 {
		delete(t.open, user)
	}
}

// enter counts a call as open; leave is to be called once at its end.
func (d *Director) enter(c *call) (leave func(), err error) {
	most := d.Limits.Calls
	if most > 0 && endsSomething(c.Method) {
		most += wayOutRoom
	}
	user := c.key.User
	if open, ok := d.calls.take(user, most); !ok {
		return nil, errs.New(errs.LimitExceeded, "User %s has %d calls open and may have %d (%s). Wait until some end, or interrupt them.",
			user, open, d.Limits.Calls, conf.LimitCallsPerUser.Key)
	}
	return func() { d.calls.give(user) }, nil
}

func endsSomething(method string) bool {
	return method == "Interrupt" || method == "ReleaseSession" || method == "ReleaseExecute"
}

// enterHold counts a call that waits for its engine; leave is to be called once.
func (d *Director) enterHold(user string) (leave func(), err error) {
	if held, ok := d.held.take(user, d.Limits.Held); !ok {
		return nil, errs.New(errs.LimitExceeded, "User %s has %d calls waiting for engines and may have %d (%s). Try again when an engine has started.",
			user, held, d.Limits.Held, conf.LimitHeldCallsPerUser.Key)
	}
	return func() { d.held.give(user) }, nil
}

// upload holds an AddArtifacts call to the byte limits and ends one that brings
// nothing for too long. What counts are the bytes that come, whatever sizes the
// client declares.
func (d *Director) upload(c *call, s *session.Session, r *proxy.Route) error {
	u := &upload{limits: d.Limits, session: s}
	if err := u.take(len(c.req.Raw())); err != nil {
		return err
	}
	judge := r.Further
	r.Further = func(req proxy.Request) error {
		if err := u.take(len(req.Raw())); err != nil {
			return errs.Status(err).Err()
		}
		return judge(req)
	}
	r.Idle, r.Idled = d.Limits.UploadIdle, errs.Status(errs.New(errs.LimitExceeded,
		"The upload to session %s brought nothing for %v (%s) and was ended. Start it again.",
		s.ID, d.Limits.UploadIdle, conf.ArtifactIdleTimeout.Key)).Err()
	then(r, u.end)
	return nil
}

// upload is one AddArtifacts call. Its messages are read by one goroutine and
// its end is told by another.
type upload struct {
	limits  Limits
	session *session.Session

	mu    sync.Mutex
	bytes int64
	over  bool
}

func (u *upload) take(n int) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	size := int64(n)
	if most := u.limits.UploadBytes; most > 0 && u.bytes+size > most {
		return errs.New(errs.LimitExceeded, "The upload to session %s has brought %s and may bring %s (%s). Upload less at once.",
			u.session.ID, mebibytes(u.bytes+size), mebibytes(most), conf.LimitArtifactsPerCall.Key)
	}
	if u.over {
		return nil // the call has failed, what still comes goes nowhere
	}
	if used, ok := u.session.TakeUpload(size, u.limits.SessionBytes); !ok {
		return errs.New(errs.LimitExceeded, "Session %s holds uploads of %s and may hold %s (%s). Its files go with the session: "+
			"open a new one, or put large files where the engine can read them.",
			u.session.ID, mebibytes(used), mebibytes(u.limits.SessionBytes), conf.LimitArtifactsPerSession.Key)
	}
	u.bytes += size
	return nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// end takes the bytes of a failed upload back.
func (u *upload) end(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
	if err != nil {
		u.session.ReturnUpload(u.bytes)
	}
}
