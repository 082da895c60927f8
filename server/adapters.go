// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"roundhouse/auth"
	"roundhouse/conf"
	"roundhouse/engine"
	"roundhouse/internal/errs"
	"roundhouse/server/frontend"
	"roundhouse/server/metrics"
	"roundhouse/server/rest"
	"roundhouse/session"
)

// sessionEngines shows the engine manager as sessions need it.
type sessionEngines struct{ *engine.Manager }

func (e sessionEngines) Acquire(ctx context.Context, spec engine.Spec) (session.Lease, error) {
	l, err := e.Manager.Acquire(ctx, spec)
	if err != nil {
		return nil, err
	}
	return lease{l}, nil
}

func (e sessionEngines) Resume(refID string) (session.Lease, bool) {
	l, ok := e.Manager.Resume(refID)
	if !ok {
		return nil, false
	}
	return lease{l}, true
}

type lease struct{ *engine.Lease }

func (l lease) Engine() session.Engine { return l.Lease.Engine() }

// restEngines shows engines as REST serves them, and takes their registrations.
type restEngines struct {
	*engine.Manager
	metrics *metrics.Metrics
}

func (e restEngines) Engines() []rest.EngineView {
	var all []rest.EngineView
	for _, i := range e.Manager.Engines() {
		all = append(all, rest.EngineView{
			RefID: i.RefID, Version: engine.ProtocolVersion, User: i.User, Type: engine.TypeSparkConnect,
			ShareLevel: string(i.ShareLevel), Subdomain: session.PlainSubdomain(i.Subdomain), Address: i.Address, Path: i.Path,
			Attributes: i.Attributes, State: string(i.State), Sessions: i.Sessions,
			Submitted: i.Submitted, PID: i.PID, LogPath: i.LogPath, Queue: i.Queue,
			AppState: i.Application.State, AppDiagnostic: i.Application.Waiting,
			Fingerprint: i.Fingerprint, Place: i.Place,
		})
	}
	return all
}

func (e restEngines) CurrentFingerprints() map[string]string {
	all := map[string]string{}
	for _, i := range e.Compared() {
		all[i.RefID] = i.Current
	}
	return all
}

func (e restEngines) Register(ctx context.Context, refID, path, node string, timeMs int64) (rest.Welcome, error) {
	w, err := e.Manager.Register(ctx, refID, path, node, timeMs)
	switch {
	case errors.Is(err, engine.ErrForbidden):
		e.metrics.NodeRejected(metrics.RejectedInvalid)
	case errors.Is(err, engine.ErrGone):
		e.metrics.NodeRejected(metrics.RejectedUnknown)
	}
	return rest.Welcome(w), pluginError(err)
}

func (e restEngines) Deregister(ctx context.Context, refID, path, reason, detail string) error {
	return pluginError(e.Manager.Deregister(ctx, refID, path, reason, detail))
}

// pluginError gives the engine package's answers to plugins their HTTP status.
func pluginError(err error) error {
	switch {
	case errors.Is(err, engine.ErrGone):
		return rest.ErrEngineGone
	case errors.Is(err, engine.ErrForbidden):
		return errs.Wrap(errs.PermissionDenied, err, "%v.", err)
	case errors.Is(err, engine.ErrBusy):
		return errs.Wrap(errs.Conflict, err, "%v.", err)
	}
	return err
}

// restSessions shows sessions as REST serves them.
type restSessions struct {
	*session.Manager
	planner *session.Planner
	engines *engine.Manager
	holds   *frontend.Holds
	// instance is the address of a gateway.
	instance func(gateway string) string
}

func (s restSessions) Open(ctx context.Context, caller auth.Identity, from string, configs map[string]string) (rest.SessionView, error) {
	w := session.Wishes{User: caller.User, Caller: caller, Address: from}
	for k, v := range configs {
		w.Pairs = append(w.Pairs, conf.Pair{Key: k, Value: v})
	}
	plan, err := s.planner.Plan(w)
	if err != nil {
		return rest.SessionView{}, err
	}
	leave, err := s.holds.Enter(caller.User)
	if err != nil {
		return rest.SessionView{}, err
	}
	opened, err := s.OpenAhead(ctx, session.Request{
		Key: session.Key{User: caller.User, ID: uuid.NewString()}, RealUser: caller.RealUser, Plan: plan, Address: from,
	}, leave)
	if err != nil {
		return rest.SessionView{}, err
	}
	return s.view(opened, s.byRef()), nil
}

func (s restSessions) List(user string) []rest.SessionView {
	engines := s.byRef()
	var all []rest.SessionView
	for _, one := range s.Manager.List() {
		if user == "" || one.User == user || one.OpenedBy() == user {
			all = append(all, s.view(one, engines))
		}
	}
	return all
}

func (s restSessions) Get(ctx context.Context, user, id string) (rest.SessionView, bool, error) {
	one, _, err := s.Find(ctx, session.Key{User: user, ID: id})
	if owner, known := s.ActsFor(user, id); one == nil && known {
		one, _, err = s.Find(ctx, session.Key{User: owner, ID: id})
	}
	if one == nil {
		return rest.SessionView{}, false, err
	}
	return s.view(one, s.byRef()), true, nil
}

func (s restSessions) Close(ctx context.Context, user, id, reason string) error {
	return s.Manager.Close(ctx, session.Key{User: user, ID: id}, reason)
}

func (s restSessions) byRef() map[string]engine.Info {
	all := map[string]engine.Info{}
	for _, i := range s.engines.Engines() {
		all[i.RefID] = i
	}
	return all
}

func (s restSessions) view(one *session.Session, engines map[string]engine.Info) rest.SessionView {
	v := rest.SessionView{
		ID: one.ID, User: one.User, OpenedBy: one.OpenedBy(), Name: one.Plan.Options.Name, ClientAddress: one.Address, Client: one.Client,
		Options: one.Plan.Options.Choices, Opened: one.Opened, RemoteID: one.ID, Instance: s.instance(one.Gateway()),
	}
	if one.Seen() {
		v.LastAccess, v.Operations = one.LastAccess(), new(one.Operations())
	}
	if e := one.Engine(); e != nil {
		i := engines[e.RefID()]
		v.EngineRef, v.EngineID, v.EngineName, v.EngineURL = e.RefID(), i.AppID, i.Path, i.Attributes["kyuubi.engine.url"]
	}
	return v
}
