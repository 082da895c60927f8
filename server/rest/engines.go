// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"roundhouse/conf"
	"roundhouse/internal/errs"
)

// engineData is an engine in Kyuubi's shape; the fields from RefID on are ours.
type engineData struct {
	Version       string            `json:"version"`
	User          string            `json:"user"`
	EngineType    string            `json:"engineType"`
	ShareLevel    string            `json:"sharelevel"`
	Subdomain     string            `json:"subdomain"`
	Instance      string            `json:"instance"`
	Namespace     string            `json:"namespace"`
	Attributes    map[string]string `json:"attributes"`
	RefID         string            `json:"refId"`
	State         string            `json:"state"`
	Sessions      int               `json:"sessions"`
	SubmitTime    int64             `json:"submitTime"`
	QueuePosition int               `json:"queuePosition,omitempty"`
	// AppState and AppDiagnostic are named as in Kyuubi's batches.
	AppState      string `json:"appState,omitempty"`
	AppDiagnostic string `json:"appDiagnostic,omitempty"`
	Configuration string `json:"configuration,omitempty"`
	// Place, PID and Log are for administrators.
	Place string `json:"place,omitempty"`
	PID   int    `json:"pid,omitempty"`
	Log   string `json:"log,omitempty"`
}

// engineFilter says which engines a call means. Empty fields match all.
type engineFilter struct {
	user       string
	engineType string
	shareLevel string
	subdomain  string
	refID      string
}

func (s *Server) listEngines(c *call) error {
	filter, err := s.engineQuery(c, See)
	if err != nil {
		return err
	}
	list := []engineData{}
	today := s.o.Engines.CurrentFingerprints()
	for _, v := range s.matching(c, filter, See) {
		list = append(list, engineJSON(v, today[v.RefID], c.caller.Admin))
	}
	writeJSON(c.w, http.StatusOK, list)
	return nil
}

// stopEngines stops the engine refId, else all engines of one engine space,
// whose subdomain is "default" unless named, as in Kyuubi.
func (s *Server) stopEngines(c *call) error {
	filter, err := s.engineQuery(c, End)
	if err != nil {
		return err
	}
	kill, err := boolean(c.query, "kill")
	if err != nil {
		return err
	}
	if filter.refID == "" {
		if filter.user == "" && !strings.EqualFold(filter.shareLevel, conf.ShareServer) {
			return errs.New(errs.InvalidRequest, "all=true is for listing; name the engines to stop by proxyUser or refId, or by sharelevel=SERVER those of all users.")
		}
		filter.subdomain = or(filter.subdomain, conf.DefaultSubdomain)
	}
	engines := s.matching(c, filter, End)
	if len(engines) == 0 {
		return errs.New(errs.NotFound, "There is no such engine: %s.", filter)
	}
	c.others = slices.ContainsFunc(engines, func(v EngineView) bool { return v.shared() || v.User != c.caller.User })
	if err := s.stopAll(c, engines, kill); err != nil {
		return err
	}
	writeText(c.w, http.StatusOK, stopped(engines))
	return nil
}

// stopAll stops one after the other and goes on after a failure.
func (s *Server) stopAll(c *call, engines []EngineView, kill bool) error {
	reason := fmt.Sprintf("User %s stopped it over REST.", c.caller.User)
	if kill {
		reason = fmt.Sprintf("User %s killed it over REST.", c.caller.User)
	}
	var failures []error
	for _, v := range engines {
		if err := s.o.Engines.Stop(c.r.Context(), v.RefID, kill, reason); err != nil {
			failures = append(failures, fmt.Errorf("engine %s: %w", v.RefID, err))
		}
	}
	return errors.Join(failures...)
}

func stopped(engines []EngineView) string {
	var b strings.Builder
	for _, v := range engines {
		fmt.Fprintf(&b, "Engine %s (%s) is deleted successfully.\n", v.Path, v.RefID)
	}
	return b.String()
}

