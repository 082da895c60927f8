// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Info is what people may know of an engine or of a launch.
type Info struct {
	RefID      string
	User       string
	ShareLevel ShareLevel
	Subdomain  string
	Path       string
	State      State
	AppID      string            // "" before the registration
	Address    string            // "" before the registration
	Attributes map[string]string // of the registration, without its MAC
	Sessions   int               // that hold the engine, or wait for it
	Submitted  time.Time         // zero in the launch queue
	PID        int               // 0 in the launch queue
	LogPath    string
	// Queue is the place in the launch queue, 1 for the next one; 0 outside of it.
	Queue int
	// Application is what the resource manager said last; zero without one.
	Application Application
}

// Engines lists engines and launches, oldest first, those in the queue last.
func (m *Manager) Engines() []Info {
	m.mu.Lock()
	var all []Info
	for _, e := range m.mu.engines {
		all = append(all, e.info())
	}
	for _, l := range m.mu.starting {
		i := l.info()
		if l.ticket != nil {
			i.Queue = m.queue.position(l.ticket)
		}
		all = append(all, i)
	}
	m.mu.Unlock()
	slices.SortFunc(all, func(a, b Info) int {
		if a.Submitted.IsZero() != b.Submitted.IsZero() {
			return cmp.Compare(b.Submitted.Unix(), a.Submitted.Unix())
		}
		return cmp.Or(a.Submitted.Compare(b.Submitted), cmp.Compare(a.RefID, b.RefID))
	})
	return all
}

func (e *Engine) info() Info {
	i := specInfo(e.spec)
	i.RefID, i.AppID, i.Address = e.refID, e.AppID(), e.node.Address
	i.Attributes = maps.Clone(e.node.Attributes)
	delete(i.Attributes, attrMAC)
	i.LogPath = logPath(e.workDir)
	i.Submitted, i.PID = e.submitted, e.process.Identity().PID
	e.mu.Lock()
	defer e.mu.Unlock()
	i.State, i.Sessions, i.Application = e.mu.state, e.mu.leases, e.mu.app
	return i
}

// info describes a launch; Manager.mu is held.
func (l *launch) info() Info {
	i := specInfo(l.spec)
	i.RefID, i.State, i.Sessions, i.Submitted = l.refID, Starting, l.waiters, l.submitted
	i.LogPath, i.Application = logPath(l.workDir), l.app
	if l.process != nil {
		i.PID = l.process.Identity().PID
	}
	return i
}

func specInfo(s Spec) Info {
	return Info{User: s.LaunchUser, ShareLevel: s.ShareLevel, Subdomain: s.Subdomain, Path: s.Path()}
}
