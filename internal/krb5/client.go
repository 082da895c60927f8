// SPDX-License-Identifier: Apache-2.0

package krb5

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/spnego"
)

// Negotiate makes the value of Negotiate credentials (RFC 4559) for the service
// HTTP on a host, with the ticket that kinit left for this user. It asks the KDC
// of the realm. getenv finds KRB5_CONFIG and KRB5CCNAME.
func Negotiate(host string, getenv func(string) string) (string, error) {
	path := getenv("KRB5_CONFIG")
	if path == "" {
		path = "/etc/krb5.conf"
	}
	settings, err := config.Load(path)
	if err != nil && !errors.As(err, new(config.UnsupportedDirective)) {
		return "", fmt.Errorf("the Kerberos configuration %s cannot be used (KRB5_CONFIG names another): %w", path, err)
	}
	cache, err := loadCache(cmp.Or(getenv("KRB5CCNAME"), defaultCache(path)))
	if err != nil {
		return "", err
	}
	person, err := client.NewFromCCache(cache, settings, client.DisablePAFXFAST(true))
	if err != nil {
		return "", fmt.Errorf("the tickets of kinit cannot be used: %w", err)
	}
	defer person.Destroy()
	negotiation := spnego.SPNEGOClient(person, "HTTP/"+host)
	if err := negotiation.AcquireCred(); err != nil {
		return "", fmt.Errorf("no ticket, or one that has expired: run kinit and try again: %w", err)
	}
	token, err := negotiation.InitSecContext()
	if err != nil {
		return "", noTicket(host, err)
	}
	sent, err := token.Marshal()
	if err != nil {
		return "", fmt.Errorf("encoding a ticket: %w", err)
	}
	return base64.StdEncoding.EncodeToString(sent), nil
}

// noTicket says why there is no ticket for a gateway.
func noTicket(host string, err error) error {
	unknown := errorcode.Lookup(errorcode.KDC_ERR_S_PRINCIPAL_UNKNOWN)
	if strings.Contains(err.Error(), unknown) { // gokrb5 wraps no errors
		return fmt.Errorf("the KDC does not know HTTP/%s: call the gateway by the name in its kyuubi.spnego.principal: %s", host, unknown)
	}
	return fmt.Errorf("no ticket for HTTP/%s, as the gateway must be called: %w", host, err)
}

// defaultCache is default_ccache_name in a krb5.conf, which gokrb5 does not keep, or
// the default of MIT, whatever TMPDIR says.
func defaultCache(path string) string {
	name, section := "FILE:/tmp/krb5cc_%{uid}", ""
	text, _ := os.ReadFile(path) // gokrb5 has read it
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		if key, value, _ := strings.Cut(line, "="); section == "[libdefaults]" && strings.TrimSpace(key) == "default_ccache_name" {
			name = strings.Trim(strings.TrimSpace(value), `"`)
			break // the first one counts
		}
	}
	return strings.ReplaceAll(name, "%{uid}", strconv.Itoa(os.Getuid()))
}

// loadCache reads a credential cache; name is a value of KRB5CCNAME.
func loadCache(name string) (*credentials.CCache, error) {
	kind, path, found := strings.Cut(name, ":")
	switch {
	case !found:
		path = name
	case kind != "FILE":
		return nil, fmt.Errorf("tickets in a cache of type %s cannot be read here: run KRB5CCNAME=FILE:$HOME/.krb5cc kinit, and this command with the same KRB5CCNAME", kind)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there are no tickets in %s: run kinit, and if it keeps them elsewhere set KRB5CCNAME=FILE:<path> for both", path)
	}
	cache, err := credentials.LoadCCache(path)
	if err != nil {
		return nil, fmt.Errorf("the tickets in %s cannot be read: %w", path, err)
	}
	return cache, nil
}
