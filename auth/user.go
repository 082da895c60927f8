// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"regexp"

	"roundhouse/internal/errs"
)

// userName is narrow on purpose: a user name becomes a directory, a node of
// ZooKeeper, a --proxy-user and a log field, so it starts with a letter or _
// and is never "." or "..".
var userName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.@-]{0,63}$`)

// systemUsers may not be impersonated: they own the services of a cluster.
var systemUsers = map[string]bool{
	"root": true, "daemon": true, "bin": true, "sys": true, "nobody": true,
	"hdfs": true, "yarn": true, "mapred": true, "hadoop": true, "hive": true,
	"hbase": true, "spark": true, "kafka": true, "zookeeper": true, "kms": true,
	"HTTP": true, "kyuubi": true, "livy": true, "oozie": true, "ranger": true,
}

// ValidUser refuses, with INVALID_REQUEST, what cannot be a user name here: it
// is 1 to 64 letters, digits and ._@- and starts with a letter or _.
func ValidUser(name string) error {
	if userName.MatchString(name) {
		return nil
	}
	return errs.New(errs.InvalidRequest, "The user name %.70q cannot be used: it must be 1 to 64 letters, digits "+
		"or any of . _ @ - and start with a letter or _.", name)
}

// MayImpersonate refuses, with PERMISSION_DENIED, to launch an engine in the
// name of a system user, and, like ValidUser, what is no user name.
func MayImpersonate(name string) error {
	if err := ValidUser(name); err != nil {
		return err
	}
	if systemUsers[name] {
		return errs.New(errs.PermissionDenied, "No engine is launched as %s, which is a system user. "+
			"Connect as a person or as an application.", name)
	}
	return nil
}
