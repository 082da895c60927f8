// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"roundhouse/auth"
	"roundhouse/conf"
	"roundhouse/internal/tlsx"
)

// rootsVariable names the file of authorities for gRPC's C core, which PySpark
// uses; it does not look into the trust store of the system.
const rootsVariable = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"

// certificatesFlags are what the command is asked for.
type certificatesFlags struct {
	dir   string
	hosts []string
	users []string
}

func (a *app) certificatesCommand() *cobra.Command {
	var f certificatesFlags
	cmd := command("certificates", "Make certificates for a trial of TLS",
		func(context.Context) error { return a.certificates(f) })
	cmd.Long = `Make a certificate for this gateway, signed by an authority of its own that the
first call makes too. The settings to add are written to standard output:

  gateway certificates >> conf/kyuubi-defaults.conf

Call it again to renew the certificate before it expires, after a year: a running gateway
takes the new one within seconds, and clients go on to trust it. It stays good for the
names that it had; --client without --host leaves it as it is.`
	cmd.Flags().StringVar(&f.dir, "dir", "", "folder for the files (default: tls in kyuubi.server.data.dir)")
	cmd.Flags().StringArrayVar(&f.hosts, "host", nil, "a further name or address by which clients reach this machine, may be repeated")
	cmd.Flags().StringArrayVar(&f.users, "client", nil, "a user to make a client certificate for (method CERTIFICATE), may be repeated")
	return cmd
}

func (a *app) certificates(f certificatesFlags) error {
	for _, user := range f.users {
		if err := auth.ValidUser(user); err != nil {
			return &exitError{code: ExitUsage, err: fmt.Errorf("--client: %w", err)}
		}
	}
	home, err := a.home()
	if err != nil {
		return err
	}
	c, err := conf.Load(conf.LoadOptions{Home: home, Getenv: a.getenv})
	if err != nil {
		return err
	}
	if f.dir == "" {
		f.dir = c.TrialTLS()
	}
	if f.dir, err = filepath.Abs(f.dir); err != nil {
		return err
	}
	hosts, err := certificateHosts(c, f.hosts)
	if err != nil {
		return err
	}
	authority, err := tlsx.OpenAuthority(f.dir, hosts[0])
	if err != nil {
		return err
	}
	server, err := a.serverCertificate(authority, hosts, len(f.users) > 0 && len(f.hosts) == 0)
	if err != nil {
		return err
	}
	a.certificateSettings(c, authority.Files, server, len(f.users) > 0)
	for _, user := range f.users {
		pair, err := authority.Client(user)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stderr, "%s, with the key %s, is for user %s alone: hand both over by a safe way.\n", pair.Certificate, pair.Key, user)
	}
	fmt.Fprint(a.stderr, trustSnippet(authority.Files.Certificate, certificateAddress(c, hosts[0])))
	return nil
}

// serverCertificate makes or renews the certificate of this gateway, also for the
// names that it had; one that is to be left is made only if there is none.
func (a *app) serverCertificate(authority *tlsx.Authority, hosts []string, leave bool) (tlsx.Pair, error) {
	server, had := authority.Present()
	if leave && len(had) > 0 {
		fmt.Fprintf(a.stderr, "%s, the certificate of this gateway, stays as it is.\n", server.Certificate)
		return server, nil
	}
	for _, host := range had {
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	server, err := authority.Server(hosts)
	if err == nil {
		fmt.Fprintf(a.stderr, "%s is the certificate of this gateway, for %v.\n", server.Certificate, hosts)
	}
	return server, err
}

// certificateHosts are the names and addresses to certify: the one that clients
// are told first, then those that always reach this machine.
func certificateHosts(c *conf.Conf, further []string) ([]string, error) {
	var hosts []string
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	for _, host := range append([]string{conf.FrontendAdvertisedHost.Get(c), name, "localhost", "127.0.0.1", "::1"}, further...) {
		if host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	for _, host := range further {
		if _, _, err := net.SplitHostPort(host); err == nil {
			return nil, &exitError{code: ExitUsage, err: errors.New("--host takes a name or an address without a port")}
		}
	}
	return hosts, nil
}

// certificateSettings writes the settings that the configuration does not have
// yet, as lines for its file.
func (a *app) certificateSettings(c *conf.Conf, authority, server tlsx.Pair, clients bool) {
	lines := [][2]string{
		{conf.SSLCertificate.Key, server.Certificate}, {conf.SSLKey.Key, server.Key},
		{conf.ConnectSSLEnabled.Key, "true"}, {conf.RESTSSLEnabled.Key, "true"},
	}
	if clients {
		lines = append(lines, [2]string{conf.SSLClientCA.Key, authority.Certificate},
			[2]string{conf.ConnectSSLClientAuth.Key, "OPTIONAL"}, [2]string{conf.RESTSSLClientAuth.Key, "OPTIONAL"})
	}
	for _, line := range lines {
		if _, set := c.Raw(line[0]); !set {
			a.say("%s=%s", line[0], line[1])
		}
	}
}

func certificateAddress(c *conf.Conf, host string) string {
	if bound := c.ConnectHost(); net.ParseIP(bound) != nil && !net.ParseIP(bound).IsUnspecified() {
		host = bound
	}
	return net.JoinHostPort(host, fmt.Sprint(conf.ConnectBindPort.Get(c)))
}

// trustSnippet tells how PySpark comes to trust a gateway.
func trustSnippet(roots, address string) string {
	return fmt.Sprintf(`Clients trust it once they have the file of the authority, %s
(REST gives it at /ca.pem). gRPC does not look into the trust store of the system, so in their environment:

  export %s=%s

  spark = SparkSession.builder.remote("sc://%s/;use_ssl=true;token=...").getOrCreate()
`, roots, rootsVariable, roots, address)
}

// trust is what Spark's clients need in their environment to trust the gateway;
// "" if they do without.
func trust(c *conf.Conf) string {
	file, needed := c.ClientRoots()
	switch {
	case !needed:
		return ""
	case file == "":
		return rootsVariable + "=<file of the authority of its certificate>"
	}
	return rootsVariable + "=" + file
}
