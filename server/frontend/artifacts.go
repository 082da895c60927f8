// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"roundhouse/internal/errs"
	"roundhouse/server/proxy"
)

// Field numbers below AddArtifactsRequest (base.proto; a test compares them): a
// batch of artifacts, one that comes in chunks, and the name of either.
const (
	artifactBatch = 3
	artifactBegin = 4
	artifactItem  = 1
	artifactName  = 1
)

// maxArtifactName bounds the name of an artifact in bytes: the longest path
// that Linux takes.
const maxArtifactName = 4096

// checkArtifacts refuses a message of AddArtifacts that names a place outside
// its session's own folder. Spark checks names too; the gateway does because
// what is at stake are the files of the driver's machine.
func checkArtifacts(req proxy.Request) error {
	var first error
	fault := func(err error) {
		if first == nil {
			first = err
		}
	}
	each := func(raw []byte, wanted int, visit func([]byte)) {
		err := proxy.ScanBytes(raw, func(num int, val []byte) {
			if num == wanted {
				visit(val)
			}
		})
		if err != nil { // what this reader cannot read, another one might
			fault(errs.Wrap(errs.InvalidRequest, err, "The artifacts of the request cannot be read."))
		}
	}
	named := func(artifact []byte) {
		nameless := true
		each(artifact, artifactName, func(name []byte) {
			nameless = false
			fault(checkArtifactName(string(name)))
		})
		if nameless { // protobuf leaves out what is empty
			fault(checkArtifactName(""))
		}
	}
	each(req.Raw(), artifactBatch, func(batch []byte) { each(batch, artifactItem, named) })
	each(req.Raw(), artifactBegin, named)
	return first
}

func checkArtifactName(name string) error {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' })
	switch {
	case len(name) > maxArtifactName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
	case name == "" || strings.IndexAny(name, `/\`) == 0 || slices.Contains(parts, ".."):
	default:
		return nil
	}
	return errs.New(errs.InvalidRequest, "The artifact name %.200q cannot be used: it must be a relative path without \"..\" "+
		"and control characters, such as jars/my.jar.", name)
}
