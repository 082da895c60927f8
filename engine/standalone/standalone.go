// SPDX-License-Identifier: Apache-2.0

// Package standalone asks Spark's standalone masters about applications, by the
// JSON form of a master's web page (http://master:8080/json/, the same in all
// versions of Spark 3 and 4). Drivers run in client mode, so that ending the
// driver frees the application; this package only looks.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	scheme = "spark://"
	// DefaultUIPort is where masters show their web page (spark.master.ui.port).
	DefaultUIPort = 8080
	// dialLimit is how long a master may take to accept a connection.
	dialLimit = 3 * time.Second
)

// Cluster is a standalone cluster: one master, or several of which one is active.
type Cluster struct {
	// URL is the value of spark.master, such as spark://host:7077.
	URL string
	// masters are host:port.
	masters []string
	uiPort  int
}

// Is says whether a value of spark.master names a standalone cluster.
func Is(master string) bool { return strings.HasPrefix(master, scheme) }

// Parse reads spark.master and spark.master.ui.port ("" is DefaultUIPort).
func Parse(master, uiPort string) (Cluster, error) {
	c := Cluster{URL: master, uiPort: DefaultUIPort, masters: strings.Split(strings.TrimPrefix(master, scheme), ",")}
	for _, address := range c.masters {
		if _, err := splitPort(address); err != nil {
			return Cluster{}, fmt.Errorf("spark.master is %q: %w; write spark://host:port, with a comma between several masters", master, err)
		}
	}
	if uiPort != "" {
		port, err := parsePort(uiPort)
		if err != nil {
			return Cluster{}, fmt.Errorf("spark.master.ui.port is %q: %w", uiPort, err)
		}
		c.uiPort = port
	}
	return c, nil
}

func splitPort(address string) (int, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return 0, fmt.Errorf("%q is not host:port", address)
	}
	return parsePort(port)
}

func parsePort(text string) (int, error) {
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return 0, fmt.Errorf("%q is no port", text)
	}
	return port, nil
}

// pages are the addresses of the masters' web pages.
func (c Cluster) pages() []string {
	var all []string
	for _, address := range c.masters {
		host, _, err := net.SplitHostPort(address)
		if err == nil {
			all = append(all, "http://"+net.JoinHostPort(host, strconv.Itoa(c.uiPort))+"/json/")
		}
	}
	return all
}

// Reach returns nil when one of the masters accepts connections: a driver
// itself would try for a minute before it gave up.
func (c Cluster) Reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	results := make(chan error, len(c.masters))
	for _, address := range c.masters {
		go func() { // waited for below, or ends with ctx
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err == nil {
				err = conn.Close()
			}
			results <- err
		}()
	}
	var failures []error
	for range c.masters {
		err := <-results
		if err == nil {
			return nil
		}
		failures = append(failures, err)
	}
	return fmt.Errorf("no master of %s can be reached (%w): start it, or correct spark.master", c.URL, oneLine(failures))
}

func oneLine(all []error) error {
	texts := make([]string, 0, len(all))
	for _, err := range all {
		texts = append(texts, err.Error())
	}
	slices.Sort(texts)
	return errors.New(strings.Join(texts, "; "))
}
