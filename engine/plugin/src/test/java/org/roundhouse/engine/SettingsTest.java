// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.zookeeper.data.Id;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SettingsTest {

  private static final String SESSION = "spark.kyuubi.session.idle.timeout";
  private static final String ENGINE = "spark.kyuubi.session.engine.idle.timeout";
  private static final String CHECK = "spark.kyuubi.session.engine.check.interval";

  @ParameterizedTest
  @CsvSource({
    "3600000, 1800000, 60000, 5000", // bounded by 5 s
    "3600000, 1800000, 2000, 2000", // bounded by the check interval
    "8000, 60000, 60000, 2000", // a quarter of the shortest
    "400, 0, 60000, 250", // never less than 250 ms
    "0, -1, 60000, 5000", // no timeout at all
    "0, 8000, 60000, 2000", // timeouts that are off do not count
    "0, 0, 10, 250" // a tiny check interval
  })
  void pollInterval(String session, String engine, String check, long expected) {
    Settings s = Fixtures.settings(Map.of(SESSION, session, ENGINE, engine, CHECK, check));
    assertEquals(expected, s.pollInterval());
  }

  @Test
  void namesTheMissingProperty() {
    var e = assertThrows(IllegalArgumentException.class, () -> Settings.read(key -> null, 0));
    assertTrue(e.getMessage().contains("spark.kyuubi.ha.engine.ref.id"), e.getMessage());
  }

  @Test
  void namesTheMalformedProperty() {
    var e =
        assertThrows(
            IllegalArgumentException.class, () -> Fixtures.settings(Map.of(SESSION, "PT1H")));
    assertTrue(e.getMessage().contains(SESSION) && e.getMessage().contains("PT1H"), e.getMessage());
  }

  @Test
  void givesUpAfterTheInitializeTimeout() {
    Settings s =
        Fixtures.settings(
            Map.of(
                "spark.kyuubi.engine.submit.time", "1000",
                "spark.kyuubi.session.engine.initialize.timeout", "500"));
    assertEquals(1500, s.giveUpAt());
  }

  @Test
  void acceptsAGatewayUrlWithASlashAtItsEnd() {
    assertEquals("http://h:1", Fixtures.settings("http://h:1/", Map.of()).gateway().toString());
  }

  @Test
  void registersInZooKeeperWhereThereIsOne() {
    Settings s =
        Fixtures.settings(
            "",
            Map.of(
                "spark.kyuubi.ha.addresses", "h:1,h:2/root",
                "spark.kyuubi.ha.zookeeper.session.timeout", "6000",
                "spark.kyuubi.ha.zookeeper.acl.gateways", "digest:a:x=, digest:b:y/",
                "spark.kyuubi.ha.zookeeper.ssl.enabled", "true",
                "spark.kyuubi.ha.zookeeper.ssl.truststore.path", "/etc/ca.crt",
                "spark.kyuubi.engine.config.fingerprint", "f1"));
    assertNull(s.gateway());
    assertEquals("f1", s.configuration());
    ZooKeeperSettings z = s.zooKeeper();
    assertEquals("h:1,h:2/root", z.addresses());
    assertEquals(6000, z.sessionTimeoutMs());
    assertEquals(15_000, z.requestTimeoutMs());
    assertEquals(List.of(new Id("digest", "a:x="), new Id("digest", "b:y/")), z.gateways());
    assertEquals("true", z.client().getProperty("zookeeper.client.secure"));
    assertEquals("/etc/ca.crt", z.client().getProperty("zookeeper.ssl.trustStore.location"));
    assertEquals("PEM", z.client().getProperty("zookeeper.ssl.trustStore.type"));
    assertNull(Fixtures.settings(Map.of()).zooKeeper());
  }

  @ParameterizedTest
  @CsvSource({
    "h, '', h, h:1",
    "10.0.0.7, 0.0.0.0, 0.0.0.0, 10.0.0.7:1",
    "2001:db8::7, '', 2001:db8::7, [2001:db8::7]:1",
    "[2001:db8::7], [::], ::, [2001:db8::7]:1",
    "'', '', '', :1"
  })
  void readsWhereTheRelayIs(String host, String bind, String expectedBind, String expected) {
    Map<String, String> conf = new HashMap<>();
    conf.put("spark.driver.host", host);
    conf.put("spark.driver.bindAddress", bind);
    conf.put("spark.kyuubi.engine.spark.connect.relay", "true");
    assertNull(Fixtures.settings(conf).relay(), "only with ZooKeeper");
    conf.put("spark.kyuubi.ha.addresses", "h:1");
    conf.put("spark.kyuubi.ha.zookeeper.acl.gateways", "digest:a:x");
    RelaySettings relay = Fixtures.settings(conf).relay();
    assertEquals(expectedBind, relay.bind());
    assertEquals(expected, relay.address(1));
    conf.put("spark.kyuubi.engine.spark.connect.relay", "false");
    assertNull(Fixtures.settings(conf).relay());
  }

  @ParameterizedTest
  @CsvSource({
    "spark.kyuubi.ha.zookeeper.acl.gateways, ''",
    "spark.kyuubi.ha.zookeeper.acl.gateways, world:anyone",
    "spark.kyuubi.ha.zookeeper.session.timeout, 0",
    "spark.kyuubi.session.engine.spark.max.heap.percent, 101"
  })
  void namesWhatIsWrong(String key, String value) {
    Map<String, String> conf = new HashMap<>();
    conf.put("spark.kyuubi.ha.addresses", "h:1");
    conf.put("spark.kyuubi.ha.zookeeper.acl.gateways", "digest:a:x");
    conf.put(key, value);
    var e = assertThrows(IllegalArgumentException.class, () -> Fixtures.settings("", conf));
    assertTrue(e.getMessage().contains(key), e.getMessage());
  }
}
