// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.util.function.Function;

/**
 * Where gateways on other machines reach the engine.
 *
 * @param bind the address to listen on
 * @param host what others dial; without brackets
 */
record RelaySettings(String bind, String host) {

  private static final String RELAY = "spark.kyuubi.engine.spark.connect.relay";
  private static final String BIND = "spark.driver.bindAddress";
  private static final String HOST = "spark.driver.host";

  /**
   * Reads the settings. Spark sets the host when its context starts, so it is empty before.
   *
   * @return null if the engine offers no relay
   */
  static RelaySettings read(Function<String, String> conf) {
    if (!Settings.text(conf, RELAY).equals("true")) {
      return null;
    }
    String host = withoutBrackets(Settings.text(conf, HOST));
    String bind = withoutBrackets(Settings.text(conf, BIND));
    return new RelaySettings(bind.isEmpty() ? host : bind, host);
  }

  /** {@code host:port} of a port of this host. */
  String address(int port) {
    return (host.contains(":") ? "[" + host + "]" : host) + ":" + port;
  }

  private static String withoutBrackets(String host) {
    return host.replaceAll("^\\[|\\]$", "");
  }
}
