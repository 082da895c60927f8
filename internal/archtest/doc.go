// SPDX-License-Identifier: Apache-2.0

// Package archtest holds the tests by which this repository polices itself:
// who may import whom, how long a file or a function may grow, what must be
// documented, and what no file may contain. It has no code of its own.
//
// Each rule is a function from a tree of files to findings, and has two
// tests: one runs it over the repository, the other over a tiny bad tree,
// which proves that the rule can fail. A message says what to do. Where a
// rule is wrong for good reasons, change the rule here, in the same commit,
// and say why; there are no waivers in the sources.
package archtest
