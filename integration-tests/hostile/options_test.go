// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"roundhouse/conf"
	pb "roundhouse/proto/gen/spark/connect"
)

// dangerous are options with which a client could run code in the driver's
// place, read files, become somebody else or move the engine.
var dangerous = []string{
	"spark.master", "spark.submit.deployMode", "spark.submit.pyFiles", "spark.driver.extraJavaOptions", "spark.driver.extraClassPath",
	"spark.driver.extraLibraryPath", "spark.driver.defaultJavaOptions", "spark.executor.extraJavaOptions", "spark.plugins", "spark.extraListeners",
	"spark.jars", "spark.jars.packages", "spark.jars.ivySettings", "spark.files", "spark.archives", "spark.pyspark.python", "spark.pyspark.driver.python",
	"spark.kubernetes.driver.podTemplateFile", "spark.kubernetes.namespace", "spark.kubernetes.authenticate.driver.serviceAccountName", "spark.yarn.queue",
	"spark.yarn.keytab", "spark.yarn.principal", "spark.yarn.stagingDir", "spark.yarn.appMasterEnv.LD_PRELOAD", "spark.kerberos.keytab",
	"spark.hadoop.hadoop.security.credential.provider.path", "spark.hadoop.fs.file.impl", "spark.connect.authenticate.token",
	"spark.connect.grpc.binding.address", "spark.connect.grpc.interceptor.classes", "spark.redaction.regex", "spark.sql.extensions",
	"spark.launcher.childProcLoggerName", "spark.local.dir", "spark.executorEnv.LD_PRELOAD", "spark.eventLog.dir", "spark.ui.enabled",
	"spark.sql.artifact.copyFromLocalToFs.allowDestLocal", "spark.sql.legacy.setCommandRejectsSparkCoreConfs", "spark.metrics.conf",
	"kyuubi.engineEnv.LD_PRELOAD", "kyuubi.session.engine.spark.main.resource", "kyuubi.session.proxy.user", "hive.server2.proxy.user",
}

// option is a key and a value as a client sends it.
type option struct{ key, value string }

// disguises are ways to send a dangerous option.
var disguises = map[string]func(key string) option{
	"plain":       func(k string) option { return option{k, "evil"} },
	"unprefixed":  func(k string) option { return option{strings.TrimPrefix(k, "spark."), "evil"} },
	"upper case":  func(k string) option { return option{strings.ToUpper(k), "evil"} },
	"spaces":      func(k string) option { return option{" " + k + " ", "evil"} },
	"look-alike":  func(k string) option { return option{strings.Replace(k, "a", "\u0430", 1), "evil"} },
	"set:":        func(k string) option { return option{"set:hiveconf:" + k, "evil"} },
	"x-":          func(k string) option { return option{"x-" + k, "evil"} },
	"newline":     func(k string) option { return option{k, "x\nspark.master=evil"} },
	"smuggled":    func(k string) option { return option{"spark.driver.memory=1g\n" + k, "evil"} },
	"proxy user":  func(k string) option { return option{k, "--proxy-user root"} },
	"shell":       func(k string) option { return option{k, "$(id)"} },
	"more --conf": func(k string) option { return option{k, "a --conf spark.master=evil"} },
}

// badValues are values that try to leave the place where they stand.
var badValues = []string{
	"2g\nspark.master=evil", "2g\\\nspark.master=evil", "--proxy-user root", "$(id)", "`id`", "a --conf b=c", "2g --conf spark.master=evil", "${env:HOME}",
	"file:/etc/passwd", "../../../etc", "\x00", "2g;id", "@/etc/passwd", "\u2028spark.master=evil",
}

// ways are the three ways to give options to a session. Each reports whether
// the session was opened; it is ended again.
func ways(h *house, p *person) map[string]func(o option) bool {
	return map[string]func(o option) bool{
		"connection string": func(o option) bool { return p.openByHeader(h, o) },
		"first Set":         func(o option) bool { return p.openBySet(o) },
		"REST":              func(o option) bool { return p.openByREST(h, o) },
	}
}

func (p *person) openByHeader(h *house, o option) bool {
	p.t.Helper()
	id := uuid.NewString()
	headers := append(head("/spark.connect.SparkConnectService/AnalyzePlan"), pairs("authorization", "Bearer "+p.token, o.key, o.value)...)
	got := dialFrames(p.t, h.GRPC).call(headers, analyze(p.t, id))
	return got.code == wireOK && p.end(id)
}

func (p *person) openBySet(o option) bool {
	p.t.Helper()
	id := uuid.NewString()
	set := &pb.ConfigRequest_Set{Pairs: []*pb.KeyValue{{Key: o.key, Value: proto.String(o.value)}}}
	raw, err := proto.Marshal(&pb.ConfigRequest{SessionId: id, Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_Set{Set: set}}})
	if err != nil { // not UTF-8: no client can send it
		return false
	}
	_, err = p.send(p.context(p.t.Context()), "Config", [][]byte{raw})
	return err == nil && p.end(id)
}

func (p *person) openByREST(h *house, o option) bool {
	p.t.Helper()
	code, body := p.rest(h, http.MethodPost, "/api/v1/sessions", map[string]any{"configs": map[string]string{o.key: o.value}})
	var handle struct{ Identifier string }
	_ = json.Unmarshal(body, &handle) // a refusal has none
	if code != http.StatusOK {
		require.Less(p.t, code, 500, "%s", body)
		return false
	}
	_, err := p.send(p.context(p.t.Context()), "AnalyzePlan", [][]byte{analyze(p.t, handle.Identifier)}) // waits for the engine
	require.NoError(p.t, err)
	return p.end(handle.Identifier)
}

