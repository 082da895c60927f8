// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Stat;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The registration in a real ZooKeeper. */
@Timeout(60)
class ZooKeeperRegistrationTest implements Registration.Listener {

  private static final String ENGINE =
      "engine-" + Fixtures.REF_ID + ":" + Fixtures.KEYS.zooKeeper();
  private static final Node NODE = new Node("127.0.0.1:41123", "serverUri=127.0.0.1:41123;sequence=");
  private static final long SOON_MS = 1_000;

  @TempDir Path dir;
  private final BlockingQueue<Boolean> registered = new LinkedBlockingQueue<>();
  private final BlockingQueue<String> deregistered = new LinkedBlockingQueue<>();
  private final BlockingQueue<Ending> endings = new LinkedBlockingQueue<>();
  private TestZooKeeper server;
  private Registration registration;

  @AfterEach
  void stop() throws Exception {
    registration.takeBack("stopped", "", 5_000);
    server.close();
  }

  @Override
  public void registered(boolean warmUp) {
    registered.add(warmUp);
  }

  @Override
  public void deregistered() {
    deregistered.add("deregistered");
  }

  @Override
  public void ended(Ending ending) {
    endings.add(ending);
  }

  @Test
  void makesANodeThatOnlyGatewaysMayChange() throws Exception {
    server = new TestZooKeeper(dir);
    server.openSpace(ENGINE);
    register(server.address(), Map.of());
    assertFalse(registered.take());
    String node = onlyNode();
    assertTrue(node.matches("serverUri=127\\.0\\.0\\.1:41123;sequence=\\d{10}"), node);
    String path = TestZooKeeper.SPACE + "/" + node;
    Stat stat = new Stat();
    byte[] data = server.gateway().getData(path, false, stat);
    assertArrayEquals("127.0.0.1:41123".getBytes(StandardCharsets.UTF_8), data);
    assertNotEquals(0, stat.getEphemeralOwner());
    List<ACL> rights = server.gateway().getACL(path, stat);
    assertEquals(2, rights.size());
    assertEquals(Perms.ALL, rights.get(0).getPerms());
    assertEquals(TestZooKeeper.gateways(), "digest:" + rights.get(0).getId().getId());
    assertEquals(Perms.READ, rights.get(1).getPerms());
    assertTrue(rights.get(1).getId().getId().startsWith("engine-" + Fixtures.REF_ID + ":"));
    ZooKeeper engine = TestZooKeeper.connect(server.address(), ENGINE);
    assertThrows(KeeperException.NoAuthException.class, () -> engine.delete(path, -1));
    assertThrows(KeeperException.NoAuthException.class, () -> engine.setData(path, data, -1));
    engine.close();
  }

  @Test
  void comesBackWhenTheSessionExpired() throws Exception {
    server = new TestZooKeeper(dir);
    server.openSpace(ENGINE);
    register(server.address(), Map.of());
    registered.take();
    for (int i = 0; i < 2; i++) {
      String before = onlyNode();
      server.expire(before);
      until("another node", () -> server.nodes().size() == 1 && !server.nodes().contains(before));
    }
    assertNull(deregistered.poll(SOON_MS, TimeUnit.MILLISECONDS));
    assertNull(registered.poll(), "heard twice of one registration");
    server.gateway().delete(TestZooKeeper.SPACE + "/" + onlyNode(), -1);
    deregistered.take();
  }

  @Test
  void aDeletedNodeIsAnnouncedAndNotMadeAgain() throws Exception {
    server = new TestZooKeeper(dir);
    server.openSpace(ENGINE);
    register(server.address(), Map.of());
    registered.take();
    server.gateway().delete(TestZooKeeper.SPACE + "/" + onlyNode(), -1);
    deregistered.take();
    assertNull(deregistered.poll(SOON_MS, TimeUnit.MILLISECONDS));
    assertEquals(List.of(), server.nodes());
    assertTrue(registration.takeBack("drained", "", 5_000));
    assertNull(endings.poll());
  }

  @Test
  void aNodeThatIsChangedIsStillWatched() throws Exception {
    server = new TestZooKeeper(dir);
    server.openSpace(ENGINE);
    register(server.address(), Map.of());
    registered.take();
    String path = TestZooKeeper.SPACE + "/" + onlyNode();
    server.gateway().setData(path, new byte[] {1}, -1);
    assertNull(deregistered.poll(SOON_MS, TimeUnit.MILLISECONDS));
    server.gateway().delete(path, -1);
    deregistered.take();
  }

  @Test
  void takingBackRemovesTheNodeAndIsNoDeletion() throws Exception {
    server = new TestZooKeeper(dir);
    server.openSpace(ENGINE);
    register(server.address(), Map.of());
    registered.take();
    assertTrue(registration.takeBack("idle", "", 5_000));
    assertEquals(List.of(), server.nodes());
    assertTrue(registration.takeBack("stopped", "", 5_000));
    assertNull(deregistered.poll(SOON_MS, TimeUnit.MILLISECONDS));
    assertEquals(List.of(), server.nodes());
    assertTrue(registration.settleMs() > 0);
  }

