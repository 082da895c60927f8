// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
)

// loginWays is Login of the REST API.
type loginWays struct {
	Issuer string `json:"issuer"`
	Client string `json:"clientId"`
}

// provider is what is read of an OpenID Connect provider (OpenID Connect
// Discovery 1.0 section 3, RFC 8628 section 4).
type provider struct {
	Issuer string `json:"issuer"`
	Device string `json:"device_authorization_endpoint"`
	Token  string `json:"token_endpoint"`
}

// signIn is a login at the issuer of a gateway by device code: the person allows
// this program in a browser, on any machine. It returns the ID token.
func (a *app) signIn(ctx context.Context, c *caller) (string, error) {
	var ways loginWays
	if err := c.call(ctx, http.MethodGet, "/api/v1/login", nil, &ways); err != nil {
		return "", err
	}
	if ways.Issuer == "" || ways.Client == "" {
		return "", errors.New("this gateway offers no login at an issuer (kyuubi.authentication.login.client.id): use --user or --negotiate")
	}
	found, err := discover(ctx, c.http, ways.Issuer)
	if err != nil {
		return "", fmt.Errorf("the issuer %s: %w", ways.Issuer, err)
	}
	flow := oauth2.Config{
		ClientID: ways.Client, Scopes: []string{"openid", "profile"},
		Endpoint: oauth2.Endpoint{DeviceAuthURL: found.Device, TokenURL: found.Token, AuthStyle: oauth2.AuthStyleInParams},
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, c.http)
	code, err := flow.DeviceAuth(ctx)
	if err != nil {
		return "", fmt.Errorf("the issuer %s: %w", ways.Issuer, err)
	}
	fmt.Fprintf(a.stderr, "Open %s in a browser and enter the code %s\n", printable(code.VerificationURI), printable(code.UserCode))
	token, err := flow.DeviceAccessToken(ctx, code)
	if err != nil {
		return "", fmt.Errorf("you are not logged in at %s: %w", ways.Issuer, err)
	}
	id, ok := token.Extra("id_token").(string)
	if !ok {
		return "", fmt.Errorf("the issuer %s sent no ID token", ways.Issuer)
	}
	return id, nil
}

// discover reads what a provider says of itself, which must name itself, and
// addresses to which nobody on the way listens.
func discover(ctx context.Context, client *http.Client, issuer string) (p provider, err error) {
	if err := requireConfidential(issuer); err != nil {
		return p, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return p, err
	}
	reply, err := client.Do(r)
	if err != nil {
		return p, err
	}
	defer func() { _ = reply.Body.Close() }() // it has been read
	if err := json.NewDecoder(io.LimitReader(reply.Body, maxAnswer)).Decode(&p); err != nil || reply.StatusCode != http.StatusOK {
		return p, fmt.Errorf("it has no OpenID Connect Discovery (%s)", reply.Status)
	}
	switch {
	case p.Issuer != issuer:
		return p, fmt.Errorf("it says that it is %q", p.Issuer)
	case p.Device == "" || p.Token == "":
		return p, errors.New("it has no login by device code")
	}
	return p, errors.Join(requireConfidential(p.Device), requireConfidential(p.Token))
}

func requireConfidential(address string) error {
	if u, err := url.Parse(address); err != nil || !confidential(u) {
		return fmt.Errorf("%q is no https:// address, so the login could be read on the way", address)
	}
	return nil
}
