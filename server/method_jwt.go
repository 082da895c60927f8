// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"log/slog"

	"roundhouse/auth"
	"roundhouse/auth/jwt"
	"roundhouse/conf"
)

func jwtMethod(c *conf.Conf, log *slog.Logger) (auth.Method, error) {
	o := jwt.Options{Refresh: conf.JWTRefresh.Get(c), Log: log}
	for _, name := range c.Issuers() {
		own := c.ForIssuer(name)
		o.Issuers = append(o.Issuers, jwt.Issuer{
			URL: conf.JWTIssuer.Get(own), Audiences: conf.JWTAudience.Get(own), Algorithms: conf.JWTAlgorithms.Get(own),
			KeysURL: conf.JWTKeysURL.Get(own), KeysFile: conf.JWTKeysFile.Get(own), CAFile: conf.JWTCAFile.Get(own),
			UserClaim: conf.JWTUserClaim.Get(own), GroupsClaim: conf.JWTGroupsClaim.Get(own), Domains: conf.JWTUserDomains.Get(own),
		})
	}
	method, err := jwt.New(o)
	if err != nil {
		return nil, fmt.Errorf("%w (kyuubi.authentication.jwt.*)", err)
	}
	return method, nil
}
