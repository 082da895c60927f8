// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.net.URI;
import java.nio.file.Path;
import java.util.function.Function;
import java.util.stream.LongStream;

/**
 * What the gateway wrote into {@code spark.properties} for this engine. All times are milliseconds.
 *
 * @param refId the engine's reference id, a UUID
 * @param path the engine space, e.g. {@code /kyuubi_1_USER_SPARK_CONNECT/alice/default}
 * @param keyFile the file with the engine's keys
 * @param gateway base URL of the gateway that launched the engine; null with ZooKeeper
 * @param zooKeeper where to register instead of at the gateway; null without
 * @param relay where gateways on other machines reach the engine; null without a relay
 * @param configuration tells the configuration that the engine was launched with; may be empty
 * @param sessionIdle close a session idle for so long; 0 or less: never
 * @param engineIdle stop the engine without open sessions for so long; 0 or less: never
 * @param checkInterval upper bound of the poll interval
 * @param initialWait stop if no session was ever opened for so long; 0 or less: never
 * @param maxLifetime drain when older; 0 or less: never
 * @param maxHeapPercent drain when more of the heap is in use after collections; 0 or less: never
 * @param submitTime when the gateway submitted the application, epoch milliseconds
 * @param initializeTimeout how long after the submit an engine that is not registered gives up
 */
record Settings(
    String refId,
    String path,
    Path keyFile,
    URI gateway,
    ZooKeeperSettings zooKeeper,
    RelaySettings relay,
    String configuration,
    long sessionIdle,
    long engineIdle,
    long checkInterval,
    long initialWait,
    long maxLifetime,
    int maxHeapPercent,
    long submitTime,
    long initializeTimeout) {

  private static final long MIN_POLL_MS = 250;
  private static final long MAX_POLL_MS = 5_000;
  private static final long DEFAULT_CHECK_MS = 60_000;
  private static final long DEFAULT_INITIALIZE_MS = 180_000;

  /**
   * Reads the settings.
   *
   * @param conf looks a property up; null when it is not set
   * @param now the current time, the submit time of an engine that was told none
   * @throws IllegalArgumentException naming the property that is missing or malformed
   */
  static Settings read(Function<String, String> conf, long now) {
    ZooKeeperSettings zooKeeper = ZooKeeperSettings.read(conf);
    return new Settings(
        required(conf, "spark.kyuubi.ha.engine.ref.id"),
        required(conf, "spark.kyuubi.ha.namespace"),
        Path.of(required(conf, "spark.kyuubi.engine.key.file")),
        zooKeeper == null ? gateway(conf) : null,
        zooKeeper,
        zooKeeper == null ? null : RelaySettings.read(conf),
        text(conf, "spark.kyuubi.engine.config.fingerprint"),
        number(conf, "spark.kyuubi.session.idle.timeout", 0),
        number(conf, "spark.kyuubi.session.engine.idle.timeout", 0),
        number(conf, "spark.kyuubi.session.engine.check.interval", DEFAULT_CHECK_MS),
        number(conf, "spark.kyuubi.session.engine.spark.max.initial.wait", 0),
        number(conf, "spark.kyuubi.session.engine.spark.max.lifetime", 0),
        percent(conf, "spark.kyuubi.session.engine.spark.max.heap.percent"),
        number(conf, "spark.kyuubi.engine.submit.time", now),
        number(conf, "spark.kyuubi.session.engine.initialize.timeout", DEFAULT_INITIALIZE_MS));
  }

  /** The moment, in epoch milliseconds, at which an engine that is not registered gives up. */
  long giveUpAt() {
    return submitTime + initializeTimeout;
  }

  /** Milliseconds between two looks at the sessions: a quarter of the shortest timeout, bounded. */
  long pollInterval() {
    long upper = Math.max(MIN_POLL_MS, Math.min(checkInterval, MAX_POLL_MS));
    long shortest =
        LongStream.of(sessionIdle, engineIdle, initialWait, maxLifetime)
            .filter(t -> t > 0)
            .min()
            .orElse(Long.MAX_VALUE);
    return Math.max(MIN_POLL_MS, Math.min(shortest / 4, upper));
  }

  private static URI gateway(Function<String, String> conf) {
    return URI.create(required(conf, "spark.kyuubi.engine.gateway.url").replaceAll("/+$", ""));
  }

  private static int percent(Function<String, String> conf, String key) {
    long value = number(conf, key, 0);
    if (value > 100) {
      throw new IllegalArgumentException("The property " + key + " is a percentage, not " + value + ".");
    }
    return (int) value;
  }

  /** A property without blanks around it; empty if it is not set. */
  static String text(Function<String, String> conf, String key) {
    String value = conf.apply(key);
    return value == null ? "" : value.trim();
  }

  /** A property that has to be set. */
  static String required(Function<String, String> conf, String key) {
    String value = text(conf, key);
    if (value.isEmpty()) {
      throw new IllegalArgumentException(
          "The property " + key + " is not set: an engine is launched by the gateway, not by hand.");
    }
    return value;
  }

  /** A property that is a whole number, most of them milliseconds. */
  static long number(Function<String, String> conf, String key, long otherwise) {
    String value = text(conf, key);
    try {
      return value.isEmpty() ? otherwise : Long.parseLong(value);
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          "The property " + key + " must be a whole number, not '" + value + "'.", e);
    }
  }
}