// end releases a session, which ends its engine here.
func (p *person) end(session string) bool {
	p.t.Helper()
	_, err := p.send(p.context(p.t.Context()), "ReleaseSession", [][]byte{text(1, session)})
	require.NoError(p.t, err)
	return true
}

// rest makes a REST call of the person.
func (p *person) rest(h *house, method, path string, body any) (int, []byte) {
	p.t.Helper()
	var in bytes.Buffer
	require.NoError(p.t, json.NewEncoder(&in).Encode(body))
	req, err := http.NewRequest(method, "http://"+h.REST+path, &in)
	require.NoError(p.t, err)
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(req)
	require.NoError(p.t, err)
	defer func() { _ = r.Body.Close() }()
	out, err := io.ReadAll(r.Body)
	require.NoError(p.t, err)
	return r.StatusCode, out
}

// plain is a launch without what differs between two equal ones.
func plain(t *testing.T, l launched) map[string]any {
	t.Helper()
	ref := l.Properties["spark.kyuubi.ha.engine.ref.id"]
	require.NotEmpty(t, ref)
	l.Properties["spark.kyuubi.engine.submit.time"] = ""
	raw, err := json.Marshal(l)
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(string(raw), ref, "REF")), &out))
	return out
}

// ownEngines makes each session launch its own engine, so that an option of a
// session that is let in shows in a launch.
func ownEngines() map[string]string {
	return map[string]string{"kyuubi.engine.share.level": "CONNECTION"}
}

// TestHostileOptionsChangeNoLaunch: dangerous options by all three ways. Most
// refuse the session; whatever lets it in launches as if it was not there.
func TestHostileOptionsChangeNoLaunch(t *testing.T) {
	h := start(t, ownEngines())
	alice := h.person("alice", aliceToken)
	require.True(t, alice.end(alice.open()))
	want := plain(t, h.launches()[0])
	rows, in := 0, 0
	attempt := func(way string, open func(option) bool, o option) {
		rows++
		if !open(o) {
			return
		}
		in++
		all := h.launches()
		require.Equal(t, want, plain(t, all[len(all)-1]), "%s: %q=%q", way, o.key, o.value)
	}
	for way, open := range ways(h, alice) {
		for _, key := range dangerous {
			for _, name := range slices.Sorted(maps.Keys(disguises)) {
				attempt(way, open, disguises[name](key))
			}
		}
	}
	require.GreaterOrEqual(t, rows, 3*300)
	for _, l := range h.launches() {
		require.Equal(t, want, plain(t, l))
	}
	t.Logf("%d hostile options by three ways, %d sessions let in, %d launches, all equal", rows, in, len(h.launches()))
	require.Less(t, in, rows/4)
}

// TestBadValuesOfAllowedOptions: what a client may choose cannot carry anything
// else along.
func TestBadValuesOfAllowedOptions(t *testing.T) {
	h := start(t, ownEngines())
	alice := h.person("alice", aliceToken)
	require.True(t, alice.end(alice.open()))
	want := plain(t, h.launches()[0])
	for way, open := range ways(h, alice) {
		for _, key := range []string{"spark.driver.memory", "spark.executor.instances", "spark.serializer", conf.SessionName.Key, conf.EngineSubdomain.Key, conf.SessionProfile.Key, "spark.app.name"} {
			for _, value := range badValues {
				open(option{key, value})
			}
		}
		launches := h.launches()
		for _, l := range launches {
			require.Equal(t, want, plain(t, l), way)
		}
		// The same way does change a launch where it may.
		require.True(t, open(option{"spark.driver.memory", "700m"}), way)
		chosen := h.launches()[len(launches)]
		require.Equal(t, "700m", chosen.Properties["spark.driver.memory"], way)
		chosen.Properties["spark.driver.memory"] = launches[0].Properties["spark.driver.memory"]
		const fingerprint = "spark.kyuubi.engine.config.fingerprint"
		require.NotEqual(t, launches[0].Properties[fingerprint], chosen.Properties[fingerprint], way)
		chosen.Properties[fingerprint] = launches[0].Properties[fingerprint]
		require.Equal(t, want, plain(t, chosen), "%s: nothing but the memory", way)
		h.forget(chosen)
	}
}

// TestLaunchIsNoSecretAndNoShell: what spark-submit is given has one shape and
// none of the gateway's secrets.
func TestLaunchIsNoSecretAndNoShell(t *testing.T) {
	t.Setenv("SECRET_OF_THE_ADMINISTRATOR", "must-not-be-seen")
	t.Setenv("KYUUBI_PASSWORD", "must-not-be-seen")
	t.Setenv("SPARK_SUBMIT_OPTS", "-Dmust-not-be-seen=1")
	t.Setenv("LD_PRELOAD_OF_TEST", "must-not-be-seen")
	h := start(t, nil)
	h.person("alice", aliceToken).open()
	l := h.launches()[0]
	require.Len(t, l.Args, 6)
	ref := l.Properties["spark.kyuubi.ha.engine.ref.id"]
	require.Equal(t, []string{"--properties-file", l.Dir + "/spark.properties", "--class", "org.roundhouse.engine.ConnectEngine"}, l.Args[1:5])
	require.Contains(t, l.Dir, "/alice/"+ref)
	everything := fmt.Sprint(l)
	for _, secret := range []string{aliceToken, bobToken, rootToken, "must-not-be-seen"} {
		require.NotContains(t, everything, secret)
	}
	token := h.arrivals()[0].Header["authorization"][0]
	require.NotContains(t, everything, strings.TrimPrefix(token, "Bearer "))
}
