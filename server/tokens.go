// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"slices"
	"time"

	"roundhouse/auth"
	"roundhouse/auth/issue"
	"roundhouse/conf"
	"roundhouse/discovery"
	"roundhouse/internal/errs"
	"roundhouse/internal/secret"
	"roundhouse/server/rest"
	"roundhouse/session"
)

// makeTokens makes the issuer of tokens. Every gateway that authenticates its
// callers accepts what it issues, before other methods are asked.
func (p *parts) makeTokens() (err error) {
	file := p.c.ClusterSecretFile()
	if _, err := secret.LoadOrCreate(file, true); err != nil {
		return err
	}
	scheme := "http://"
	if conf.RESTSSLEnabled.Get(p.c) {
		scheme = "https://"
	}
	p.tokens, err = issue.New(context.Background(), issue.Options{
		Secrets: func() ([][]byte, error) { return secret.Load(file) }, Store: tokenStore{p.store},
		Lifetime: conf.TokenLifetime.Get(p.c), SlideMax: conf.TokenSlideMax.Get(p.c), JobLifetime: conf.TokenJobLifetime.Get(p.c),
		Grace: conf.TokenGrace.Get(p.c), Denied: func(user string) error { return p.access.Denied(user, "") },
		Refused: conf.RefusedUsers.Get(p.c),
		Open: func(user, id string) bool {
			open, _ := p.sessions.Lookup(session.Key{User: user, ID: id})
			return open != nil
		},
		Renew: scheme + p.restAddress, Changed: p.auditToken, Log: p.log,
	})
	if chain, ok := p.auth.(*auth.Chain); ok && err == nil {
		chain.Methods = slices.Insert(chain.Methods, 0, auth.Method(p.tokens))
	}
	return err
}

// HostCredentials are a bearer token for a minute with which the operating
// system user who runs the gateway administers it over REST. It needs the cluster
// secret, which only that user can read.
func HostCredentials(c *conf.Conf) (string, error) {
	own, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("finding out who you are: %w", err)
	}
	cluster, err := secret.LoadOrCreate(c.ClusterSecretFile(), false)
	if err != nil {
		return "", fmt.Errorf("only the user who runs the gateway can do this without credentials (others give --user): %w", err)
	}
	return issue.ForHost(cluster, own.Username)
}

// sharedTokens is where all gateways keep tokens.
type sharedTokens interface {
	discovery.TokenStore
	discovery.TokenFollower
}

// tokenStore keeps the issuer's records in discovery.
type tokenStore struct{ store sharedTokens }

func (s tokenStore) PutToken(ctx context.Context, r issue.Record) error {
	err := s.store.PutToken(ctx, discovery.TokenRecord(r))
	if errors.Is(err, discovery.ErrFull) {
		return errs.Wrap(errs.LimitExceeded, err, "As many tokens are kept as may be. Tell an administrator.")
	}
	return tokensAway(err)
}

// tokensAway gives the answer to callers to an error of the store.
func tokensAway(err error) error {
	if !errors.Is(err, discovery.ErrAway) {
		return err
	}
	return errs.Wrap(errs.StoreAway, err, "Tokens cannot be stored now, as ZooKeeper cannot be reached, so none is issued. Those issued before go on. Try again in a minute.")
}

func (s tokenStore) GetToken(ctx context.Context, id string) (issue.Record, bool, error) {
	r, err := s.store.GetToken(ctx, id)
	if errors.Is(err, discovery.ErrNotFound) {
		return issue.Record{}, false, nil
	}
	return issue.Record(r), err == nil, tokensAway(err)
}

func (s tokenStore) FollowTokens(ctx context.Context, told func(r issue.Record, gone bool)) error {
	return s.store.FollowTokens(ctx, func(r discovery.TokenRecord, gone bool) { told(issue.Record(r), gone) })
}

func (s tokenStore) DeleteToken(ctx context.Context, id string) error {
	return tokensAway(s.store.DeleteToken(ctx, id))
}

func (s tokenStore) Tokens(ctx context.Context) ([]issue.Record, error) {
	records, err := s.store.Tokens(ctx)
	all := make([]issue.Record, 0, len(records))
	for _, r := range records {
		all = append(all, issue.Record(r))
	}
	return all, err
}

// restTokens shows tokens as REST serves them.
type restTokens struct{ *issue.Issuer }

func (t restTokens) Issue(ctx context.Context, by auth.Identity, w rest.TokenWish) (string, rest.TokenView, error) {
	text, r, err := t.Issuer.Issue(ctx, by, issue.Wish(w))
	return text, tokenView(r), err
}

func (t restTokens) List(user string) []rest.TokenView {
	var all []rest.TokenView
	for _, r := range t.Issuer.List(user) {
		all = append(all, tokenView(r))
	}
	return all
}

func tokenView(r issue.Record) rest.TokenView {
	return rest.TokenView{
		ID: r.ID, User: r.User, Name: r.Name, Scope: r.Scope, Method: r.Method, Created: r.Created, Expires: r.Until(), Last: r.Last,
		Revoked: r.Revoked, Used: r.Used,
	}
}

// frontTokens issues tokens over gRPC.
type frontTokens struct{ *issue.Issuer }

func (t frontTokens) Issue(ctx context.Context, by auth.Identity) (text string, expires time.Time, err error) {
	text, r, err := t.Issuer.Issue(ctx, by, issue.Wish{})
	return text, r.Until(), err
}

// challenges are the schemes that callers may use.
func challenges(a auth.Authenticator) []string {
	if chain, ok := a.(*auth.Chain); ok {
		return chain.Challenges()
	}
	return nil
}

// login is how people come by tokens.
func login(c *conf.Conf) rest.Login {
	l := rest.Login{Methods: conf.Authentication.Get(c), Client: conf.LoginClient.Get(c)}
	if l.Client != "" {
		l.Issuer = conf.JWTIssuer.Get(c)
	}
	return l
}
