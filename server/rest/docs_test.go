// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/rest.md anew")

// TestDocs: docs/rest.md is made from openapi.yaml.
func TestDocs(t *testing.T) {
	page := filepath.Join("..", "..", "docs", "rest.md")
	made := writeDocs(loadContract(t))
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(made), 0o644))
	}
	present, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, made, string(present), "run: go test ./server/rest -update")
}

const docsHead = `# REST API

<!-- Generated from server/rest/openapi.yaml. Do not edit: go test ./server/rest -update -->

The gateway serves the description of this API, for tools, at ` + "`GET /api/openapi.yaml`" + `.

`

// may says in words who may make a call.
func may(r rule) string {
	return map[rule]string{
		public: "everybody, without credentials", user: "every user", owner: "the owner of the session, and administrators",
		operator: "administrators, and operators of the rules file", admin: "administrators", engine: "engines, by a MAC",
	}[r]
}

func writeDocs(c *contract) string {
	var b strings.Builder
	b.WriteString(docsHead + c.doc.Info.Description)
	for _, tag := range c.doc.Tags {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", strings.ToUpper(tag.Name[:1])+tag.Name[1:], tag.Description)
		for _, d := range c.calls {
			if d.op.Tags[0] == tag.Name {
				writeCall(&b, d)
			}
		}
	}
	b.WriteString("\n## Failures\n\n| Status | Meaning |\n|---|---|\n")
	for _, line := range failures(c) {
		b.WriteString(line)
	}
	b.WriteString("\n## Objects\n")
	schemas := c.doc.Components.Schemas
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		fmt.Fprintf(&b, "\n### %s\n\n", name)
		writeObject(&b, schemas[name].Value)
	}
	return b.String()
}

func writeCall(b *strings.Builder, d described) {
	fmt.Fprintf(b, "\n### %s\n\n%s\n\n", d.pattern(), strings.TrimSpace(d.op.Summary+" "+d.op.Description))
	fmt.Fprintf(b, "- For %s.\n", may(d.role()))
	for _, p := range d.op.Parameters {
		if p.Value.In == openapi3.ParameterInQuery {
			fmt.Fprintf(b, "- `?%s=` (%s): %s\n", p.Value.Name, kindOf(p.Value.Schema), p.Value.Description)
		}
	}
	if d.op.RequestBody != nil {
		fmt.Fprintf(b, "- Body: %s\n", kindOf(d.op.RequestBody.Value.Content.Get("application/json").Schema))
	}
	answers := d.op.Responses.Map()
	var failing []string
	for _, status := range slices.Sorted(maps.Keys(answers)) {
		if status[0] != '2' {
			failing = append(failing, status)
			continue
		}
		fmt.Fprintf(b, "- %s: %s%s\n", status, *answers[status].Value.Description, kindOfAnswer(answers[status].Value))
	}
	fmt.Fprintf(b, "- Failures: %s\n", strings.Join(failing, ", "))
}

// failures explains each status that is no success, in order.
func failures(c *contract) []string {
	lines := map[string]bool{}
	for _, d := range c.calls {
		for status, answer := range d.op.Responses.Map() {
			if status[0] != '2' {
				lines[fmt.Sprintf("| %s | %s |\n", status, *answer.Value.Description)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(lines))
}

func kindOfAnswer(r *openapi3.Response) string {
	for kind, content := range r.Content {
		if kind != "application/json" {
			return " `" + kind + "`"
		}
		return " " + kindOf(content.Schema)
	}
	return ""
}

// kindOf names the type of a schema, with a link where it has a name.
func kindOf(s *openapi3.SchemaRef) string {
	name := s.Ref[strings.LastIndex(s.Ref, "/")+1:]
	switch {
	case name != "":
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	case s.Value.Items != nil:
		return "list of " + kindOf(s.Value.Items)
	case s.Value.Type.Is("object") && s.Value.AdditionalProperties.Schema != nil:
		return "object of " + kindOf(s.Value.AdditionalProperties.Schema) + "s"
	case len(s.Value.Enum) > 0:
		return "`" + strings.Trim(strings.ReplaceAll(fmt.Sprint(s.Value.Enum), " ", "`, `"), "[]\n") + "`"
	}
	return s.Value.Type.Slice()[0]
}

func writeObject(b *strings.Builder, s *openapi3.Schema) {
	b.WriteString("| Field | Type | Meaning |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		needed := ""
		if !slices.Contains(s.Required, name) {
			needed = " (may be absent)"
		}
		fmt.Fprintf(b, "| `%s` | %s%s | %s |\n", name, kindOf(s.Properties[name]), needed, s.Properties[name].Value.Description)
	}
}
