// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Fate is what becomes of a setting of an existing configuration.
type Fate int

// The fates, in the order of how much an administrator has to do.
const (
	Used    Fate = iota // as it is
	Renamed             // used; the name is deprecated
	Unread              // accepted, but of no meaning here
	Wrong               // the gateway does not start with it
)

// Finding is one setting of an existing configuration, or one that is missing.
type Finding struct {
	Fault // At is zero for a missing setting; Text is empty for Used
	Fate  Fate
	// Write is the line to write instead, or to add; "" when that depends.
	Write string
	// Exposed is true for a secret that every user of this machine can read, in
	// the configuration or in the file that the setting names.
	Exposed bool
}

// Review reads the configuration file of an existing Kyuubi and tells for each
// setting what becomes of it here, those that have to be added last. An error
// means that there was nothing to read.
func Review(o LoadOptions) ([]Finding, error) {
	c := locate(o)
	text, err := os.ReadFile(c.file)
	if err != nil {
		return nil, noReview(c.dir, err)
	}
	lines, faults := parseProperties(c.file, string(text))
	r := review{findings: map[string]Finding{}}
	for _, f := range faults {
		r.findings[f.At.String()] = Finding{Fault: f, Fate: Wrong}
	}
	var good []line
	for _, l := range merge([][]line{lines}) {
		if r.classify(o, l) {
			good = append(good, l)
		}
	}
	whole := builder{c: c, getenv: o.Getenv}
	whole.build(good)
	r.check(whole, o)
	return r.sorted(), nil
}

// noReview says why dir cannot be reviewed, and which folder is wanted.
func noReview(dir string, err error) error {
	inside := filepath.Join(dir, "conf")
	if _, missing := os.Stat(filepath.Join(inside, DefaultsFile)); missing == nil {
		return fmt.Errorf("there is no configuration to read in %s: --from wants the folder that holds %s, here %s", dir, DefaultsFile, inside)
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err // with the name of the file, people look at their own files
	}
	return fmt.Errorf("there is no configuration to read in %s (%w): --from wants the folder that holds %s, readable for uid %d", dir, err, DefaultsFile, os.Geteuid())
}

// review collects findings by key, those without one by place.
type review struct{ findings map[string]Finding }

// classify looks at one line alone; false if it is wrong by itself.
func (r review) classify(o LoadOptions, l line) bool {
	one := builder{c: &Conf{}, getenv: o.Getenv}
	one.build([]line{l})
	f := Finding{Fault: Fault{At: l.from, Key: l.key}}
	_, key, ok := splitUserKey(l.key)
	if !ok {
		key = l.key
	}
	f.Exposed = exposed(l)
	old, deprecated := byOldName[key]
	switch {
	case len(one.faults) > 0:
		f.Fate, f.Text = Wrong, one.faults[0].Text
		if name := nearest(key); name != "" && strings.HasPrefix(f.Text, "unknown") {
			f.Write = strings.Replace(l.key, key, name, 1) + "=" + shown(l, name)
		}
	case len(one.c.foreign) > 0:
		f.Fate, f.Text = Unread, whyUnread(key)
	case unbuilt(key) != "":
		f.Fate, f.Text = Unread, unbuilt(key)
	case deprecated:
		f.Fate, f.Text = Renamed, "the name is "+old.meta().Key+" now"
	}
	r.findings[l.key] = f
	return f.Fate != Wrong
}

var (
	// keepsSecret are names of settings, Kyuubi's among them, that hold a secret.
	keepsSecret = regexp.MustCompile(holdsSecret.String() + `|bindpw$|digest$`)
	// namesSecret are those that hold the path of one.
	namesSecret = regexp.MustCompile(`(?i)(keytab|keystore[.]path|token[.]file|secret[.]file|ssl[.]key[.]path)$`)
)

// exposed says whether every user of this machine can read the secret of a line.
func exposed(l line) bool {
	path := ""
	switch {
	case l.text == "" || isAboutSecrets(l):
	case namesSecret.MatchString(l.key):
		path = l.text
	case holds(l.key) && !strings.HasPrefix(l.text, "file:") && !strings.HasPrefix(l.text, "env:"):
		path = l.from.File
	}
	info, err := os.Stat(path)
	return path != "" && err == nil && info.Mode().Perm()&0o004 != 0
}

// shown is the value of a line for people, whose right name is given: no secret
// under either name.
func shown(l line, name string) string {
	reference := strings.HasPrefix(l.text, "file:") || strings.HasPrefix(l.text, "env:")
	if !reference && (holds(l.key) || holds(name)) {
		return "********"
	}
	return l.text
}

// holds says whether the name of a setting says that it holds a secret.
func holds(name string) bool { return keepsSecret.MatchString(name) && !namesFile.MatchString(name) }

