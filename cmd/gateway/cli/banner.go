// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"roundhouse/auth"
	"roundhouse/conf"
	"roundhouse/internal/version"
)

// banner is what a starting gateway says: where it is reached, who may come in,
// which Spark it launches and where to look.
func banner(c *conf.Conf, g Gateway, logPlace string, getenv func(string) string) string {
	if logPlace == "" {
		logPlace = "this terminal"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Roundhouse gateway %s serves.\n", version.Get())
	for _, row := range [][2]string{
		{"Spark Connect", "sc://" + g.ConnectAddr()},
		{"Authentication", authentication(c)},
		{"Clients need", trust(c)},
		{"REST, metrics", restURL(c, g)},
		{"Gateways", cluster(c)},
		{"Spark", sparkHome(c, getenv).String()},
		{"Settings", describeSource(c)},
		{"Log", logPlace},
	} {
		if row[1] != "" {
			fmt.Fprintf(&b, "  %-14s  %s\n", row[0], row[1])
		}
	}
	return b.String()
}

// restURL is where the REST API is reached.
func restURL(c *conf.Conf, g Gateway) string {
	scheme := "http"
	if conf.RESTSSLEnabled.Get(c) {
		scheme = "https"
	}
	return scheme + "://" + g.RESTAddr()
}

// cluster is where other gateways are found; "" for a gateway that runs alone.
func cluster(c *conf.Conf) string {
	if conf.HAAddresses.Get(c) == "" {
		return ""
	}
	return fmt.Sprintf("shared by ZooKeeper at %s, namespace %s; `gateway servers` lists them", conf.HAAddresses.Get(c), conf.HANamespace.Get(c))
}

func authentication(c *conf.Conf) string {
	methods := strings.Join(conf.Authentication.Get(c), ", ")
	if methods == auth.MethodNone {
		return "NONE, so every user name is believed"
	}
	if who := loneUser(c); who != "" {
		return fmt.Sprintf("%s; only %s can run anything (%s)", methods, who, conf.EngineAllowGatewayUser.Key)
	}
	return methods
}

// spark is a Spark installation.
type spark struct {
	home    string
	version string
}

// String names it, or says how to name one.
func (s spark) String() string {
	switch {
	case s.home == "":
		return "none, so no engine can start: set SPARK_HOME (in kyuubi-env.sh or the environment)"
	case s.version == "":
		return fmt.Sprintf("no Spark found in %s, so no engine can start: correct SPARK_HOME", s.home)
	default:
		return fmt.Sprintf("%s in %s", s.version, s.home)
	}
}

// coreJar is Spark's main jar, by which an installation is known.
var coreJar = regexp.MustCompile(`^spark-core_[0-9.]+-(.+)\.jar$`)

// sparkHome is the Spark that engines are launched from.
func sparkHome(c *conf.Conf, getenv func(string) string) spark {
	s := spark{home: c.EngineEnv()["SPARK_HOME"]}
	if s.home == "" {
		s.home = getenv("SPARK_HOME")
	}
	jars, err := filepath.Glob(filepath.Join(s.home, "jars", "spark-core_*.jar"))
	if s.home == "" || err != nil { // the only error is a home that is no pattern
		return s
	}
	for _, jar := range jars {
		if m := coreJar.FindStringSubmatch(filepath.Base(jar)); m != nil {
			s.version = m[1]
		}
	}
	return s
}