  @Test
  void aServerThatRestartsIsNothing() throws Exception {
    server = new TestZooKeeper(dir);
    server.openSpace(ENGINE);
    register(server.address(), Map.of());
    registered.take();
    String node = onlyNode();
    server.stop();
    assertNull(deregistered.poll(SOON_MS, TimeUnit.MILLISECONDS));
    server.start();
    until("the server is back", () -> server.nodes().equals(List.of(node)));
    server.gateway().delete(TestZooKeeper.SPACE + "/" + node, -1);
    deregistered.take();
    assertNull(registered.poll());
    assertNull(endings.poll());
  }

  @Test
  void takingBackDoesNotWaitForAServerThatIsAway() throws Exception {
    server = new TestZooKeeper(dir);
    server.openSpace(ENGINE);
    register(server.address(), Map.of());
    registered.take();
    server.stop();
    long start = System.nanoTime();
    assertTrue(registration.takeBack("idle", "", 5_000));
    assertTrue(System.nanoTime() - start < TimeUnit.SECONDS.toNanos(6));
    server.start();
  }

  @Test
  void alsoComesBackWhenServerAndTreeWereAway() throws Exception {
    server = new TestZooKeeper(dir);
    server.openSpace(ENGINE);
    register(server.address(), Map.of());
    registered.take();
    String node = onlyNode();
    server.expire(node); // Its session is in none of the logs that the server starts from.
    until("the end of the session", () -> !server.nodes().contains(node));
    server.stop();
    server.start();
    long start = System.nanoTime();
    until("another node", () -> server.nodes().size() == 1 && !server.nodes().contains(node));
    assertTrue(System.nanoTime() - start < TimeUnit.SECONDS.toNanos(10));
    assertNull(deregistered.poll());
  }

  @Test
  void waitsForRightsAndGivesUpWithoutThem() throws Exception {
    server = new TestZooKeeper(dir);
    server.openSpace("engine-other:x");
    register(server.address(), Map.of("spark.kyuubi.session.engine.initialize.timeout", "1500"));
    Ending ending = endings.take();
    assertEquals(1, ending.exitCode());
    assertTrue(ending.detail().contains("NOAUTH"), ending.detail());
    assertTrue(ending.detail().contains("initialize.timeout"), ending.detail());
    assertNull(registered.poll());
  }

  @Test
  void waitsForItsSpace() throws Exception {
    server = new TestZooKeeper(dir);
    register(server.address(), Map.of());
    assertNull(registered.poll(SOON_MS, TimeUnit.MILLISECONDS));
    server.openSpace(ENGINE);
    registered.take();
    assertNull(endings.poll());
  }

  @Test
  void givesUpWithoutAServer() throws Exception {
    server = new TestZooKeeper(dir);
    server.stop();
    register(server.address(), Map.of("spark.kyuubi.session.engine.initialize.timeout", "1000"));
    assertEquals(1, endings.take().exitCode());
  }

  @Test
  void aLostAnswerLeavesOneNode() throws Exception {
    server = new TestZooKeeper(dir);
    server.openSpace(ENGINE);
    try (LossyRelay relay = new LossyRelay(server.port(), "serverUri=", 2)) {
      register(relay.address(), Map.of());
      registered.take();
      assertEquals(0, relay.lossesLeft());
      String node = onlyNode();
      assertTrue(node.endsWith("2"), "the third node is the one that stays: " + node);
    }
  }

  @Test
  void speaksTlsToAServerItTrusts() throws Exception {
    server = new TestZooKeeper(dir);
    server.openSpace(ENGINE);
    server.close();
    Path strange = Certificate.make(dir, "strange").pem();
    try (Certificate certificate = Certificate.make(dir, "server")) {
      server = new TestZooKeeper(dir, true);
      Map<String, String> tls = new HashMap<>();
      tls.put("spark.kyuubi.ha.zookeeper.ssl.enabled", "true");
      tls.put("spark.kyuubi.ha.zookeeper.ssl.truststore.path", certificate.pem().toString());
      register(server.address(), tls);
      registered.take();
      assertTrue(registration.takeBack("idle", "", 5_000));
      tls.put("spark.kyuubi.ha.zookeeper.ssl.truststore.path", strange.toString());
      tls.put("spark.kyuubi.session.engine.initialize.timeout", "2000");
      register(server.address(), tls);
      endings.take();
      assertNull(registered.poll());
    }
  }

  private void register(String address, Map<String, String> more) throws Exception {
    Map<String, String> conf = new HashMap<>();
    conf.put("spark.kyuubi.ha.addresses", address);
    conf.put("spark.kyuubi.ha.zookeeper.session.timeout", "5000");
    conf.put("spark.kyuubi.ha.zookeeper.acl.gateways", TestZooKeeper.gateways());
    conf.put("spark.kyuubi.engine.submit.time", Long.toString(System.currentTimeMillis()));
    conf.putAll(more);
    registration = Registration.of(Fixtures.settings("", conf), Fixtures.KEYS, NODE, this);
    registration.start();
  }

  private String onlyNode() throws Exception {
    List<String> nodes = server.nodes();
    assertEquals(1, nodes.size(), nodes.toString());
    return nodes.get(0);
  }

  /** A question whose answer may fail while the server comes back. */
  private interface Check {
    boolean holds() throws Exception;
  }

  private static void until(String what, Check check) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (System.nanoTime() < deadline) {
      try {
        if (check.holds()) {
          return;
        }
      } catch (KeeperException.ConnectionLossException e) {
        // The server is not back yet.
      }
      TimeUnit.MILLISECONDS.sleep(20);
    }
    throw new AssertionError("not within 30 s: " + what);
  }
}
