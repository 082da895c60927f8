// SPDX-License-Identifier: Apache-2.0

package env

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// JVM is the command that runs a program of integration-tests/jvm with the
// Spark Connect client for the JVM; without a program's name it is JvmClient. The
// program trusts the authority of a PEM file. Without a JDK the test is skipped.
func JVM(t testing.TB, ca string, args ...string) *exec.Cmd {
	t.Helper()
	keytool, err := exec.LookPath("keytool")
	if err != nil {
		t.Skip("no keytool: sudo apt-get install -y default-jdk-headless")
	}
	store := filepath.Join(t.TempDir(), "trust.p12")
	Run(t, exec.Command(keytool, "-importcert", "-noprompt", "-alias", "gateway", "-file", ca, "-keystore", store, "-storepass", "changeit"))
	cmd := exec.Command(filepath.Join(Root(t), "integration-tests", "jvm", "run.sh"), append([]string{SparkHome(t), t.TempDir()}, args...)...)
	cmd.Env = append(os.Environ(), "JDK_JAVA_OPTIONS=-Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStore="+store)
	return cmd
}
