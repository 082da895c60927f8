// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

// interactive is the only session type that the gateway has.
const interactive = "INTERACTIVE"

// sessionHandle answers the opening of a session. Remote and Hint are ours.
type sessionHandle struct {
	Identifier     string `json:"identifier"`
	KyuubiInstance string `json:"kyuubiInstance"`
	Remote         string `json:"remote"`
	Hint           string `json:"hint,omitempty"`
}

// sessionData is a session in a list. EngineRef and Client are ours. What only another
// gateway knows is left out.
type sessionData struct {
	Identifier      string            `json:"identifier"`
	RemoteID        string            `json:"remoteId"`
	User            string            `json:"user"`
	IPAddr          string            `json:"ipAddr"`
	Conf            map[string]string `json:"conf"`
	CreateTime      int64             `json:"createTime"`
	Duration        *int64            `json:"duration,omitempty"`
	IdleTime        *int64            `json:"idleTime,omitempty"`
	Exception       string            `json:"exception"`
	SessionType     string            `json:"sessionType"`
	KyuubiInstance  string            `json:"kyuubiInstance"`
	EngineID        string            `json:"engineId"`
	EngineName      string            `json:"engineName"`
	EngineURL       string            `json:"engineUrl"`
	SessionName     string            `json:"sessionName"`
	TotalOperations *int              `json:"totalOperations,omitempty"`
	EngineRef       string            `json:"engineRefId"`
	Client          string            `json:"client"`
}

// sessionEvent is one session in full (KyuubiSessionEvent). EngineRef and
// Client are ours.
type sessionEvent struct {
	SessionID string `json:"sessionId"`
	// ClientVersion is a number of the Thrift protocol; Connect has none.
	ClientVersion   int               `json:"clientVersion"`
	SessionType     string            `json:"sessionType"`
	SessionName     string            `json:"sessionName"`
	RemoteSessionID string            `json:"remoteSessionId"`
	EngineID        string            `json:"engineId"`
	EngineName      string            `json:"engineName"`
	EngineURL       string            `json:"engineUrl"`
	User            string            `json:"user"`
	ClientIP        string            `json:"clientIp"`
	ServerIP        string            `json:"serverIp"`
	Conf            map[string]string `json:"conf"`
	EventTime       int64             `json:"eventTime"`
	OpenedTime      int64             `json:"openedTime"`
	StartTime       int64             `json:"startTime"`
	EndTime         int64             `json:"endTime"`
	TotalOperations *int              `json:"totalOperations,omitempty"`
	EngineRef       string            `json:"engineRefId"`
	Client          string            `json:"client"`
}

// openRequest asks for a session. Kyuubi's protocolVersion means nothing here.
type openRequest struct {
	ProtocolVersion int `json:"protocolVersion"`

	Configs map[string]string `json:"configs"`
}

func (s *Server) listSessions(c *call) error {
	writeJSON(c.w, http.StatusOK, s.sessionList(s.o.Sessions.List(c.caller.User)))
	return nil
}

func (s *Server) openSession(c *call) error {
	if c.caller.Host {
		return errs.New(errs.PermissionDenied, "The user who runs the gateway administers it and has no sessions; credentials of a user open one.")
	}
	if reason := s.o.Ready(); reason != nil {
		return errs.New(errs.ShuttingDown, "No session can be opened here: %v. Try again, or at another gateway.", reason)
	}
	var request openRequest
	if err := c.readJSON(&request); err != nil {
		return err
	}
	caller, options, err := s.actFor(c, request.Configs)
	if err != nil {
		return err
	}
	session, err := s.o.Sessions.Open(c.r.Context(), caller, c.caller.Address, options)
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusOK, sessionHandle{
		Identifier:     session.ID,
		KyuubiInstance: s.o.Remote.Address,
		Remote:         s.o.Remote.Line(session.ID, c.caller),
		Hint:           s.o.Remote.LineHint(c.caller),
	})
	return nil
}

// remoteHost is the address of the direct peer without its port.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (s *Server) countSessions(c *call) error {
	writeJSON(c.w, http.StatusOK, map[string]int{"openSessionCount": len(s.o.Sessions.List(""))})
	return nil
}

func (s *Server) showSession(c *call) error {
	v := c.session
	writeJSON(c.w, http.StatusOK, sessionEvent{
		SessionID: v.ID, SessionType: interactive, SessionName: v.Name, RemoteSessionID: v.RemoteID,
		EngineID: v.EngineID, EngineName: v.EngineName, EngineURL: v.EngineURL, EngineRef: v.EngineRef,
		User: v.User, ClientIP: v.ClientAddress, ServerIP: v.Instance, Client: v.Client,
		Conf: s.redact(v.Options), EventTime: time.Now().UnixMilli(), OpenedTime: millis(v.Opened),
		StartTime: millis(v.Opened), TotalOperations: v.Operations,
	})
	return nil
}

