// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"roundhouse/internal/errs"
)

// What is known of the configuration of an engine.
const (
	configurationCurrent = "current"
	configurationOld     = "old"
)

// configuration tells whether the engine is like one that would be launched now; ""
// where that is not known.
func (v EngineView) configuration(today string) string {
	switch {
	case v.Fingerprint == "":
		return configurationOld // the gateway that launched it did not note it
	case today == "":
		return ""
	case v.Fingerprint == today:
		return configurationCurrent
	}
	return configurationOld
}

// running says whether an engine takes sessions.
func (v EngineView) running() bool { return v.State == "running" }

// retiredData is an engine that is replaced, or with Error one that is to be and goes on.
type retiredData struct {
	RefID     string `json:"refId"`
	User      string `json:"user"`
	Subdomain string `json:"subdomain"`
	Sessions  int    `json:"sessions"`
	Reason    string `json:"reason"`
	Error     string `json:"error,omitempty"`
}

// refresh is which engines are to be replaced, and whether only to tell so. Force does not
// mind that gateways have different configurations.
type refresh struct {
	engineFilter
	all, dry, force bool
}

// reason is why an engine is replaced; "" for one that is not meant.
func (r refresh) reason(v EngineView, today string) string {
	switch {
	case !r.match(v) || !v.running():
		return ""
	case v.Fingerprint == "":
		return "It is not known which configuration it was launched with."
	case v.configuration(today) == configurationOld:
		return "The configuration has changed since it was launched."
	case r.all:
		return "All engines are replaced."
	}
	return ""
}

// refreshEngines lets engines drain whose configuration is not that of today, or all. It goes
// on after a failure, and tells of each engine; it fails when none takes the order.
func (s *Server) refreshEngines(c *call) error {
	r, err := refreshQuery(c)
	if err != nil {
		return err
	}
	if err := s.checkConfigurations(); err != nil && !r.force {
		return err
	}
	list, known, today := []retiredData{}, false, s.o.Engines.CurrentFingerprints()
	var failures []error
	for _, v := range s.o.Engines.Engines() {
		known = known || r.match(v)
		why := r.reason(v, today[v.RefID])
		if why == "" {
			continue
		}
		data := retiredData{RefID: v.RefID, User: v.User, Subdomain: v.Subdomain, Sessions: v.Sessions, Reason: why}
		if err := s.retire(c, r, v, why); err != nil {
			_, body := errs.HTTP(err)
			data.Error = body.Message
			failures = append(failures, fmt.Errorf("engine %s: %w", v.RefID, err))
			s.o.Log.Warn("an engine is to be replaced and goes on", "engine", v.RefID, "user", v.User, "err", err)
		}
		list = append(list, data)
	}
	if len(failures) > 0 && len(failures) == len(list) {
		return errors.Join(failures...)
	}
	if r.refID != "" && !known {
		return errs.New(errs.NotFound, "There is no such engine: %s.", r)
	}
	writeJSON(c.w, http.StatusOK, list)
	return nil
}

// checkConfigurations refuses to judge engines while gateways have different configurations:
// those that one of them has just launched would be old for another.
func (s *Server) checkConfigurations() error {
	servers := s.o.Servers.Servers()
	differs := func(v ServerView) bool { return v.Config != servers[0].Config }
	if !slices.ContainsFunc(servers, differs) {
		return nil
	}
	names := make([]string, len(servers))
	for i, v := range servers {
		names[i] = fmt.Sprintf("%s has %s", v.Address, or(v.Config, "one that is not known"))
	}
	return errs.New(errs.Conflict, "The gateways have different configurations of engines: %s. What is new for one of them is old for another, so nothing was replaced. "+
		"Give all of them the same configuration and restart those that have not read it, then try again; "+
		"or force it (force=true, --force): then the configuration of the gateway that is asked counts.", strings.Join(names, ", "))
}

// retire replaces one engine. One that has ended since it was listed is gone, as
// it should be.
func (s *Server) retire(c *call, r refresh, v EngineView, why string) error {
	if r.dry {
		return nil
	}
	err := s.o.Engines.Retire(c.r.Context(), v.RefID, fmt.Sprintf("%s User %s asked for it over REST.", why, c.caller.User))
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

func refreshQuery(c *call) (r refresh, err error) {
	r.engineFilter = engineFilter{user: c.query.Get("user"), refID: c.query.Get("refId")}
	var all, dry, force error
	r.all, all = boolean(c.query, "all")
	r.dry, dry = boolean(c.query, "dryRun")
	r.force, force = boolean(c.query, "force")
	return r, errors.Join(all, dry, force)
}
