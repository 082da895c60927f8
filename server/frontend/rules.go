// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"time"

	"roundhouse/server/proxy"
)

// rule is what is declared about one RPC. A method without a rule (one that
// Spark adds later) gets the zero rule: the session's owner may call it, and it
// never opens a session.
type rule struct {
	// opens says that the RPC may open a session and launch an engine.
	opens bool
	// observed is the field number of client_observed_server_side_session_id,
	// and client that of client_type; 0 if the request has none.
	observed, client int
	// local answers for a session without an engine; nil means no answer.
	local localReply
	// evenEnded says that local also serves sessions that have ended.
	evenEnded bool
	// check, if not nil, may refuse any request message, the first one before a
	// session opens for it.
	check func(proxy.Request) error
	// lapsed says that a caller whose token has just expired may do it still: go on
	// with what was begun before, or end it.
	lapsed bool
	// timeout bounds the call at the engine; 0 means the client's deadline.
	timeout time.Duration
}

// judge asks the rule's check about a request message.
func (r rule) judge(req proxy.Request) error {
	if r.check == nil {
		return nil
	}
	return r.check(req)
}

// interruptTimeout bounds Interrupt: Spark 4.1 never answers it for unknown ids.
const interruptTimeout = 30 * time.Second

// ruleTable declares every RPC of Spark 4.3 (field numbers from base.proto; a
// test compares them with the descriptors).
func ruleTable() map[string]rule {
	return map[string]rule{
		"ExecutePlan":       {opens: true, observed: 8, client: 4, local: cleanCacheReply, evenEnded: true},
		"AnalyzePlan":       {opens: true, observed: 17, client: 3},
		"Config":            {opens: true, observed: 8, client: 4, local: planCompressionReply},
		"AddArtifacts":      {opens: true, observed: 7, client: 6, check: checkArtifacts},
		"ArtifactStatus":    {observed: 5, client: 3, local: artifactStatusReply},
		"Interrupt":         {observed: 7, client: 3, lapsed: true, timeout: interruptTimeout},
		"ReattachExecute":   {observed: 6, client: 4, lapsed: true},
		"ReleaseExecute":    {observed: 7, client: 4, lapsed: true, local: releaseExecuteReply, evenEnded: true},
		"ReleaseSession":    {client: 3, lapsed: true, local: releaseSessionReply, evenEnded: true},
		"FetchErrorDetails": {observed: 5, client: 4, local: fetchErrorDetailsReply, evenEnded: true},
		"CloneSession":      {observed: 5, client: 3},
		"GetStatus":         {observed: 4, client: 3},
	}
}
