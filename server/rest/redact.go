// SPDX-License-Identifier: Apache-2.0

package rest

import "regexp"

// redacted stands for a value that is not shown, as in Kyuubi.
const redacted = "*********(redacted)"

// defaultRedaction is the default of kyuubi.server.redaction.regex.
var defaultRedaction = regexp.MustCompile(`(?i)secret|password|token|access[.]key`)

// redact copies options, hiding what the pattern finds in a key or a value.
func (s *Server) redact(options map[string]string) map[string]string {
	shown := make(map[string]string, len(options))
	for key, value := range options {
		if s.o.Redaction.MatchString(key) || s.o.Redaction.MatchString(value) {
			value = redacted
		}
		shown[key] = value
	}
	return shown
}
