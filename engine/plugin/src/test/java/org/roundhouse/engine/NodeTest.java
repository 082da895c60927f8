// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

class NodeTest {

  // HMAC-SHA256, made with openssl.
  private static final String MAC =
      "eaafde10fde378c1abbbf698fe289fd930a83181d59261db35b36c5fa61207d7";

  private static final String RELAY_MAC =
      "d0b8c0218271ac459926cd82fd8b1dd556021ffe916af933bf45cd5f9dbe5b21";

  @Test
  void hasTheAttributesOfTheContractInOrder() {
    Map<String, String> about = new LinkedHashMap<>();
    about.put("sparkVersion", "4.3.0");
    about.put("kyuubi.engine.id", "local-17");
    about.put("pid", "4711");
    assertEquals(
        "serverUri=127.0.0.1:41123;version=1;sparkConnectPort=41123;control=127.0.0.1:40999"
            + ";sparkVersion=4.3.0;kyuubi.engine.id=local-17;pid=4711;mac=" + MAC
            + ";refId=" + Fixtures.REF_ID + ";sequence=",
        node(about).name());
    assertEquals("127.0.0.1:41123", node(about).address());
  }

  @Test
  void dropsAttributesThatWouldBreakTheFormat() {
    Map<String, String> about = new LinkedHashMap<>();
    about.put("url", "h:1;serverUri=evil:1");
    about.put("query", "a=b");
    about.put("empty", "");
    about.put("absent", null);
    about.put("lines", "a\nb");
    about.put("path", "a/b");
    about.put("character", "\ue000");
    assertEquals(node(Map.of()), node(about));
  }

  /** The expected MAC was made as the other one, with the relay as one more line. */
  @Test
  void namesAndSignsTheRelay() {
    Node.Ports ports =
        new Node.Ports(41123, "127.0.0.1:40999", "[2001:db8::7]:40123", "0f".repeat(32));
    Node node = Node.of(Fixtures.settings(Map.of()), Fixtures.KEYS, ports, Map.of("pid", "4711"));
    assertEquals(
        "serverUri=127.0.0.1:41123;version=1;sparkConnectPort=41123;control=127.0.0.1:40999"
            + ";relay=[2001:db8::7]:40123;fingerprint=" + "0f".repeat(32)
            + ";pid=4711;mac=" + RELAY_MAC + ";refId=" + Fixtures.REF_ID + ";sequence=",
        node.name());
  }

  private static Node node(Map<String, String> about) {
    Node.Ports ports = new Node.Ports(41123, "127.0.0.1:40999", "", "");
    return Node.of(Fixtures.settings(Map.of()), Fixtures.KEYS, ports, about);
  }
}
