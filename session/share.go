// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"

	"roundhouse/auth"
	"roundhouse/conf"
	"roundhouse/engine"
	"roundhouse/internal/errs"
)

// Groups knows the groups of users.
type Groups interface {
	// Primary is the primary group of a user, the user name for one without any.
	Primary(ctx context.Context, user string) (string, error)
}

// share says whose the engine of a user's session is and as whom its driver runs, by
// Kyuubi's rules: the owner is the user, the user's primary group or the user of
// the gateway; the driver runs as the owner, or as the user of the gateway where
// kyuubi.engine.doAs.enabled is false. The client is told what it gives up.
func (p *Planner) share(plan *Plan, user string) error {
	s := &plan.Spec
	switch s.ShareLevel {
	case engine.Group:
		group, err := p.group(user)
		if err != nil {
			return err
		}
		s.Owner, s.Group = group, group
		plan.warn(errs.SharedIdentity, "Your engine is that of group %s (%s=GROUP): what one of its members runs there can see what the others have there.",
			group, conf.EngineShareLevel.Key)
	case engine.Server:
		s.Owner = p.ServerUser
		plan.warn(errs.SharedIdentity, "Your engine is that of all users of this gateway (%s=SERVER): what one of them runs there can see what the others have there.",
			conf.EngineShareLevel.Key)
	default:
		s.Owner = user
	}
	s.LaunchUser = s.Owner
	switch {
	case !plan.Options.DoAs:
		s.LaunchUser = p.ServerUser
		if user != p.ServerUser {
			plan.warn(errs.SharedIdentity, "Your engine works as %s and not as you (%s=false).", p.ServerUser, conf.EngineDoAs.Key)
		}
	case s.ShareLevel == engine.Group && auth.IsRefused(p.Refused, s.Owner):
		return errs.New(errs.PermissionDenied, "The primary group of user %s is %s, and an engine of it would run as the account of the system of that name (%s). "+
			"Ask the administrator for another group (%s), or for the share level USER.", user, s.Owner, conf.RefusedUsers.Key, conf.StaticGroupsKey)
	}
	return nil
}

// group is the primary group of a user, which becomes a folder, a node and a user.
// Nobody is asked for longer than package groups allows.
func (p *Planner) group(user string) (string, error) {
	group, err := p.Groups.Primary(context.Background(), user)
	if err != nil {
		return "", errs.Wrap(errs.AuthUnavailable, err, "The primary group of user %s, which shares an engine here (%s=GROUP), cannot be found out now (%v). "+
			"Try again in a moment.", user, conf.EngineShareLevel.Key, err)
	}
	if auth.ValidUser(group) != nil {
		return "", errs.New(errs.PermissionDenied, "The primary group of user %s is %.70q, which can have no engine (%s=GROUP): its name must be 1 to 64 letters, "+
			"digits or any of . _ @ - and start with a letter or _. Ask the administrator for another group (%s), or for the share level USER.",
			user, group, conf.EngineShareLevel.Key, conf.StaticGroupsKey)
	}
	return group, nil
}
