// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.logging.log4j.Level;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.core.LoggerContext;
import org.apache.logging.log4j.core.config.Configurator;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.server.auth.DigestAuthenticationProvider;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps the engine's node in ZooKeeper: an ephemeral one that comes back after the ZooKeeper session
 * expired, until it is taken back or somebody deletes it. Without ZooKeeper the engine serves on.
 *
 * <p>The engine may create nodes in its space and do nothing else there: it cannot delete its node,
 * but ends the session that made it; and it cannot list, so when it did not hear whether a node was
 * made it ends that session, too, as soon as it can be told to the server. One thread does it all.
 */
final class ZooKeeperRegistration implements Registration {

  private static final Logger LOG = LoggerFactory.getLogger(ZooKeeperRegistration.class);
  private static final String LIBRARY = "org.apache.zookeeper";
  private static final String DIGEST = "digest";
  private static final long LAST_RETRY_MS = 2_000;
  private static final long SETTLE_MS = 3_000;
  private static final int LOG_EVERY = 30;
  private static final int ANY_VERSION = -1;

  private final ZooKeeperSettings where;
  private final Listener listener;
  private final String path;
  private final byte[] address;
  private final byte[] identity;
  private final List<ACL> rights = new ArrayList<>(); // The library looks for null in it: no List.of.
  private final long giveUpAt;
  private final ScheduledExecutorService work =
      Executors.newSingleThreadScheduledExecutor(Threads.daemon("roundhouse-zookeeper"));

  // Only the thread of work touches these.
  private Session session;
  private Future<?> retry;
  private long retryMs = FIRST_RETRY_MS;
  private int failures;
  private String problem = "It did not answer.";
  private boolean registered;
  private boolean over;

  /** One session with ZooKeeper and what is known of the node made in it. */
  private final class Session implements Watcher {
    private ZooKeeper client;
    private boolean connected; // By its events: the library's own state lags behind a lost connection.
    private String node;
    private boolean watched;
    private boolean doubtful;

    @Override
    public void process(WatchedEvent event) {
      work.execute(() -> happened(this, event));
    }
  }

  /** Prepares the registration of a node. */
  ZooKeeperRegistration(Settings settings, Keys keys, Node node, Listener listener) {
    this.where = settings.zooKeeper();
    this.listener = listener;
    this.path = settings.path() + "/" + node.name();
    this.address = node.address().getBytes(StandardCharsets.UTF_8);
    this.giveUpAt = settings.giveUpAt();
    String user = "engine-" + settings.refId() + ":" + keys.zooKeeper();
    this.identity = user.getBytes(StandardCharsets.UTF_8);
    where.gateways().forEach(id -> rights.add(new ACL(ZooDefs.Perms.ALL, id)));
    rights.add(new ACL(ZooDefs.Perms.READ, new Id(DIGEST, hashed(user))));
  }

  @Override
  public void start() {
    quiet();
    work.execute(this::proceed);
    work.schedule(this::giveUp, giveUpAt - System.currentTimeMillis(), TimeUnit.MILLISECONDS);
  }

  @Override
  public boolean takeBack(String reason, String detail, long waitMs) throws InterruptedException {
    try {
      work.submit(this::leave).get(waitMs, TimeUnit.MILLISECONDS);
    } catch (ExecutionException | TimeoutException e) {
      LOG.warn("ZooKeeper could not be told that the engine leaves: {}", e.toString());
    }
    return true;
  }

  /** Gateways hear within moments that the node is gone. */
  @Override
  public long settleMs() {
    return SETTLE_MS;
  }

  private void happened(Session who, WatchedEvent event) {
    if (who != session || over) {
      return;
    }
    if (event.getType() == Watcher.Event.EventType.None) {
      session.connected = event.getState() == Watcher.Event.KeeperState.SyncConnected;
      stateChanged(event.getState());
    } else {
      session.watched = false;
    }
    proceed();
  }

  private void stateChanged(Watcher.Event.KeeperState state) {
    switch (state) {
      case SyncConnected -> {
        if (session.node != null) {
          LOG.info("ZooKeeper at {} answers again.", where.addresses());
        }
      }
      case Disconnected -> {
        LOG.warn("ZooKeeper at {} is away; the engine goes on and waits for it.", where.addresses());
        Session lost = session;
        work.schedule(() -> replace(lost), where.sessionTimeoutMs(), TimeUnit.MILLISECONDS);
      }
      case Expired ->
          LOG.warn("ZooKeeper at {} forgot the engine, which registers anew.", where.addresses());
      default -> LOG.debug("ZooKeeper at {}: {}", where.addresses(), state);
    }
  }

