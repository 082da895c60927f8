// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"roundhouse/internal/tlsx"
)

// ZooKeeper is how gateways reach ZooKeeper.
type ZooKeeper struct {
	// Addresses are the host:port of the servers; none is embedded discovery.
	Addresses []string
	// Chroot is the path below which everything is, such as /kyuubi; "" is the root.
	Chroot string
	// Namespace is kyuubi.ha.namespace.
	Namespace string
	// Digest is a further identity, user:password; "" is none. It is a secret.
	Digest string
	// ConnectTimeout bounds the time to connect, SessionTimeout is what is asked of ZooKeeper.
	ConnectTimeout, SessionTimeout time.Duration
	// TLS is nil without.
	TLS *tlsx.Client
}

// Connect is the connect string: of the addresses, with their ports, and of the chroot.
func (z ZooKeeper) Connect() string { return strings.Join(z.Addresses, ",") + z.Chroot }

// Clustered says whether this gateway is one of several that meet in ZooKeeper.
func (c *Conf) Clustered() bool { return HAAddresses.Get(c) != "" }

// ZooKeeper is how this gateway reaches ZooKeeper. Validate has looked at all of it.
func (c *Conf) ZooKeeper() ZooKeeper {
	z := ZooKeeper{
		Namespace: HANamespace.Get(c), Digest: HAZooKeeperDigest.Get(c),
		ConnectTimeout: HAZooKeeperConnectTimeout.Get(c), SessionTimeout: HAZooKeeperSessionTimeout.Get(c),
	}
	z.Addresses, z.Chroot, _ = splitConnect(HAAddresses.Get(c)) // checked when it was loaded
	if HAZooKeeperTLS.Get(c) {
		z.TLS = &tlsx.Client{Authorities: HAZooKeeperCA.Get(c), Certificate: HAZooKeeperCertificate.Get(c), Key: HAZooKeeperKey.Get(c)}
	}
	return z
}

// zookeeperPort is that of a server whose address has none, as in ZooKeeper's own clients.
const zookeeperPort = "2181"

// splitConnect reads a connect string, host:port,host:port/chroot, which may be empty.
func splitConnect(text string) (addresses []string, chroot string, err error) {
	if text == "" {
		return nil, "", nil
	}
	servers, path, hasPath := strings.Cut(text, "/")
	if hasPath && path != "" {
		chroot = "/" + path
		if err := checkChroot(path); err != nil {
			return nil, "", err
		}
	}
	for server := range strings.SplitSeq(servers, ",") {
		address, err := serverAddress(strings.TrimSpace(server))
		if err != nil {
			return nil, "", err
		}
		if slices.Contains(addresses, address) {
			return nil, "", fmt.Errorf("the server %s is named twice", address)
		}
		addresses = append(addresses, address)
	}
	return addresses, chroot, nil
}

// zkNode is one element of the path of a chroot.
var zkNode = regexp.MustCompile(`^[A-Za-z0-9_.@=-]+$`)

func checkChroot(path string) error {
	for node := range strings.SplitSeq(path, "/") {
		if node == "." || node == ".." || !zkNode.MatchString(node) {
			return fmt.Errorf("%q is no path of ZooKeeper: write it as in /kyuubi or /apps/kyuubi, once, behind the last server", "/"+path)
		}
	}
	return nil
}

// serverName is a name in DNS.
var serverName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)

// serverAddress is host:port of a server.
func serverAddress(text string) (string, error) {
	wrong := fmt.Errorf("%q is no server: write host:port, several separated by commas, and IPv6 addresses as in [::1]:%s", text, zookeeperPort)
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.TrimSuffix(text, "]"), zookeeperPort
		bracket := strings.HasPrefix(host, "[")
		if bracket != strings.HasSuffix(text, "]") {
			return "", wrong
		}
		host = strings.TrimPrefix(host, "[")
		if !bracket && strings.Contains(host, ":") {
			return "", wrong
		}
	}
	n, err := strconv.Atoi(port)
	_, notIP := netip.ParseAddr(host)
	if err != nil || n < 1 || n > 65535 || notIP != nil && !serverName.MatchString(host) {
		return "", wrong
	}
	return net.JoinHostPort(host, strconv.Itoa(n)), nil
}
