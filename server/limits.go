// SPDX-License-Identifier: Apache-2.0

package server

import (
	"roundhouse/auth/groups"
	"roundhouse/conf"
	"roundhouse/server/frontend"
	"roundhouse/session"
)

func sessionLimits(c *conf.Conf) session.Limits {
	return session.Limits{
		PerUser:    func(user string) int { return conf.LimitSessionsPerUser.Get(c.ForUser(user)) },
		PerAddress: conf.LimitSessionsPerAddress.Get(c), PerUserAddress: conf.LimitSessionsPerUserAddress.Get(c),
		Unlimited:   conf.LimitUnlimitedUsers.Get(c),
		DeniedUsers: conf.LimitDeniedUsers.Get(c), DeniedAddresses: conf.LimitDeniedAddresses.Get(c),
	}
}

func callLimits(c *conf.Conf) frontend.Limits {
	return frontend.Limits{
		Calls:       conf.LimitCallsPerUser.Get(c),
		UploadBytes: conf.LimitArtifactsPerCall.Get(c) << 20, SessionBytes: conf.LimitArtifactsPerSession.Get(c) << 20,
		UploadIdle: conf.ArtifactIdleTimeout.Get(c),
	}
}

func userGroups(c *conf.Conf) (*groups.Provider, error) {
	p, err := groups.New(c.StaticGroups())
	if err != nil {
		return nil, c.Blame(conf.StaticGroupsKey, err)
	}
	for key, asks := range map[string]bool{
		conf.LimitEnginesPerGroup.Key: conf.LimitEnginesPerGroup.Get(c) > 0,
		conf.EngineShareLevel.Key:     conf.EngineShareLevel.Get(c) == conf.ShareGroup,
	} {
		if err := groups.CheckSystem(); asks && err != nil {
			return nil, c.Blame(key, err)
		}
	}
	return p, nil
}
