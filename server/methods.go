// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"log/slog"
	"os/user"

	"roundhouse/auth"
	"roundhouse/auth/certificate"
	"roundhouse/auth/kerberos"
	"roundhouse/auth/token"
	"roundhouse/conf"
	"roundhouse/internal/krb5"
)

// methodMaker makes one method of kyuubi.authentication. Errors name the setting
// to change.
type methodMaker func(c *conf.Conf, log *slog.Logger) (auth.Method, error)

// methodMakers are the methods that exist.
func methodMakers() map[string]methodMaker {
	return map[string]methodMaker{
		conf.AuthToken:       tokenMethod,
		conf.AuthCertificate: certificateMethod,
		conf.AuthLDAP:        ldapMethod,
		conf.AuthKerberos:    kerberosMethod,
		conf.AuthJWT:         jwtMethod,
	}
}

// newAuthenticator makes what kyuubi.authentication asks for; a decides about
// those whom a method vouches for.
func newAuthenticator(c *conf.Conf, a *access, log *slog.Logger) (auth.Authenticator, error) {
	if !c.Authenticates() {
		return auth.None{}, nil
	}
	chain := &auth.Chain{Administrators: conf.Administrators.Get(c), Refused: conf.RefusedUsers.Get(c)}
	chain.Admit = append(chain.Admit, a.admit)
	chain.Watchers = append(chain.Watchers, throttleOf(c))
	if own, err := user.Current(); err == nil {
		chain.Administrators = append(chain.Administrators, own.Username) // as in Kyuubi
	}
	for _, name := range conf.Authentication.Get(c) {
		if name == conf.AuthToken && conf.AuthTokenFile.Get(c) == "" {
			continue // issued tokens alone, for which makeTokens cares
		}
		method, err := methodMakers()[name](c, log)
		if err != nil {
			return nil, err
		}
		chain.Methods = append(chain.Methods, method)
	}
	return chain, nil
}

func tokenMethod(c *conf.Conf, log *slog.Logger) (auth.Method, error) {
	tokens, err := token.New(conf.AuthTokenFile.Get(c), log)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, conf.AuthTokenFile.Key)
	}
	return tokens, nil
}

func certificateMethod(c *conf.Conf, _ *slog.Logger) (auth.Method, error) {
	method, err := certificate.New(conf.CertificateUser.Get(c))
	if err != nil {
		return nil, c.Blame(conf.CertificateUser.Key, err)
	}
	return method, nil
}

func kerberosMethod(c *conf.Conf, _ *slog.Logger) (auth.Method, error) {
	method, err := kerberos.New(kerberos.Options{
		Principal: conf.SpnegoPrincipal.Get(c), Keytab: conf.SpnegoKeytab.Get(c), ReplayDir: c.ReplayDir(), Rules: c.AuthToLocal(),
	})
	switch {
	case errors.Is(err, kerberos.ErrRules):
		return nil, fmt.Errorf("%w (%s)", err, conf.AuthToLocalKey)
	case errors.Is(err, krb5.ErrReplays):
		return nil, fmt.Errorf("%w (%s)", err, conf.KerberosReplayDir.Key)
	case err != nil:
		return nil, fmt.Errorf("%w (%s)", err, conf.SpnegoKeytab.Key)
	}
	return method, nil
}
