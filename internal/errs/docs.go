// SPDX-License-Identifier: Apache-2.0

package errs

import (
	"fmt"
	"io"
	"strings"
)

const docsHead = `# Errors

<!-- Generated from the table in internal/errs. Do not edit: go test ./internal/errs -update -->

Every error of the gateway starts with its class in brackets, followed by what
happened and what to do next. Errors of Spark pass through unchanged.
`

// WriteDocs writes docs/errors.md: one entry for each class.
func WriteDocs(w io.Writer) error {
	var b strings.Builder
	b.WriteString(docsHead)
	for _, c := range Classes() {
		fmt.Fprintf(&b, "\n## %s\n\n", c.reason())
		fmt.Fprintf(&b, "%s\n\n", c.outcome())
		fmt.Fprintf(&b, "- Cause: %s\n- What you do: %s\n- What the administrator does: %s\n", c.cause, c.user, c.admin)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// outcome is what a client gets.
func (c *Class) outcome() string {
	if c.warning {
		return "A warning with the first configuration that the client asks for (PySpark prints it); the session goes on."
	}
	return fmt.Sprintf("gRPC %s, HTTP %d. %s", c.code, c.http, c.retryNote())
}

func (c *Class) retryNote() string {
	switch {
	case c.retryAfter > 0:
		return fmt.Sprintf("Clients retry by themselves, at the earliest after %s.", c.retryAfter)
	case c.code == retriedCode:
		return "Clients retry by themselves."
	default:
		return "Not retried by clients."
	}
}
