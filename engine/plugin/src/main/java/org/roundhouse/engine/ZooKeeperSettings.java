// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import org.apache.zookeeper.client.ZKClientConfig;
import org.apache.zookeeper.data.Id;

/**
 * Where and how to register in ZooKeeper.
 *
 * @param addresses connect string, with or without a chroot
 * @param sessionTimeoutMs after how many milliseconds without a sign of life ZooKeeper forgets us
 * @param requestTimeoutMs how many milliseconds to wait for the answer to one request
 * @param gateways who gets all rights on the node
 * @param tls whether to speak TLS
 * @param truststore PEM file of the certificates to trust; null: those of Java
 */
record ZooKeeperSettings(
    String addresses,
    int sessionTimeoutMs,
    int requestTimeoutMs,
    List<Id> gateways,
    boolean tls,
    Path truststore) {

  private static final String PREFIX = "spark.kyuubi.ha.zookeeper.";
  private static final String GATEWAYS = PREFIX + "acl.gateways";
  private static final int DEFAULT_SESSION_MS = 60_000;
  private static final int DEFAULT_REQUEST_MS = 15_000;

  /**
   * Reads the settings.
   *
   * @return null if the engine does not register in ZooKeeper
   * @throws IllegalArgumentException naming the property that is missing or malformed
   */
  static ZooKeeperSettings read(Function<String, String> conf) {
    String addresses = Settings.text(conf, "spark.kyuubi.ha.addresses");
    if (addresses.isEmpty()) {
      return null;
    }
    String truststore = Settings.text(conf, PREFIX + "ssl.truststore.path");
    return new ZooKeeperSettings(
        addresses,
        millis(conf, PREFIX + "session.timeout", DEFAULT_SESSION_MS),
        millis(conf, PREFIX + "connection.timeout", DEFAULT_REQUEST_MS),
        ids(Settings.required(conf, GATEWAYS)),
        Settings.text(conf, PREFIX + "ssl.enabled").equals("true"),
        truststore.isEmpty() ? null : Path.of(truststore));
  }

  /** The configuration of a ZooKeeper client. */
  ZKClientConfig client() {
    ZKClientConfig config = new ZKClientConfig();
    config.setProperty(ZKClientConfig.ENABLE_CLIENT_SASL_KEY, "false");
    config.setProperty(
        ZKClientConfig.ZOOKEEPER_REQUEST_TIMEOUT, Integer.toString(requestTimeoutMs));
    config.setProperty(ZKClientConfig.SECURE_CLIENT, Boolean.toString(tls));
    if (tls) {
      config.setProperty(
          ZKClientConfig.ZOOKEEPER_CLIENT_CNXN_SOCKET, "org.apache.zookeeper.ClientCnxnSocketNetty");
    }
    if (tls && truststore != null) {
      config.setProperty("zookeeper.ssl.trustStore.location", truststore.toString());
      config.setProperty("zookeeper.ssl.trustStore.type", "PEM");
    }
    return config;
  }

  private static List<Id> ids(String text) {
    return Arrays.stream(text.split(",")).map(String::trim).map(ZooKeeperSettings::id).toList();
  }

  private static Id id(String text) {
    if (!text.matches("digest:[^:]+:[^:]+")) {
      throw new IllegalArgumentException(
          "The property " + GATEWAYS + " lists digest:<user>:<hash>, not '" + text + "'.");
    }
    return new Id("digest", text.substring("digest:".length()));
  }

  private static int millis(Function<String, String> conf, String key, int otherwise) {
    long value = Settings.number(conf, key, otherwise);
    if (value <= 0 || value > Integer.MAX_VALUE) {
      throw new IllegalArgumentException("The property " + key + " cannot be " + value + " ms.");
    }
    return (int) value;
  }
}
