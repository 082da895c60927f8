// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"errors"
	"fmt"
	"net/http"

	"roundhouse/internal/errs"
)

// What is known of the configuration of an engine.
const (
	configurationCurrent = "current"
	configurationOld     = "old"
)

// configuration tells whether the engine is like one that would be launched now; ""
// where that is not known.
func (v EngineView) configuration() string {
	switch {
	case v.Fingerprint == "":
		return configurationOld // the gateway that launched it did not note it
	case v.CurrentFingerprint == "":
		return ""
	case v.Fingerprint == v.CurrentFingerprint:
		return configurationCurrent
	}
	return configurationOld
}

// running says whether an engine takes sessions.
func (v EngineView) running() bool { return v.State == "running" }

// retiredData is an engine that is replaced.
type retiredData struct {
	RefID     string `json:"refId"`
	User      string `json:"user"`
	Subdomain string `json:"subdomain"`
	Sessions  int    `json:"sessions"`
	Reason    string `json:"reason"`
}

// refresh is which engines are to be replaced, and whether only to tell so.
type refresh struct {
	engineFilter
	all, dry bool
}

// reason is why an engine is replaced; "" for one that is not meant.
func (r refresh) reason(v EngineView) string {
	switch {
	case !r.match(v) || !v.running():
		return ""
	case v.Fingerprint == "":
		return "It is not known which configuration it was launched with."
	case v.configuration() == configurationOld:
		return "The configuration has changed since it was launched."
	case r.all:
		return "All engines are replaced."
	}
	return ""
}

// refreshEngines lets engines drain whose configuration is not that of today, or all.
func (s *Server) refreshEngines(c *call) error {
	r, err := refreshQuery(c)
	if err != nil {
		return err
	}
	list, known := []retiredData{}, false
	var failures []error
	for _, v := range s.o.Engines.Engines() {
		known = known || r.match(v)
		why := r.reason(v)
		if why == "" {
			continue
		}
		if err := s.retire(c, r, v, why); err != nil {
			failures = append(failures, fmt.Errorf("engine %s: %w", v.RefID, err))
			continue
		}
		list = append(list, retiredData{RefID: v.RefID, User: v.User, Subdomain: v.Subdomain, Sessions: v.Sessions, Reason: why})
	}
	if err := errors.Join(failures...); err != nil {
		return err
	}
	if r.refID != "" && !known {
		return errs.New(errs.NotFound, "There is no such engine: %s.", r)
	}
	writeJSON(c.w, http.StatusOK, list)
	return nil
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
	var all, dry error
	r.all, all = boolean(c.query, "all")
	r.dry, dry = boolean(c.query, "dryRun")
	return r, errors.Join(all, dry)
}
