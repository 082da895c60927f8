// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"roundhouse/engine"
)

const (
	messageMargin = 64 << 10 // what the gateway's fields may add to a message
	defaultsLimit = 1 << 20  // bytes of spark-defaults.conf
)

// tunable are settings of the engine that the admin may change; clients cannot.
// Facts: reliability 1.5, 1.13. The retry buffer decides how much a client may
// miss before its query is lost; an hour detached lets a closed laptop come
// back to its result.
var tunable = map[string]string{
	"spark.connect.execute.reattachable.observerRetryBufferSize": "64m",
	"spark.connect.execute.manager.detachedTimeout":              "1h",
	"spark.connect.grpc.arrow.maxBatchSize":                      "16m",
	"spark.ui.enabled":                                           "false",
	"spark.ui.showConsoleProgress":                               "false",
}

// fixed are settings that neither clients nor the admin may change. Sessions
// never expire in Spark's own manager: the plugin is the one authority on that,
// and knows of streams that make no calls.
var fixed = map[string]string{
	"spark.connect.grpc.binding.address":                       "127.0.0.1",
	"spark.connect.grpc.binding.port":                          "0",
	"spark.connect.grpc.debug.enabled":                         "false",
	"spark.connect.session.manager.defaultSessionTimeout":      "-1",
	"spark.connect.copyFromLocalToFs.allowDestLocal":           "false",
	"spark.sql.artifact.copyFromLocalToFs.allowDestLocal":      "false",
	"spark.submit.proxyUser.allowCustomClasspathInClusterMode": "false",
}

// properties are what Spark gets for a driver; later steps win. The plugin adds
// itself to the administrator's spark.plugins (ConnectEngine).
func (l *Launcher) properties(settings map[string]string, launch engine.Launch, confDir string) (map[string]string, error) {
	all := maps.Clone(tunable)
	all["spark.connect.grpc.maxInboundMessageSize"] = strconv.Itoa(l.opts.MaxMessage + messageMargin)
	all["spark.app.name"] = appName(launch)
	defaults, err := readDefaults(filepath.Join(confDir, "spark-defaults.conf"))
	if err != nil {
		return nil, err
	}
	for _, layer := range []map[string]string{defaults, settings} {
		for key, value := range layer {
			if isSparks(key) {
				all[key] = value
			}
		}
	}
	delete(all, "spark.connect.authenticate.token") // the plugin sets its own
	maps.Copy(all, fixed)
	return all, l.addOurs(all, settings, launch)
}

// isSparks says whether Spark itself gets a setting. Those below spark.kyuubi.
// are the gateway's own; addOurs sets them.
func isSparks(key string) bool {
	return strings.HasPrefix(key, "spark.") && !strings.HasPrefix(key, "spark.kyuubi.")
}

// addOurs adds what the plugin reads (engine/DESIGN.md).
func (l *Launcher) addOurs(all, settings map[string]string, launch engine.Launch) error {
	times := map[string]time.Duration{
		"kyuubi.session.idle.timeout":                  l.opts.Times.SessionIdle,
		"kyuubi.session.engine.idle.timeout":           l.opts.Times.EngineIdle,
		"kyuubi.session.engine.check.interval":         l.opts.Times.CheckInterval,
		"kyuubi.session.engine.spark.max.initial.wait": l.opts.Times.InitialWait,
		"kyuubi.session.engine.spark.max.lifetime":     l.opts.Times.Lifetime,
	}
	for key, value := range times {
		if text, ok := settings[key]; ok {
			parsed, err := l.opts.Duration(text)
			if err != nil {
				return fmt.Errorf("the setting %s of this session is no duration: %w", key, err)
			}
			value = parsed
		}
		all["spark."+key] = millis(value)
	}
	all["spark.kyuubi.session.engine.spark.max.heap.percent"] = strconv.Itoa(l.opts.Times.HeapPercent)
	maps.Copy(all, map[string]string{
		"spark.kyuubi.ha.engine.ref.id":                  launch.RefID,
		"spark.kyuubi.ha.namespace":                      launch.Spec.Path(),
		"spark.kyuubi.engine.key.file":                   filepath.Join(launch.WorkDir, keyFile),
		"spark.kyuubi.engine.submit.time":                strconv.FormatInt(launch.Submitted.UnixMilli(), 10),
		"spark.kyuubi.session.engine.initialize.timeout": millis(launch.Timeout),
	})
	if launch.Fingerprint != "" {
		all["spark.kyuubi.engine.config.fingerprint"] = launch.Fingerprint
	}
	if l.opts.Store == nil {
		all["spark.kyuubi.engine.gateway.url"] = l.opts.GatewayURL()
		return nil
	}
	maps.Copy(all, l.opts.Store())
	all["spark.kyuubi.engine.spark.connect.relay"] = strconv.FormatBool(l.opts.Relay)
	return nil
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// appName is Kyuubi's name of an engine.
func appName(launch engine.Launch) string {
	s := launch.Spec
	parts := []string{"kyuubi", string(s.ShareLevel), engine.TypeSparkConnect, s.Owner}
	if s.ShareLevel != engine.Connection {
		parts = append(parts, s.Subdomain)
	}
	return strings.Join(append(parts, launch.RefID), "_")
}

// readDefaults reads the admin's spark-defaults.conf, which spark-submit itself
// does not read next to --properties-file. None is none.
func readDefaults(path string) (map[string]string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && info.Size() > defaultsLimit {
		err = fmt.Errorf("it has %d bytes, more than %d", info.Size(), defaultsLimit)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("the Spark configuration %s cannot be read: %w", path, err)
	}
	return parseProperties(string(text)), nil
}
