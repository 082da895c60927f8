// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"roundhouse/conf"
)

// reviewFrom prints what becomes of the configuration folder of an existing
// Kyuubi. It is an error when the gateway would not start with it.
func (a *app) reviewFrom(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	home, err := a.home()
	if err != nil {
		return err
	}
	findings, err := conf.Review(conf.LoadOptions{Home: home, ConfDir: dir, Getenv: a.getenv})
	if err != nil {
		return err
	}
	a.say("The configuration in %s", dir)
	byFate := map[conf.Fate][]conf.Finding{}
	for _, f := range findings {
		byFate[f.Fate] = append(byFate[f.Fate], f)
	}
	a.section("Used as it is", byFate[conf.Used])
	a.section("Used, under a newer name", byFate[conf.Renamed])
	a.section("Read, but of no meaning here", byFate[conf.Unread])
	a.section("To be changed, or the gateway does not start", byFate[conf.Wrong])
	a.exposed(findings)
	a.otherFiles(dir)
	if n := len(byFate[conf.Wrong]); n > 0 {
		return fmt.Errorf("%d of its settings must be changed; then try again, some faults hide others", n)
	}
	c, err := conf.Load(conf.LoadOptions{Home: home, ConfDir: dir, Getenv: a.getenv})
	if err != nil {
		return err
	}
	if err := a.check(c); err != nil {
		return err
	}
	a.say("\nNo fault was found with the environment of this command. %s", unseen(dir))
	a.say("Check all of it as a start does: KYUUBI_CONF_DIR=%s gateway validate", dir)
	return nil
}

// unseen says what a review of dir did not look at.
func unseen(dir string) string {
	const script = "kyuubi-env.sh"
	if _, err := os.Stat(filepath.Join(dir, script)); err == nil {
		return "Its " + script + ", which sets another one, was not run."
	}
	return "It has no " + script + "."
}

// section is one part of the table.
func (a *app) section(title string, findings []conf.Finding) {
	if len(findings) == 0 {
		return
	}
	a.say("\n%s (%d)", title, len(findings))
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		place := "missing"
		if f.At.File != "" {
			place = strings.TrimPrefix(f.At.String(), filepath.Dir(f.At.File)+"/")
		}
		fmt.Fprintf(table, "  %s\t%s\n", place, f.Key)
		if f.Text != "" {
			fmt.Fprintf(table, "  \t  %s\n", f.Text)
		}
		for line := range strings.Lines(f.Write) {
			fmt.Fprintf(table, "  \t  write: %s\n", strings.TrimSpace(line))
		}
	}
	table.Flush()
}

// exposed lists secrets that others can read.
func (a *app) exposed(findings []conf.Finding) {
	var found []conf.Finding
	for _, f := range findings {
		if f.Exposed {
			found = append(found, conf.Finding{Fault: conf.Fault{At: f.At, Key: f.Key}})
		}
	}
	a.section("Secrets that every user of this machine can read: chmod o-r the file that holds them", found)
}

// fileKinds say what becomes of the other files of a Kyuubi. It is immutable.
var fileKinds = [][2]string{
	{"kyuubi-env.sh", "bin/gateway reads it at each start"},
	{"kyuubi-session-*.conf", "a profile that clients may choose (kyuubi.session.conf.profile)"},
	{"log4j2*", "not read: the gateway writes text lines to its own log, Spark has its own file"},
	{"log4j.*", "not read: the gateway writes text lines to its own log, Spark has its own file"},
	{"*-site.xml", "not read: engines take it from HADOOP_CONF_DIR or SPARK_CONF_DIR"},
	{"spark-defaults.conf", "not read here: engines take it from SPARK_CONF_DIR, else from conf in SPARK_HOME"},
}

// otherFiles tells of what else is in the folder.
func (a *app) otherFiles(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // conf.Review has read a file of it
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.Name() == conf.DefaultsFile })
	if len(entries) > 0 {
		a.say("\nOther files")
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, entry := range entries {
		fmt.Fprintf(table, "  %s\t%s\n", entry.Name(), becomes(entry.Name()))
		if entry.Name() == "kyuubi-env.sh" {
			a.variables(table, filepath.Join(dir, entry.Name()))
		}
	}
	table.Flush()
}

func becomes(name string) string {
	for _, kind := range fileKinds {
		if ok, err := filepath.Match(kind[0], name); ok && err == nil {
			return kind[1]
		}
	}
	return "not read"
}

// assignment is a line of kyuubi-env.sh that sets a variable.
var assignment = regexp.MustCompile(`(?m)^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=`)

// meantFor are variables of Kyuubi that nothing reads here. It is immutable.
var meantFor = map[string]string{
	"KYUUBI_JAVA_OPTS": "the gateway is no Java program", "KYUUBI_CTL_JAVA_OPTS": "the gateway is no Java program",
	"KYUUBI_BEELINE_OPTS": "there is no beeline", "KYUUBI_JAR_DIR": "the engine plugin is part of the installation",
	"KYUUBI_WEBUI_DIR": "there is no web UI yet", "KYUUBI_SCALA_VERSION": "the engine plugin fits them all",
	"FLINK_HOME": "the engine is Spark", "HIVE_HOME": "the engine is Spark", "TRINO_ENGINE_HOME": "the engine is Spark",
	"SPARK_ENGINE_HOME": "the engine plugin is part of the installation",
}

// variables tells which of the variables of kyuubi-env.sh nothing reads.
func (a *app) variables(table *tabwriter.Writer, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintf(table, "  \t  it cannot be read: %v\n", err)
		return
	}
	var used []string
	for _, m := range assignment.FindAllStringSubmatch(string(text), -1) {
		if why := meantFor[m[1]]; why != "" {
			fmt.Fprintf(table, "  \t  %s is not used: %s\n", m[1], why)
		} else if !slices.Contains(used, m[1]) {
			used = append(used, m[1])
		}
	}
	if len(used) > 0 {
		fmt.Fprintf(table, "  \t  it sets %s\n", strings.Join(used, ", "))
	}
}
