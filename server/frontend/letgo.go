// SPDX-License-Identifier: Apache-2.0

package frontend

import "context"

// patience is how long calls may wait for engines: until it is over, once and for
// all calls.
type patience struct {
	life context.Context
	end  context.CancelCauseFunc
}

func newPatience() *patience {
	life, end := context.WithCancelCause(context.Background())
	return &patience{life, end}
}

// LetGo ends the calls that wait for engines with why for an answer, and refuses
// those that would open a session or wait from now on in the same way. Calls of
// sessions with an engine go on.
func (d *Director) LetGo(why error) { d.patience.end(why) }

// over is why calls wait no longer; nil while they may.
func (p *patience) over() error { return context.Cause(p.life) }

// within ends what end ends when calls wait no longer, until forget is called.
func (p *patience) within(end context.CancelCauseFunc) (forget func() bool) {
	return context.AfterFunc(p.life, func() { end(p.over()) })
}
