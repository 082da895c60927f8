// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"roundhouse/discovery"
)

// Info is what people may know of an engine or of a launch.
type Info struct {
	RefID      string
	User       string // whom it belongs to: a user, a group or the user of the gateway
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
	// Fingerprint is that of the configuration it was launched with, Current that of a
	// launch of today; "" where it is not known.
	Fingerprint, Current string
	// Place tells the machine of its process from others.
	Place string
	// Queue is the place in the launch queue, 1 for the next one; 0 outside of it.
	Queue int
	// Application is what the resource manager said last; zero without one.
	Application Application

	spec Spec
}

// Engines lists engines and launches, oldest first, those in the queue last.
func (m *Manager) Engines() []Info {
	m.mu.Lock()
	var all []Info
	for _, e := range m.mu.engines {
		all = append(all, e.info())
	}
	for _, l := range m.mu.starting {
		if l.other != "" {
			continue // it waits for one that is in the list
		}
		i := l.info()
		if l.ticket != nil {
			i.Queue = m.queue.position(l.ticket)
		}
		all = append(all, i)
	}
	for _, r := range m.mu.others {
		all = append(all, recordInfo(r))
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

// Compared is Engines with the fingerprints of today, for which settings are read.
func (m *Manager) Compared() []Info {
	all := m.Engines()
	known := map[string]string{}
	for i := range all {
		if all[i].Fingerprint == "" {
			continue
		}
		spec := all[i].spec
		wishes := fmt.Sprint(spec.User(), spec.LaunchUser, spec.Python, spec.Options)
		if _, found := known[wishes]; !found {
			known[wishes], _ = m.opts.Fingerprint(spec) // none for what could not be launched today
		}
		all[i].Current = known[wishes]
	}
	return all
}

// recordInfo describes a launch of another gateway.
func recordInfo(r discovery.EngineRecord) Info {
	spec, _ := specOf(r) // without it the path is missing
	i := specInfo(spec)
	i.RefID, i.State, i.Submitted, i.PID, i.LogPath = r.RefID, Starting, r.Submitted, r.PID, logPath(r.WorkDir)
	i.Fingerprint, i.Place = r.Fingerprint, r.Owner.Place
	return i
}

func (e *Engine) info() Info {
	i := specInfo(e.spec)
	i.Fingerprint, i.Place = e.fingerprint, e.place
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
	i.LogPath, i.Application, i.Fingerprint = logPath(l.workDir), l.app, l.fingerprint
	if l.process != nil {
		i.PID = l.process.Identity().PID
	}
	return i
}

func specInfo(s Spec) Info {
	return Info{User: s.Owner, ShareLevel: s.ShareLevel, Subdomain: s.Subdomain, Path: s.Path(), spec: s}
}
