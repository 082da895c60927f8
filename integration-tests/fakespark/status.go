// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"os"
	"runtime"
	"slices"
	"strconv"
)

// sessionStatus is one session in the answer to /v1/status.
type sessionStatus struct {
	User              string `json:"user"`
	SessionID         string `json:"sessionId"`
	StartTimeMs       int64  `json:"startTimeMs"`
	LastAccessMs      int64  `json:"lastAccessMs"`
	RunningOperations int    `json:"runningOperations"`
	StreamingQueries  int    `json:"streamingQueries"`
	Internal          bool   `json:"internal"`
}

// status implements handler.
func (d *driver) status() any {
	sessions := []sessionStatus{}
	for _, i := range d.engine.Sessions() {
		sessions = append(sessions, sessionStatus{
			User: i.User, SessionID: i.ID, StartTimeMs: i.Opened.UnixMilli(),
			LastAccessMs: i.LastAccess.UnixMilli(), RunningOperations: i.Running,
		})
	}
	slices.SortFunc(sessions, func(a, b sessionStatus) int { return cmp.Compare(a.SessionID, b.SessionID) })
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return map[string]any{
		"refId": d.s.refID, "state": d.state(), "sparkVersion": sparkVersion, "applicationId": d.applicationID(),
		"uiUrl": "", "startTimeMs": d.began.UnixMilli(), "heapUsedBytes": mem.HeapAlloc, "heapMaxBytes": mem.Sys,
		"lastEvent": d.events.newest(), "sessions": sessions,
	}
}

func (d *driver) state() string {
	switch {
	case d.stopping.Load():
		return "stopping"
	case d.draining.Load() != nil:
		return "draining"
	}
	return "running"
}

func (d *driver) applicationID() string { return "local-" + strconv.FormatInt(d.began.UnixMilli(), 10) }

// about are the attributes of the registration that describe the engine.
func (d *driver) about() map[string]string {
	return map[string]string{
		"sparkVersion":          sparkVersion,
		"config":                d.s.config,
		"kyuubi.engine.id":      d.applicationID(),
		"kyuubi.engine.url":     "",
		"spark.driver.memory":   cmp.Or(d.props["spark.driver.memory"], "1g"),
		"spark.executor.memory": cmp.Or(d.props["spark.executor.memory"], "1g"),
		"pid":                   strconv.Itoa(os.Getpid()),
	}
}
