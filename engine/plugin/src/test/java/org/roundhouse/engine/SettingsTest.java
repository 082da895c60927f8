// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
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
}
