// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/auth"
	"roundhouse/conf"
	"roundhouse/internal/errs"
	"roundhouse/server/proxy"
	"roundhouse/session"
)

// Limits bound what one user may have under way at the Connect door. 0 means
// no limit.
type Limits struct {
	// Calls may be open at the same time.
	Calls int
	// UploadBytes are of one AddArtifacts call, SessionBytes of all of a session.
	UploadBytes, SessionBytes int64
	// UploadIdle ends an AddArtifacts call of which no message is complete for so long.
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

// connectionMark begins what a call counts for before it has named its user. No
// name of a user has a space in it, and one client is in nobody's way but its own.
const connectionMark = "connection from "

// unnamedCalls of a connection may be open whose first message has not come.
// Clients send it at once, so few ever are; whoever sends none pays nothing for
// the memory of a call.
const unnamedCalls = 100

// place is the one of a call among those of its user.
type place struct {
	d    *Director
	id   auth.Identity
	user string // for a caller whom nobody verifies, its connection until it has named itself
	// life ends with the call, or before when it is cut; end ends it.
	life context.Context
	end  context.CancelCauseFunc
}

// enter counts a call as open until it is over.
func (d *Director) enter(ctx context.Context, c *proxy.Call, id auth.Identity) error {
	p := &place{d: d, id: id, user: id.User}
	if p.user == "" {
		p.user = connectionMark + c.Peer.String()
	}
	c.Admitted = p
	if err := d.takeCall(p.user, c.Method); err != nil {
		return err
	}
	p.begin(ctx)
	c.Left = func() { p.over(); d.calls.give(p.user) }
	return nil
}

// claimedBy counts the call as one of user.
func (p *place) claimedBy(user, method string) error {
	if user == p.user {
		return nil
	}
	if err := p.d.takeCall(user, method); err != nil {
		return err
	}
	p.d.calls.give(p.user)
	p.user = user
	p.d.under.note(p, user)
	return nil
}

func (d *Director) takeCall(user, method string) error {
	most := d.Limits.Calls
	if strings.HasPrefix(user, connectionMark) {
		if most == 0 || most > unnamedCalls {
			most = unnamedCalls
		}
		if open, ok := d.calls.take(user, most); !ok {
			return errs.New(errs.LimitExceeded, "The %s has %d calls open whose request message has not come, and may have no more. Try again when some have sent it.", user, open)
		}
		return nil
	}
	if most > 0 && endsSomething(method) {
		most += wayOutRoom
	}
	if open, ok := d.calls.take(user, most); !ok {
		return errs.New(errs.LimitExceeded, "User %s has %d calls open and may have %d (%s). Wait until some end, or interrupt them.",
			user, open, d.Limits.Calls, conf.LimitCallsPerUser.Key)
	}
	return nil
}

// endsSomething says whether a method is a way back, or keeps somebody in who works.
func endsSomething(method string) bool {
	switch method {
	case "Interrupt", "ReleaseSession", "ReleaseExecute", "RenewToken", "RevokeToken":
		return true
	}
	return false
}

// Holds count what of each user waits for engines: calls, and sessions that are
// opened ahead of their clients.
type Holds struct {
	tally
	most int
}

// NewHolds allows most of each user; 0 means any number.
func NewHolds(most int) *Holds { return &Holds{most: most} }

// Enter counts one more; leave is to be called once when it waits no longer.
func (h *Holds) Enter(user string) (leave func(), err error) {
	if held, ok := h.take(user, h.most); !ok {
		return nil, errs.New(errs.LimitExceeded, "User %s has %d calls waiting for engines and may have %d (%s). Try again when an engine has started.",
			user, held, h.most, conf.LimitHeldCallsPerUser.Key)
	}
	return func() { h.give(user) }, nil
}

// upload holds an AddArtifacts call to the byte limits and ends one that stalls
// for too long. What counts are the bytes that come, whatever sizes the
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
	r.Sent = u.sent
	r.Idle, r.Idled = d.Limits.UploadIdle, errs.Status(errs.New(errs.LimitExceeded,
		"The upload to session %s completed no message within %v (%s) and was ended. Start it again.",
		s.ID, d.Limits.UploadIdle, conf.ArtifactIdleTimeout.Key)).Err()
	then(r, u.end)
	return nil
}

// upload is one AddArtifacts call. Its messages are read by one goroutine and
// its end is told by another.
type upload struct {
	limits  Limits
	session *session.Session

	mu       sync.Mutex
	bytes    int64
	complete bool // the engine has, or gets, all of it
	over     bool
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

// sent notes that the engine gets all of the upload.
func (u *upload) sent() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.complete = true
}

// end takes the bytes of a failed upload back. One that is complete has failed
// only if the engine says so: its client may have left before the answer.
func (u *upload) end(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
	if err != nil && !(u.complete && unanswered(err)) {
		u.session.ReturnUpload(u.bytes)
	}
}

// unanswered says whether err is no answer of the engine.
func unanswered(err error) bool {
	code := status.Code(err)
	return code == codes.Canceled || code == codes.DeadlineExceeded || code == codes.Unavailable
}
