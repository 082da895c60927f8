// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"strings"

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

// share says whose the engine of a user's session is and in whose name it is launched, by
// Kyuubi's rules: the owner is the user, the user's primary group or the user of
// the gateway; the name is the owner's, or that of the user of the gateway where
// kyuubi.engine.doAs.enabled is false. The client is told what it gives up. Without
// impersonation the driver is a process of the gateway's user whatever the name.
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
			plan.warn(errs.SharedIdentity, "Your engine is in the name of %s and not in yours (%s=false); there is no impersonation yet, so its driver runs as that user whatever the setting says.",
				p.ServerUser, conf.EngineDoAs.Key)
		}
	case s.ShareLevel == engine.Group && strings.EqualFold(s.Owner, p.ServerUser) && user != p.ServerUser:
		return errs.New(errs.PermissionDenied, "The primary group of user %s is %s, and an engine of it would be in the name of the user of the gateway. "+
			"Ask the administrator for another group (%s), or for the share level USER.", user, s.Owner, conf.StaticGroupsKey)
	case s.ShareLevel == engine.Group && auth.IsRefused(p.Refused, s.Owner):
		return errs.New(errs.PermissionDenied, "The primary group of user %s is %s, and an engine of it would be in the name of the account of the system that is called so (%s). "+
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