func (s *Server) closeSession(c *call) error {
	if err := s.mayEnd(c, c.session); err != nil {
		return err
	}
	c.others = c.session.User != c.caller.User && c.session.OpenedBy != c.caller.User
	err := s.o.Sessions.Close(c.r.Context(), c.session.User, c.session.ID,
		fmt.Sprintf("User %s closed it over REST.", c.caller.User))
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// listAllSessions filters by users (separated by commas) and sessionType.
func (s *Server) listAllSessions(c *call) error {
	users := names(c.query)
	sessions := slices.DeleteFunc(slices.Clone(s.o.Sessions.List("")), func(v SessionView) bool {
		return len(users) > 0 && !slices.Contains(users, v.User) || !s.may(c, See, v.User)
	})
	if kind := c.query.Get("sessionType"); kind != "" && kind != interactive {
		sessions = nil
	}
	writeJSON(c.w, http.StatusOK, s.sessionList(sessions))
	return nil
}

func names(query url.Values) []string {
	return strings.FieldsFunc(query.Get("users"), func(r rune) bool { return r == ',' || r == ' ' })
}

// endSession ends a session of anybody whom the caller may see; with the parameter users, of that user.
func (s *Server) endSession(c *call) error {
	session, err := s.pickSession(c, c.r.PathValue("id"), names(c.query))
	if err != nil {
		return err
	}
	if err := s.mayEnd(c, session); err != nil {
		return err
	}
	err = s.o.Sessions.Close(c.r.Context(), session.User, session.ID,
		fmt.Sprintf("%s %s ended it over REST.", role(c.caller), c.caller.User))
	if err != nil {
		return err
	}
	writeText(c.w, http.StatusOK, fmt.Sprintf("Session %s of user %s is closed.", session.ID, session.User))
	return nil
}

func role(caller auth.Identity) string {
	if caller.Admin {
		return "Administrator"
	}
	return "Operator"
}

// mayEnd refuses to end what the caller may see only.
func (s *Server) mayEnd(c *call, v SessionView) error {
	if v.OpenedBy == c.caller.User || s.may(c, End, v.User) {
		return nil
	}
	return errs.New(errs.PermissionDenied, "User %q may see the sessions of user %q and not end them.", c.caller.User, v.User)
}

// findSession finds a session for a caller: the caller's own, and those of others
// whom the caller may see.
func (s *Server) findSession(c *call, id string) (SessionView, error) {
	session, ok, unknown := s.o.Sessions.Get(c.r.Context(), c.caller.User, id)
	if ok {
		return session, nil
	}
	session, err := s.pickSession(c, id, nil)
	if unknown != nil && errs.Is(err, errs.NotFound) {
		err = unknown
	}
	return session, err
}

// pickSession finds the one session with this id that the caller may see, of one
// of users where there are any. Clients choose ids, so two users may have the same
// one.
func (s *Server) pickSession(c *call, id string, users []string) (SessionView, error) {
	var found []SessionView
	for _, v := range s.o.Sessions.List("") {
		if v.ID == id && (len(users) == 0 || slices.Contains(users, v.User)) && s.may(c, See, v.User) {
			found = append(found, v)
		}
	}
	switch len(found) {
	case 0:
		return SessionView{}, unknownSession(id)
	case 1:
		return found[0], nil
	default:
		return SessionView{}, errs.New(errs.Conflict,
			"%d users have a session %s; use DELETE /api/v1/admin/sessions/%s?users=<name>.", len(found), id, id)
	}
}

func unknownSession(id string) error {
	return errs.New(errs.NotFound, "There is no open session %q.", id)
}

// sessionList is never nil, so that no sessions are shown as [].
func (s *Server) sessionList(views []SessionView) []sessionData {
	now := time.Now()
	list := make([]sessionData, 0, len(views))
	for _, v := range views {
		list = append(list, sessionData{
			Identifier: v.ID, RemoteID: v.RemoteID, User: v.User, IPAddr: v.ClientAddress, Conf: s.redact(v.Options),
			CreateTime: millis(v.Opened), Duration: since(v.Opened, v.LastAccess), IdleTime: since(v.LastAccess, now),
			Exception: v.Failure, SessionType: interactive, KyuubiInstance: v.Instance,
			EngineID: v.EngineID, EngineName: v.EngineName, EngineURL: v.EngineURL, SessionName: v.Name,
			TotalOperations: v.Operations, EngineRef: v.EngineRef, Client: v.Client,
		})
	}
	return list
}

// millis is a time in epoch milliseconds, 0 when unset.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// since is the time between two moments in milliseconds, nil when one is unset.
func since(from, to time.Time) *int64 {
	if from.IsZero() || to.IsZero() {
		return nil
	}
	return new(max(0, to.Sub(from).Milliseconds()))
}
