// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"io"
	"strings"
)

const settingsIntro = `# Settings

This page is made from the table of settings in the code; ` + "`go test ./conf -update`" + ` renews it.

Settings stand in ` + "`kyuubi-defaults.conf`" + `, in the syntax of Java Properties and in UTF-8. The file is looked up in
` + "`KYUUBI_CONF_DIR`, else `GATEWAY_HOME/conf`, else `KYUUBI_HOME/conf`" + `. ` + "`--conf key=value`" + ` on the command line, as often as
needed, wins over the file. A ` + "`kyuubi.*`" + ` name that nobody knows is an error; one that only Kyuubi has a use for is
accepted and named in one line at the start. ` + "`spark.*`" + ` settings go to the engines as they are; as in Kyuubi,
` + "`hadoop.x`" + ` goes there as ` + "`spark.hadoop.hadoop.x`" + ` and ` + "`hive.x`" + ` as ` + "`spark.hive.x`" + `.

- **Durations**: ISO-8601 (` + "`PT30M`, `P1D`, `PT1.5S`" + `), whole milliseconds, or short (` + "`500ms`, `10s`, `30m`, `2h`, `1d`" + `).
- **Sizes**: ` + "`2g`, `2048m`" + `; a bare number counts mebibytes.
- **Secrets**: ` + "`file:/path`" + ` (a plain file of the gateway's user with mode 0600, no link) or ` + "`env:NAME`" + ` instead of the secret
  itself. A secret may stand in the file only if others cannot read it, and never on the command line. This also works for settings outside the table whose name says that they hold a secret, such as ` + "`spark.hadoop.fs.s3a.secret.key`" + `.
- **Defaults of a user**: ` + "`___alice___.spark.executor.memory=4g`" + ` replaces the server's value for alice. Settings of scope
  *server* hold for the whole gateway and cannot differ by user.
- **Profiles**: ` + "`kyuubi-session-<name>.conf`" + ` in the same folder, chosen by ` + "`kyuubi.session.conf.profile`" + `.

Names are Kyuubi's, with Kyuubi's meaning; those marked † are this gateway's own.
`

const settingsFamilies = `
## Families

| Setting | Meaning |
|---|---|
| ` + "`kyuubi.engineEnv.<VARIABLE>`" + ` | An environment variable for engines, ` + "`kyuubi.engineEnv.SPARK_HOME`" + ` first of all. |
| ` + "`kyuubi.engine.spark.python.<minor>`" + ` † | Python interpreter of the engine for clients of that version, for example ` + "`kyuubi.engine.spark.python.3.11=/usr/bin/python3.11`" + `. It may differ by user, not by profile. Python functions run only where both versions are equal. |
| ` + "`kyuubi.authentication.jwt.<name>.<setting>`" + ` † | A setting of one of several issuers of the method ` + "`JWT`" + `, for example ` + "`kyuubi.authentication.jwt.partner.issuer` and `kyuubi.authentication.jwt.partner.audience`" + `. |
`

const settingsClients = `
## What a client may ask for

Options come as ` + "`builder.config(...)`, as parameters of `sc://host:15002/;key=value`" + ` or by REST. Launch options choose the
engine: sessions that ask for the same share one, and ` + "`2g`" + ` is the same as ` + "`2048m`" + `. ` + "`spark.app.name` and `spark.sql.*`" + ` go to the
session and never count. Every other ` + "`spark.*` and `kyuubi.*`" + ` option is refused with its reason; the administrator can set it
for a user or offer it in a profile.

With one exception: ` + "`builder.config(...)`" + ` also holds what a program sets for itself. So a ` + "`spark.*`" + ` option that is unknown here is
refused there, and by ` + "`spark.conf.set`" + `, only if it could do harm or is one or two letters away from an option below
(` + "`spark.drivr.memory`" + `); any other (` + "`spark.foo`" + `) goes to the Spark session and has no effect on the engine.

| Option | Value |
|---|---|
`

// WriteSettings writes docs/settings.md: every setting by area, and what a
// client may ask for.
func WriteSettings(w io.Writer) error {
	var page strings.Builder
	page.WriteString(settingsIntro)
	for _, a := range areas {
		writeArea(&page, a)
	}
	page.WriteString(settingsFamilies)
	page.WriteString(settingsClients)
	for _, k := range choiceKeys {
		fmt.Fprintf(&page, "| `%s` | %s |\n", k.key, k.doc)
	}
	for _, k := range launchKeys {
		fmt.Fprintf(&page, "| `%s` | %s |\n", k.key, k.doc)
	}
	_, err := io.WriteString(w, page.String())
	return err
}

func writeArea(page *strings.Builder, a area) {
	fmt.Fprintf(page, "\n## %s\n\n| Setting | Default | Meaning | Type | Scope | Since |\n|---|---|---|---|---|---|\n", a.title)
	for _, s := range a.settings {
		m := s.meta()
		mark := ""
		if m.Ours {
			mark = " †"
		}
		fmt.Fprintf(page, "| `%s`%s | %s | %s | %s | %s | %s |\n", m.Key, mark, shownDefault(m), meaning(m), s.typeName(), m.Scope, m.Since)
	}
}

func shownDefault(m Meta) string {
	if m.Default == "" {
		return "unset"
	}
	return "`" + strings.ReplaceAll(m.Default, "|", `\|`) + "`"
}

func meaning(m Meta) string {
	text := m.Doc
	if m.Secret {
		text += " A secret."
	}
	if len(m.Deprecated) > 0 {
		text += " Old names: `" + strings.Join(m.Deprecated, "`, `") + "`."
	}
	return text
}
