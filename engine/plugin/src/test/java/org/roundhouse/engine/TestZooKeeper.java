// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.server.NIOServerCnxnFactory;
import org.apache.zookeeper.server.NettyServerCnxnFactory;
import org.apache.zookeeper.server.ServerCnxnFactory;
import org.apache.zookeeper.server.ZooKeeperServer;
import org.apache.zookeeper.server.auth.DigestAuthenticationProvider;

/** A real ZooKeeper server in this JVM, on loopback, and a client with the rights of gateways. */
final class TestZooKeeper implements AutoCloseable {

  static final String SPACE = "/kyuubi_1_USER_SPARK_CONNECT/alice/default";
  private static final String GATEWAYS = "gateways:secret";
  private static final int TICK_MS = 500;
  private static final int SESSION_MS = 10_000;

  private final Path dir;
  private final boolean secure;
  private int port;
  private ServerCnxnFactory door;
  private ZooKeeperServer server;
  private ZooKeeper gateway;

  TestZooKeeper(Path dir) throws Exception {
    this(dir, false);
  }

  TestZooKeeper(Path dir, boolean secure) throws Exception {
    this.dir = dir;
    this.secure = secure;
    start();
  }

  /** Starts the server, on the same port as before. */
  void start() throws IOException, InterruptedException {
    server = new ZooKeeperServer(dir.toFile(), dir.toFile(), TICK_MS);
    String kind = (secure ? NettyServerCnxnFactory.class : NIOServerCnxnFactory.class).getName();
    System.setProperty(ServerCnxnFactory.ZOOKEEPER_SERVER_CNXN_FACTORY, kind);
    door = ServerCnxnFactory.createFactory();
    door.configure(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 100, -1, secure);
    door.startup(server);
    port = door.getLocalPort();
  }

  /** Ends the server; what it knows, sessions too, stays on disk. */
  void stop() {
    door.shutdown();
  }

  int port() {
    return port;
  }

  String address() {
    return "localhost:" + port;
  }

  /** The identity of gateways, as engines are told. */
  static String gateways() throws Exception {
    return "digest:" + DigestAuthenticationProvider.generateDigest(GATEWAYS);
  }

  /** A client that is a gateway. */
  ZooKeeper gateway() throws Exception {
    if (gateway == null) {
      gateway = connect(address(), GATEWAYS);
    }
    return gateway;
  }

  static ZooKeeper connect(String address, String identity) throws Exception {
    CountDownLatch connected = new CountDownLatch(1);
    ZooKeeper client =
        new ZooKeeper(
            address,
            SESSION_MS,
            event -> {
              if (event.getState() == KeeperState.SyncConnected) {
                connected.countDown();
              }
            });
    client.addAuthInfo("digest", identity.getBytes(StandardCharsets.UTF_8));
    connected.await();
    return client;
  }

  /** Makes the engine space, in which only this engine may create nodes. */
  void openSpace(String engine) throws Exception {
    List<ACL> all = Arrays.asList(new ACL(ZooDefs.Perms.ALL, id(GATEWAYS)));
    List<ACL> open = Arrays.asList(all.get(0), new ACL(ZooDefs.Perms.CREATE, id(engine)));
    String path = "";
    for (String step : SPACE.substring(1).split("/")) {
      path += "/" + step;
      if (gateway().exists(path, false) == null) {
        gateway().create(path, new byte[0], path.equals(SPACE) ? open : all, CreateMode.PERSISTENT);
      }
    }
  }

  /** The names of the nodes in the engine space. */
  List<String> nodes() throws Exception {
    return gateway().getChildren(SPACE, false);
  }

  /** Ends the ZooKeeper session that made a node, as if it had been silent for too long. */
  void expire(String node) throws Exception {
    server.closeSession(gateway().exists(SPACE + "/" + node, false).getEphemeralOwner());
  }

  private static Id id(String identity) throws Exception {
    return new Id("digest", DigestAuthenticationProvider.generateDigest(identity));
  }

  @Override
  public void close() throws InterruptedException {
    if (gateway != null) {
      gateway.close(2_000);
      gateway = null;
    }
    stop();
  }
}