  /** Does what is to be done next, as far as it can be done now; what happens later calls it again. */
  private void proceed() {
    try {
      if (over) {
        return;
      }
      if (session != null && !session.client.getState().isAlive()) {
        session = null;
      }
      if (session != null && session.doubtful && session.connected) {
        end(session);
        session = null;
      }
      if (session == null) {
        session = open();
      } else if (session.connected) {
        keepNode();
      }
    } catch (KeeperException e) {
      failed(e.code() == Code.NOAUTH || e.code() == Code.NONODE
          ? "Nobody there waits for this engine (" + e.code() + ")."
          : "It could not be used (" + e.code() + ").");
    } catch (InterruptedException e) {
      LOG.debug("The registration ended.");
    } catch (IOException | RuntimeException e) {
      failed(e.toString());
    }
  }

  /**
   * Goes on with a new session if the one that was lost has not come back. A server that was set up
   * anew refuses the old one for ever, without a word: the library knows of changes that it does not.
   */
  private void replace(Session lost) {
    if (lost == session && !lost.connected && !over) {
      end(lost);
      session = null;
      proceed();
    }
  }

  private Session open() throws IOException {
    Session opened = new Session();
    opened.client =
        new ZooKeeper(where.addresses(), where.sessionTimeoutMs(), opened, where.client());
    opened.client.addAuthInfo(DIGEST, identity);
    return opened;
  }

  /** Makes the node unless it is there, and watches it. */
  private void keepNode() throws KeeperException, InterruptedException {
    if (session.node == null) {
      session.node = create();
      failures = 0;
      retryMs = FIRST_RETRY_MS;
      LOG.info("The engine is registered in ZooKeeper at {} as {}", where.addresses(), session.node);
    }
    if (!session.watched) {
      session.watched = session.client.exists(session.node, true) != null;
      if (!session.watched && isDeleted()) {
        deleted();
        return;
      }
    }
    if (!registered) {
      registered = true;
      listener.registered(false);
    }
  }

  private String create() throws KeeperException, InterruptedException {
    try {
      return session.client.create(path, address, rights, CreateMode.EPHEMERAL_SEQUENTIAL);
    } catch (KeeperException e) {
      session.doubtful =
          e.code() == Code.CONNECTIONLOSS
              || e.code() == Code.REQUESTTIMEOUT
              || e.code() == Code.OPERATIONTIMEOUT;
      session.connected = !session.doubtful;
      throw e;
    }
  }

  /**
   * Whether the node is gone although its session lives. Only the leader, who decides about changes,
   * knows for sure that it does: a session that expires has its node deleted first.
   */
  private boolean isDeleted() throws KeeperException, InterruptedException {
    try {
      session.client.multi(List.of(Op.check(session.node, ANY_VERSION)));
      return false;
    } catch (KeeperException.NoNodeException e) {
      return true;
    }
  }

  private void deleted() {
    LOG.info("The engine's node in ZooKeeper was deleted.");
    leave();
    listener.deregistered();
  }

  private void failed(String why) {
    problem = why;
    if (failures % LOG_EVERY == 0) {
      LOG.warn("The engine is not registered in ZooKeeper at {}, and tries again. {}",
          where.addresses(), why);
    }
    failures++;
    if (retry != null) {
      retry.cancel(false);
    }
    retry = work.schedule(this::proceed, retryMs, TimeUnit.MILLISECONDS);
    retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
  }

  private void giveUp() {
    if (registered || over) {
      return;
    }
    leave();
    listener.ended(Ending.failure("The engine could not register in ZooKeeper at "
        + where.addresses() + " within spark.kyuubi.session.engine.initialize.timeout and gives up: "
        + problem));
  }

  private void leave() {
    over = true;
    if (session != null) {
      end(session);
    }
  }

  /** Ends a session, and with it the node; a server that is away notices by the session timeout. */
  private static void end(Session ending) {
    try {
      ending.client.close();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static String hashed(String user) {
    try {
      return DigestAuthenticationProvider.generateDigest(user);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("This Java lacks the hash of ZooKeeper's digests.", e);
    }
  }

  /** Keeps the library's notes about each connection out of the log, unless they are configured. */
  private static void quiet() {
    if (LogManager.getContext(false) instanceof LoggerContext context
        && !context.getConfiguration().getLoggers().containsKey(LIBRARY)) {
      Configurator.setLevel(LIBRARY, Level.ERROR);
    }
  }
}
