// SPDX-License-Identifier: Apache-2.0

// Package conf is the configuration of the gateway: one table of settings, the
// reader of Kyuubi's file format, checks that report every fault at once, and
// the resolution of the options that a session asks for. It is a leaf: it knows
// no engine, no session and no transport. DESIGN.md tells the rules.
package conf

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Source is where a value was written: a file with a line, or the n-th
// override of the command line (File is "--conf" then).
type Source struct {
	File string
	Line int
}

// value is one setting as written, after secrets were looked up.
type value struct {
	text string
	from Source
}

// Conf is a loaded configuration. It never changes after it was made, so it
// may be shared freely. Every value in it has passed its type check.
type Conf struct {
	home     string
	dir      string
	file     string
	workRoot string
	logRoot  string
	values   map[string]value
	users    map[string]map[string]value
	warnings []string
	foreign  []string
	clear    []line // secrets that were written where they are used
}

// Home is the installation folder; "" when nobody named one.
func (c *Conf) Home() string { return c.home }

// Dir is the folder of kyuubi-defaults.conf and of the session profiles; "" when
// the configuration did not come from a folder.
func (c *Conf) Dir() string { return c.dir }

// File is the path of the file that was read; "" when there is none.
func (c *Conf) File() string { return c.file }

// Raw is the value of a key as written, with secret references resolved, and
// whether it was set at all; defaults do not count. Keys are case-sensitive.
func (c *Conf) Raw(key string) (string, bool) {
	v, ok := c.values[key]
	return v.text, ok
}

// WithPrefix returns the settings whose keys start with prefix, by the rest of
// the key. It does not look into user defaults.
func (c *Conf) WithPrefix(prefix string) map[string]string {
	found := map[string]string{}
	for key, v := range c.values {
		if rest, ok := strings.CutPrefix(key, prefix); ok && rest != "" {
			found[rest] = v.text
		}
	}
	return found
}

// ForUser is the configuration as it holds for one user: the server's, with the
// defaults of that user laid over it.
func (c *Conf) ForUser(user string) *Conf {
	if len(c.users[user]) == 0 {
		return c
	}
	own := *c
	own.values = maps.Clone(c.values)
	maps.Copy(own.values, c.users[user])
	return &own
}

// ClusterSecretFile is the path of the cluster secret: the setting, else
// cluster.secret in the data folder.
func (c *Conf) ClusterSecretFile() string {
	if path := ServerClusterSecretFile.Get(c); path != "" {
		return path
	}
	return filepath.Join(ServerDataDir.Get(c), "cluster.secret")
}

// Warnings are things to say once at start: deprecated names, doubled lines,
// secrets on the command line. They are sentences with their place.
// They also tell what valid settings give up.
func (c *Conf) Warnings() []string { return append(slices.Clone(c.warnings), c.remarks()...) }

// Summary is one line about the settings that Kyuubi knows and this gateway has
// no use for; "" when there are none.
func (c *Conf) Summary() string {
	switch len(c.foreign) {
	case 0:
		return ""
	case 1:
		return "1 setting of Kyuubi has no meaning here and is ignored: " + c.foreign[0]
	}
	return plural(len(c.foreign), "setting") + " of Kyuubi have no meaning here and are ignored: " +
		strings.Join(c.foreign, ", ")
}

// expand replaces the variables that paths may hold.
func (c *Conf) expand(text string) string {
	if !strings.Contains(text, "{{") {
		return text
	}
	return strings.NewReplacer(
		"{{KYUUBI_WORK_DIR_ROOT}}", c.workRoot,
		"{{KYUUBI_HOME}}", c.home,
		"{{GATEWAY_HOME}}", c.home,
	).Replace(text)
}
