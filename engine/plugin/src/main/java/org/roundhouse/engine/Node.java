// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * What an engine is registered as, in Kyuubi's node format plus attributes of ours.
 *
 * @param address {@code host:port} of the Connect service
 * @param name the node's name up to the sequence number, which who keeps it adds
 */
record Node(String address, String name) {

  private static final String MAC_LABEL = "roundhouse-registration-v1";

  /**
   * Where the ports of an engine are.
   *
   * @param connect loopback port of the Connect service
   * @param control {@code host:port} of the control endpoint
   * @param relay the relay's {@code host:port}; empty without
   * @param fingerprint of the relay's certificate; empty without
   */
  record Ports(int connect, String control, String relay, String fingerprint) {}

  /**
   * Builds the node.
   *
   * @param settings where the engine belongs
   * @param keys sign the addresses
   * @param ports how the engine is reached
   * @param about descriptive attributes in order; those that are empty or would break the format
   *     are left out
   */
  static Node of(Settings settings, Keys keys, Ports ports, Map<String, String> about) {
    String serverUri = SparkAccess.LOOPBACK + ":" + ports.connect();
    Map<String, String> node = new LinkedHashMap<>();
    node.put("serverUri", serverUri);
    node.put("version", "1");
    node.put("sparkConnectPort", Integer.toString(ports.connect()));
    node.put("control", ports.control());
    if (!ports.relay().isEmpty()) {
      node.put("relay", ports.relay());
      node.put("fingerprint", ports.fingerprint());
    }
    about.forEach(
        (name, value) -> {
          if (fits(value)) {
            node.put(name, value);
          }
        });
    node.put("mac", mac(settings, keys, serverUri, ports));
    node.put("refId", settings.refId());
    node.put("sequence", "");
    String name =
        node.entrySet().stream()
            .map(e -> e.getKey() + "=" + e.getValue())
            .collect(Collectors.joining(";"));
    return new Node(serverUri, name);
  }

  private static String mac(Settings settings, Keys keys, String serverUri, Ports ports) {
    List<String> signed =
        new ArrayList<>(
            List.of(
                MAC_LABEL,
                settings.path(),
                serverUri,
                ports.control(),
                ports.fingerprint(),
                settings.refId()));
    if (!ports.relay().isEmpty()) {
      signed.add(ports.relay());
    }
    return keys.mac(String.join("\n", signed).getBytes(StandardCharsets.UTF_8));
  }

  /** Whether a value can be part of a node's name, which ZooKeeper takes for one step of a path. */
  static boolean fits(String value) {
    return value != null
        && !value.isEmpty()
        && value.chars().noneMatch(c -> ";=/".indexOf(c) >= 0 || c < ' ' || c > '~');
  }
}
