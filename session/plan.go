// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"fmt"
	"regexp"

	"roundhouse/auth"
	"roundhouse/conf"
	"roundhouse/engine"
	"roundhouse/internal/errs"
)

// Wishes are what a client asks for when it opens a session.
type Wishes struct {
	User  string
	Pairs []conf.Pair
	// Caller is who asks, and Address from where, without port; User is theirs.
	Caller  auth.Identity
	Address string
	// Client is the client_type of the first request; it names the client's Python.
	Client string
}

// Plan is what a session is to get, resolved from all sources of options.
type Plan struct {
	// Spec says which engine.
	Spec engine.Spec
	// Options are the resolved options.
	Options conf.Options
	// Pool, if it is active, is where the engine is still to be chosen: its member
	// decides Spec.Subdomain, which is that of the first one until then. Whoever chooses
	// clears it, for a clone of the session stays on the engine.
	Pool Pool
	// Warnings are sentences for the client, given with its first Config reply.
	Warnings []string
}

// Planner turns wishes into plans.
type Planner struct {
	Resolver *conf.Resolver
	// Namespace is kyuubi.ha.namespace.
	Namespace string
	// Python is the minor version of the Python that an engine of a user with
	// these launch options has, "" if unknown. The user of a shared engine is "".
	Python func(user string, launch map[string]string) string
	// PythonFor returns the interpreter of a user's engines for clients of another
	// minor version, "" if there is none (kyuubi.engine.spark.python.<minor>).
	PythonFor func(user, minor string) string
	// OnlyUser, if set, is the one user whose drivers may run under the gateway's
	// own OS user: a UDF could read the gateway's files (design, identity rule 1).
	OnlyUser string
	// Groups finds the owner of engines at the share level GROUP.
	Groups Groups
	// ServerUser is the user who runs the gateway.
	ServerUser string
	// Refused are users (kyuubi.authentication.refused.users) in whose name no engine of a
	// group may be.
	Refused []string
	// Permit refuses options that the rules for the caller do not allow. Optional.
	Permit func(w Wishes, o conf.Options) error
}

// Plan resolves w. Its errors are the client's answer.
func (p *Planner) Plan(w Wishes) (Plan, error) {
	if p.OnlyUser != "" && w.User != p.OnlyUser {
		return Plan{}, errs.New(errs.PermissionDenied, "This gateway would run the Spark driver of %s under its own system user %s, "+
			"where Python code could read the gateway's files. The administrator can allow that with %s=true.",
			w.User, p.OnlyUser, conf.EngineAllowGatewayUser.Key)
	}
	o, err := p.Resolver.Resolve(w.User, w.Pairs)
	if err != nil {
		return Plan{}, optionError(err)
	}
	if p.Permit != nil {
		if err := p.Permit(w, o); err != nil {
			return Plan{}, err
		}
	}
	plan := Plan{Options: o, Pool: poolOf(o), Spec: engine.Spec{
		Namespace:  p.Namespace,
		ShareLevel: engine.ShareLevel(o.ShareLevel),
		Subdomain:  o.Subdomain,
		Options:    o.Launch,
	}}
	if plan.Pool.Active() {
		plan.Spec.Subdomain = plan.Pool.Subdomain(0)
	}
	if err := p.share(&plan, w.User); err != nil {
		return Plan{}, err
	}
	p.choosePython(&plan, w.Client)
	return plan, nil
}

// warn adds a sentence for the client.
func (p *Plan) warn(class *errs.Class, format string, args ...any) {
	p.Warnings = append(p.Warnings, "[GATEWAY."+class.Name()+"] "+fmt.Sprintf(format, args...))
}

var clientPython = regexp.MustCompile(`\bpython/([0-9]+\.[0-9]+)`)

// choosePython gives clients with another Python than the engines' default an
// engine with theirs, because Spark refuses Python functions across minor
// versions. Where there is none the client is told early, in one sentence.
func (p *Planner) choosePython(plan *Plan, client string) {
	m := clientPython.FindStringSubmatch(client)
	if m == nil {
		return
	}
	user := plan.Spec.User()
	own := p.Python(user, plan.Options.Launch)
	if own == "" || m[1] == own {
		return
	}
	path := p.PythonFor(user, m[1])
	if path == "" {
		plan.warn(errs.PythonMissing, "Your Python is %s and the engine's is %s: "+
			"SQL and DataFrames work, Python functions (UDFs) will fail. Use Python %s, or ask the administrator to set %s%s.",
			m[1], own, own, conf.EnginePythonPrefix, m[1])
		return
	}
	plan.Spec.Python = path
	plan.Spec.Subdomain += pythonMark + m[1] // also of a named one: its engine has one Python
	plan.Pool.rest += pythonMark + m[1]
}

// pythonMark stands before a minor version at the end of a subdomain. Names of
// clients have no dots, so they never look like it.
const pythonMark = "-py"

var ownPython = regexp.MustCompile(pythonMark + `[0-9]+\.[0-9]+$`)

// PlainSubdomain is the subdomain of an engine as people know it: without the
// Python version that a plan adds to it.
func PlainSubdomain(subdomain string) string { return ownPython.ReplaceAllString(subdomain, "") }

// optionError is the first refused option as the client's answer; the others
// follow in its text.
func optionError(err error) error {
	var option *conf.OptionError
	if errors.As(err, &option) && option.Invalid {
		return errs.Wrap(errs.OptionInvalid, err, "%v.", err)
	}
	return errs.Wrap(errs.OptionNotAllowed, err, "%v.", err)
}
