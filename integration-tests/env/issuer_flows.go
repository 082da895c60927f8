// SPDX-License-Identifier: Apache-2.0

package env

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Grants of the token endpoint (RFC 6749 section 4, RFC 8628 section 3.4).
const (
	grantDevice   = "urn:ietf:params:oauth:grant-type:device_code"
	grantPassword = "password"
	grantClient   = "client_credentials"
)

const (
	tokenLife  = 10 * time.Minute
	deviceLife = time.Minute
	// deviceInterval is how far apart a program must ask, in seconds.
	deviceInterval = 1
)

// device is a login by device code (RFC 8628) that a person has to allow.
type device struct {
	userCode, client string
	user             string // who allowed it
	denied           bool
	ends, asked      time.Time
}

// Approve lets the person with an account sign in the program that shows a code.
// It is false if no program shows it.
func (i *Issuer) Approve(userCode, user string) bool {
	return i.decide(userCode, func(d *device) { d.user = user })
}

// Deny refuses the program that shows a code.
func (i *Issuer) Deny(userCode string) bool {
	return i.decide(userCode, func(d *device) { d.denied = true })
}

func (i *Issuer) decide(userCode string, how func(*device)) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, d := range i.devices {
		if d.userCode == userCode {
			how(d)
			return true
		}
	}
	return false
}

// deviceCode begins a login by device code (RFC 8628 section 3.2).
func (i *Issuer) deviceCode(w http.ResponseWriter, r *http.Request) {
	client := r.FormValue("client_id")
	if client == "" {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	code, d := rand.Text(), &device{userCode: rand.Text()[:8], client: client, ends: time.Now().Add(deviceLife)}
	i.mu.Lock()
	i.devices[code] = d
	i.mu.Unlock()
	reply(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": d.userCode, "interval": deviceInterval, "expires_in": int(deviceLife.Seconds()),
		"verification_uri": i.URL + "/verify", "verification_uri_complete": i.URL + "/verify?user_code=" + d.userCode,
	})
}

// token is the token endpoint.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	var user, fault string
	code := http.StatusBadRequest
	switch r.FormValue("grant_type") {
	case grantDevice:
		user, fault = i.ofDevice(r.FormValue("device_code"), r.FormValue("client_id"))
	case grantPassword:
		if user, fault = r.FormValue("username"), ""; !i.proves(user, r.FormValue("password")) {
			fault = "invalid_grant"
		}
	case grantClient:
		if user, fault = i.ofClient(r), ""; user == "" {
			code, fault = http.StatusUnauthorized, "invalid_client"
		}
	default:
		fault = "unsupported_grant_type"
	}
	if fault != "" {
		refuse(w, code, fault)
		return
	}
	answer := map[string]any{"access_token": i.Token(user, nil), "token_type": "Bearer", "expires_in": int(tokenLife.Seconds())}
	if strings.Contains(" "+r.FormValue("scope")+" ", " openid ") || r.FormValue("grant_type") == grantDevice {
		answer["id_token"] = i.Token(user, nil)
	}
	reply(w, http.StatusOK, answer)
}

func refuse(w http.ResponseWriter, code int, fault string) {
	reply(w, code, map[string]any{"error": fault, "error_description": "refused by the issuer of this test"})
}

// ofDevice is who allowed a device, or the error of RFC 8628 section 3.5. A code
// is good once.
func (i *Issuer) ofDevice(code, client string) (user, fault string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	d, ok := i.devices[code]
	if !ok || d.client != client {
		return "", "invalid_grant"
	}
	asked := d.asked
	d.asked = time.Now()
	switch {
	case time.Now().After(d.ends):
		return "", "expired_token"
	case d.denied:
		return "", "access_denied"
	case d.user == "" && time.Since(asked) < deviceInterval*time.Second/2:
		return "", "slow_down"
	case d.user == "":
		return "", "authorization_pending"
	}
	delete(i.devices, code)
	return d.user, ""
}

func (i *Issuer) proves(user, password string) bool {
	known, ok := i.People[user]
	return ok && subtle.ConstantTimeCompare([]byte(known.Password), []byte(password)) == 1
}

// ofClient is the client that proves itself by HTTP Basic or in the form (RFC
// 6749 section 2.3.1); "" if it does not.
func (i *Issuer) ofClient(r *http.Request) string {
	id, secret, ok := r.BasicAuth()
	if ok {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	known, ok := i.Clients[id]
	if !ok || subtle.ConstantTimeCompare([]byte(known), []byte(secret)) != 1 {
		return ""
	}
	return id
}