// matching are the engines that are meant, of those to which the caller may do
// this.
func (s *Server) matching(c *call, f engineFilter, do Action) []EngineView {
	return slices.DeleteFunc(slices.Clone(s.o.Engines.Engines()), func(v EngineView) bool { return !f.match(v) || !s.mayEngine(c, do, v) })
}

// mayEngine says whether the caller may do this to an engine. One that several users
// share belongs to none of them, whatever its owner is called: it is for administrators.
func (s *Server) mayEngine(c *call, do Action, v EngineView) bool {
	if v.shared() {
		return c.caller.Admin
	}
	return s.may(c, do, v.User)
}

// engineQuery reads the parameters of Kyuubi (type, sharelevel, subdomain,
// proxyUser or hive.server2.proxy.user) and ours (refId, all). By default a
// call means the caller's own engines.
func (s *Server) engineQuery(c *call, do Action) (engineFilter, error) {
	caller, query := c.caller, c.query
	all, err := boolean(query, "all")
	if err != nil {
		return engineFilter{}, err
	}
	named := or(query.Get("proxyUser"), query.Get("hive.server2.proxy.user"))
	others := caller.Admin || s.o.Access != nil && s.o.Access.IsOperator(c.r.Context(), caller)
	if all && !others || named != "" && !s.may(c, do, named) {
		return engineFilter{}, errs.New(errs.PermissionDenied,
			"Only an administrator, or an operator of these users, may ask for the engines of other users, and user %q is none.", caller.User)
	}
	f := engineFilter{
		user:       or(named, caller.User),
		engineType: query.Get("type"),
		shareLevel: query.Get("sharelevel"),
		subdomain:  strings.ToLower(query.Get("subdomain")),
		refID:      query.Get("refId"),
	}
	byLevel := strings.EqualFold(f.shareLevel, conf.ShareServer) // all of them have one owner, whom nobody needs to name
	if all || others && named == "" && (f.refID != "" || byLevel) {
		f.user = ""
	}
	return f, nil
}

func (f engineFilter) match(v EngineView) bool {
	return (f.user == "" || f.user == v.User) &&
		(f.engineType == "" || strings.EqualFold(f.engineType, v.Type)) &&
		(f.shareLevel == "" || strings.EqualFold(f.shareLevel, v.ShareLevel)) &&
		(f.subdomain == "" || f.subdomain == v.Subdomain) &&
		(f.refID == "" || f.refID == v.RefID)
}

// String names what was asked for.
func (f engineFilter) String() string {
	pairs := []string{}
	for _, p := range [][2]string{
		{"user", f.user}, {"type", f.engineType}, {"sharelevel", f.shareLevel},
		{"subdomain", f.subdomain}, {"refId", f.refID},
	} {
		if p[1] != "" {
			pairs = append(pairs, fmt.Sprintf("%s=%q", p[0], p[1]))
		}
	}
	return strings.Join(pairs, ", ")
}

func engineJSON(v EngineView, today string, full bool) engineData {
	attributes := maps.Clone(v.Attributes)
	delete(attributes, "mac")
	if attributes == nil {
		attributes = map[string]string{}
	}
	data := engineData{
		Version: v.Version, User: v.User, EngineType: v.Type, ShareLevel: v.ShareLevel, Subdomain: v.Subdomain,
		Instance: v.Address, Namespace: v.Path, Attributes: attributes,
		RefID: v.RefID, State: v.State, Sessions: v.Sessions, SubmitTime: millis(v.Submitted), QueuePosition: v.Queue,
		AppState: v.AppState, AppDiagnostic: v.AppDiagnostic, Configuration: v.configuration(today),
	}
	if full {
		data.Place, data.PID, data.Log = v.Place, v.PID, v.LogPath
	}
	return data
}

// boolean reads a parameter that is true, false or absent.
func boolean(query url.Values, name string) (bool, error) {
	text := query.Get(name)
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, errs.New(errs.InvalidRequest, "%s=%s is neither true nor false.", name, text)
	}
	return value, nil
}

func or(first, second string) string {
	if first != "" {
		return first
	}
	return second
}
