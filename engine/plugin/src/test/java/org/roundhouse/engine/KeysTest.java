// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KeysTest {

  @TempDir Path dir;

  @Test
  void takesTheKeysAndDeletesTheFile() throws IOException {
    Path file = file("rpc=" + "1".repeat(64), "register=" + "2".repeat(64), "control=" + "3".repeat(64));
    Keys keys = Keys.take(file, false, false);
    assertEquals(new Keys("1".repeat(64), "2".repeat(64), "3".repeat(64), "", null), keys);
    assertEquals(3, keys.secrets().size());
    assertFalse(Files.exists(file));
  }

  @Test
  void takesTheKeyForZooKeeperWhereItIsNeeded() throws IOException {
    String[] lines = {
      "rpc=" + "1".repeat(64), "register=" + "2".repeat(64), "control=" + "3".repeat(64),
    };
    var e = assertThrows(IOException.class, () -> Keys.take(file(lines), true, false));
    assertTrue(e.getMessage().contains("'zk'"), e.getMessage());
    lines[0] += "\nzk=" + "4".repeat(64);
    Keys keys = Keys.take(file(lines), true, false);
    assertEquals("4".repeat(64), keys.zooKeeper());
    assertTrue(keys.secrets().contains(keys.zooKeeper()));
  }

  @Test
  void takesTheKeyOfTheRelayWhereItIsNeeded() throws IOException {
    String[] lines = {
      "rpc=" + "1".repeat(64), "register=" + "2".repeat(64), "control=" + "3".repeat(64),
      "zk=" + "4".repeat(64), "relay.key=MIG+/==",
    };
    var e = assertThrows(IOException.class, () -> Keys.take(file(lines), true, true));
    assertTrue(e.getMessage().contains("'relay.certificate'"), e.getMessage());
    lines[4] += "\nrelay.certificate=MIIB=";
    e = assertThrows(IOException.class, () -> Keys.take(file(lines), true, true));
    assertTrue(e.getMessage().contains("'relay.client'"), e.getMessage());
    lines[4] += "\nrelay.client=" + "5".repeat(64);
    Keys keys = Keys.take(file(lines), true, true);
    assertEquals(new RelayKeys("MIG+/==", "MIIB=", "5".repeat(64)), keys.relay());
    assertTrue(keys.secrets().contains("MIG+/=="));
    assertFalse(keys.secrets().contains("MIIB="));
    assertEquals(keys.withoutRelay(), Keys.take(file(lines), true, false));
  }

  @Test
  void refusesAndStillDeletesAFileThatLacksAKey() throws IOException {
    Path file = file("rpc=" + "1".repeat(64), "register=" + "2".repeat(63));
    var e = assertThrows(IOException.class, () -> Keys.take(file, false, false));
    assertTrue(e.getMessage().contains("'register'"), e.getMessage());
    assertFalse(e.getMessage().contains("2222"), "a key is in the message");
    assertFalse(Files.exists(file));
  }

  @Test
  void reportsAMissingFile() {
    assertThrows(IOException.class, () -> Keys.take(dir.resolve("none"), false, false));
  }

  /** The expected value was made with: printf 'PUT\n/a\n{}' | openssl dgst -sha256 -hmac cdcd... */
  @Test
  void macOfTheText() {
    String mac = Fixtures.KEYS.mac(bytes("PUT\n"), bytes("/a\n"), bytes("{}"));
    assertEquals("cfbff1e0949e68a3a8a29748eaec406e6839cc2a2a4e9f7e0973d3475f5d9afb", mac);
  }

  @Test
  void showsNoSecret() {
    assertFalse(Fixtures.KEYS.toString().contains("abab"));
    assertFalse(new RelayKeys("abab", "", "").toString().contains("abab"));
  }

  private Path file(String... lines) throws IOException {
    return Files.write(dir.resolve("engine.key"), java.util.List.of(lines));
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