// unread says why settings of Kyuubi have no meaning here, by their beginning.
// It is immutable.
var unread = [][2]string{
	{"kyuubi.frontend.thrift", "clients speak Spark Connect here, not Thrift"},
	{"kyuubi.frontend.protocols", "there is one protocol, Spark Connect (and REST)"},
	{"kyuubi.frontend.mysql", "clients speak Spark Connect here"},
	{"kyuubi.frontend.trino", "clients speak Spark Connect here"},
	{"kyuubi.operation.", "operations are Spark's own"},
	{"kyuubi.metrics.", "metrics are at /metrics of the REST port"},
	{"kyuubi.metadata.", "sessions are kept in the gateway's own store"},
	{"kyuubi.batch.", "there are no batches"},
	{"kyuubi.zookeeper.embedded.", "there is no embedded ZooKeeper"},
	{"kyuubi.kubernetes.", "engines run on this machine or at a standalone master"},
	{"kyuubi.engine.flink", "the engine is Spark"}, {"kyuubi.engine.trino", "the engine is Spark"}, {"kyuubi.engine.hive", "the engine is Spark"},
	{"kyuubi.authentication.", "it belongs to an authentication method that this version does not have"},
	{"kyuubi.kinit.", "engines with tickets come with a later version"},
	{"kyuubi.credentials.", "engines with tickets come with a later version"}, {"kyuubi.ha.etcd.", "gateways and engines meet in ZooKeeper only"},
	{"kyuubi.ha.zookeeper.acl.enabled", "no node is open to the world, whatever it says"},
	{"kyuubi.ha.zookeeper.connection.", "gateways and engines never give up on ZooKeeper: they go on with what they know and connect again by themselves"},
	{"kyuubi.ha.zookeeper.node.", "the node of a gateway is there as soon as it is connected, and comes back by itself"},
	{"kyuubi.ha.zookeeper.publish.configs", "clients of HiveServer2 cannot speak to this gateway"},
	{"kyuubi.ha.zookeeper.", "it belongs to Kerberos at ZooKeeper, which this version does not have"},
	{"kyuubi.ha.", "addresses alone decide whether there are several gateways"},
	{"kyuubi.session.engine.launch.async", "the first call of a session waits for its engine, and holds up nobody else"},
	{"kyuubi.backend.", "the gateway needs no pools of threads"},
}

// unbuilt says why settings do not do here yet what they are for; "" for all others.
func unbuilt(key string) string {
	switch {
	case key == EngineDoAs.Key:
		return noImpersonation
	case strings.HasPrefix(key, "spark.yarn."):
		return "YARN comes with a later version"
	case strings.HasPrefix(key, "spark.kubernetes."):
		return "Kubernetes comes with a later version"
	case strings.HasPrefix(key, "spark.kerberos."):
		return "Kerberos comes with a later version"
	}
	return ""
}

func whyUnread(key string) string {
	for _, row := range unread {
		if strings.HasPrefix(key, row[0]) {
			return row[1]
		}
	}
	return "it has no meaning here"
}

// check adds what the settings mean together, and on this machine.
func (r review) check(b builder, o LoadOptions) {
	var faults Faults
	if err := b.c.Check(o.Getenv); !errors.As(err, &faults) {
		faults = nil
	}
	faults = append(b.faults, faults...)
	if !ConnectEnabled.Get(b.c) {
		faults = append(faults, b.c.blame(ConnectEnabled.Key, "nothing would be served without it")...)
	}
	for _, f := range faults {
		r.blame(f)
	}
}

// blame turns a fault into a finding of the line that it is about.
func (r review) blame(f Fault) {
	name := f.Key
	for key, known := range r.findings {
		if f.At.Line > 0 && known.At == f.At {
			name = key
		}
	}
	found, ok := r.findings[cmp.Or(name, f.At.String())]
	if ok && found.Fate == Wrong {
		f.Text = found.Text + "; " + f.Text
	}
	r.findings[cmp.Or(name, f.At.String())] = Finding{Fault: f, Fate: Wrong, Write: cmp.Or(found.Write, remedies[f.Key]), Exposed: found.Exposed}
}

// remedies are lines that put a fault right. It is immutable.
var remedies = map[string]string{
	"kyuubi.frontend.spark.connect.enabled": "kyuubi.frontend.spark.connect.enabled=true",
	"kyuubi.authentication":                 "kyuubi.authentication=TOKEN\nkyuubi.authentication.token.file=/etc/roundhouse/tokens",
	"kyuubi.authentication.token.file":      "kyuubi.authentication.token.file=/etc/roundhouse/tokens",
	"kyuubi.server.cluster.secret.file":     "kyuubi.server.cluster.secret.file=/etc/roundhouse/cluster.secret",
	"kyuubi.ha.client.class":                "kyuubi.ha.client.class=" + zookeeperClient,
	"kyuubi.ha.zookeeper.auth.type":         "kyuubi.ha.zookeeper.auth.type=DIGEST",
	"kyuubi.ha.zookeeper.engine.auth.type":  "kyuubi.ha.zookeeper.engine.auth.type=DIGEST",
	"kyuubi.engine.share.level":             "kyuubi.engine.share.level=USER",
	"kyuubi.engine.type":                    "kyuubi.engine.type=SPARK_SQL",
	"kyuubi.frontend.bind.host":             "kyuubi.frontend.bind.host=127.0.0.1",
	"spark.master":                          "spark.master=local[*]",
	"spark.submit.deployMode":               "spark.submit.deployMode=client",
}

func (r review) sorted() []Finding {
	var all []Finding
	for _, f := range r.findings {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b Finding) int {
		missing := func(f Finding) int {
			if f.At.Line == 0 {
				return 1
			}
			return 0
		}
		return cmp.Or(missing(a)-missing(b), strings.Compare(filepath.Base(a.At.File), filepath.Base(b.At.File)), a.At.Line-b.At.Line, strings.Compare(a.Key, b.Key))
	})
	return all
}
