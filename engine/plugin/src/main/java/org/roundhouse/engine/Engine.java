// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryUsage;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.spark.SparkContext;
import org.roundhouse.engine.Activity.Verdict;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One engine, from the start of its Connect service to its end: registers it, looks after its
 * sessions, and decides when and how it ends. It never stops the driver itself; whoever waits for
 * {@link #ending} does.
 */
final class Engine implements ControlServer.Handler, Registration.Listener {

  private static final Logger LOG = LoggerFactory.getLogger(Engine.class);
  private static final long TAKE_BACK_MS = 10_000;
  private static final long TAKE_BACK_AT_END_MS = 2_000;

  private final Settings settings;
  private final Keys keys;
  private final Relay relay;
  private final SparkContext context;
  private final Events events = new Events();
  private final WarmUp warmUp = new WarmUp();
  private final CompletableFuture<Ending> ending = new CompletableFuture<>();
  private final ScheduledExecutorService worker =
      Executors.newSingleThreadScheduledExecutor(Threads.daemon("roundhouse-engine"));

  // Set in serviceStarted before anything reads them.
  private volatile SparkAccess spark;
  private volatile Registration registration;
  private volatile int connectPort;

  private final Activity activity;
  private final HeapWatch heap;
  private final AtomicBoolean lookDue = new AtomicBoolean();
  private volatile boolean registered;
  private volatile boolean draining;

  // Only the worker touches these.
  private boolean leaving;
  private long settledNanos;

  /** Makes an engine; {@code relay} is null for one that only gateways on its machine use. */
  Engine(Settings settings, Keys keys, Relay relay, SparkContext context) {
    this.settings = settings;
    this.keys = keys;
    this.relay = relay;
    this.context = context;
    this.activity = new Activity(settings, System.currentTimeMillis());
    this.heap = new HeapWatch(settings.maxHeapPercent());
  }

  /** Completes when the engine is to end. */
  CompletableFuture<Ending> ending() {
    return ending;
  }

  /** The bearer token of the Connect port. */
  String token() {
    return keys.rpc();
  }

  /** The Connect service listens: register. */
  void serviceStarted(int port) {
    if (!SparkAccess.guardedBy(keys.rpc())) {
      ended(Ending.failure("The Connect service runs without the engine's token: "
          + ConnectEngine.class.getName() + " has to be the main class."));
      return;
    }
    try {
      connectPort = port;
      spark = new SparkAccess();
      ControlServer control = new ControlServer(keys, events, this);
      Node node = Node.of(settings, keys, ports(port, control), about());
      registration = Registration.of(settings, keys, node, this);
      control.start();
      if (relay != null) {
        relay.start(port, control.port());
      }
      registration.start();
    } catch (IOException | ReflectiveOperationException | RuntimeException e) {
      LOG.error("The engine could not be set up", e);
      ended(Ending.failure("The engine could not be set up: " + e));
    }
  }

  /** A session was opened just now, or one was closed: look soon. */
  void sessionsChanged() {
    if (registered && !lookDue.getAndSet(true)) {
      worker.execute(this::look);
    }
  }

  /** A client opened a session at this time, epoch milliseconds. */
  void sessionOpened(String sessionId, long when) {
    if (!sessionId.equals(warmUp.sessionId())) {
      activity.opened(when);
    }
  }

  /** The SparkContext ended, whoever ended it. */
  void contextEnded() {
    if (ending.isDone()) {
      return;
    }
    String detail = "The SparkContext was ended from outside: by a signal or the resource manager.";
    if (registration != null) {
      takeBack("stopped", detail, TAKE_BACK_AT_END_MS);
    }
    ended(Ending.failure(detail));
  }

  @Override
  public void registered(boolean wantsWarmUp) {
    activity.start(System.currentTimeMillis());
    registered = true;
    long poll = settings.pollInterval();
    worker.scheduleWithFixedDelay(this::look, 0, poll, TimeUnit.MILLISECONDS);
    if (wantsWarmUp) {
      warmUp();
    }
  }

  @Override
  public void deregistered() {
    drain("deregistered", "The engine's registration was deleted: it serves its sessions and ends.");
  }

  @Override
  public void ended(Ending how) {
    if (!ending.isDone()) {
      events.engine(Events.STOPPING, how.reason(), how.detail());
      ending.complete(how);
    }
  }

  @Override
  public Object status() {
    MemoryUsage memory = ManagementFactory.getMemoryMXBean().getHeapMemoryUsage();
    Map<String, Object> status = new LinkedHashMap<>();
    status.put("refId", settings.refId());
    status.put("state", ending.isDone() ? "stopping" : draining ? "draining" : "running");
    status.put("sparkVersion", context.version());
    status.put("applicationId", context.applicationId());
    status.put("uiUrl", uiUrl());
    status.put("startTimeMs", context.startTime());
    status.put("heapUsedBytes", memory.getUsed());
    status.put("heapMaxBytes", memory.getMax());
    status.put("lastEvent", events.last());
    status.put("sessions", spark.sessions(warmUp.sessionId()));
    return status;
  }

  @Override
  public void warmUp() {
    warmUp.start(connectPort, keys.rpc());
  }

  @Override
  public boolean hold(String reason, long ms) {
    boolean held = !ending.isDone() && activity.hold(System.currentTimeMillis(), ms);
    if (held) {
      LOG.info("Engine {} is held for {} ms at most: {}", settings.refId(), ms, reason);
    }
    return held;
  }

  @Override
  public void drain(String reason) {
    drain("drained", sentence("The gateway drains the engine", reason));
  }

  @Override
  public void stop(String reason) {
    String detail = sentence("The gateway stops the engine", reason);
    Runnable stop =
        () -> {
          takeBack("stopped", detail, TAKE_BACK_AT_END_MS);
          ended(Ending.orderly("stopped", detail));
        };
    Threads.daemon("roundhouse-stop").newThread(stop).start(); // The worker may be closing a session.
  }

  /** One look at the sessions; runs on the worker only. */
  private void look() {
    lookDue.set(false);
    if (ending.isDone()) {
      return;
    }
    if (context.isStopped()) {
      contextEnded();
      return;
    }
    try {
      if (observe()) {
        observe();
      }
      long now = System.currentTimeMillis();
      activity.aging(now).ifPresent(v -> startDraining(v.reason(), v.detail()));
      heap.look().ifPresent(v -> startDraining(v.reason(), v.detail()));
      activity.ending(now).ifPresent(this::leave);
    } catch (RuntimeException e) {
      LOG.warn("The engine could not look at its sessions; it will try again.", e);
    }
  }

  /** Publishes what changed and closes idle sessions; true if it closed one. */
  private boolean observe() {
    List<SessionState> seen = spark.sessions(warmUp.sessionId());
    var changes = activity.observe(seen, spark::expired, System.currentTimeMillis());
    changes.closed().forEach(c -> events.session(Events.CLOSED, c.key(), c.reason(), ""));
    changes.opened().forEach(k -> events.session(Events.OPENED, k, "", ""));
    for (SessionKey key : changes.idle()) {
      LOG.info("Session {} of user {} is idle and is closed", key.sessionId(), key.user());
      spark.close(key);
    }
    return !changes.idle().isEmpty();
  }

  private void drain(String reason, String detail) {
    worker.execute(() -> startDraining(reason, detail));
    worker.execute(this::look);
  }

  private void startDraining(String reason, String detail) {
    if (draining) {
      return;
    }
    draining = true;
    activity.drain(reason, detail);
    LOG.info("Engine {} drains: {}", settings.refId(), detail);
    events.engine(Events.DRAINING, reason, detail);
  }

  /**
   * Nobody needs the engine: takes the registration back, and ends the engine unless a session was
   * sent to it meanwhile. Such a session is served first.
   */
  private void leave(Verdict verdict) {
    if (!leaving) {
      if (!takeBack(verdict.reason(), verdict.detail(), TAKE_BACK_MS)) {
        LOG.debug("The gateway has just routed a session here: the engine stays.");
        activity.stay();
        return;
      }
      settle(verdict);
    }
    if (System.nanoTime() >= settledNanos) {
      ended(Ending.orderly(verdict.reason(), verdict.detail()));
    }
  }

  /** Waits for sessions that gateways sent before they knew that the engine leaves. */
  private void settle(Verdict verdict) {
    long settleMs = registration.settleMs();
    leaving = true;
    settledNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(settleMs);
    if (settleMs > 0) {
      startDraining(verdict.reason(), verdict.detail());
      worker.schedule(this::look, settleMs, TimeUnit.MILLISECONDS);
    }
  }

  /** Whether the engine may end. */
  private boolean takeBack(String reason, String detail, long waitMs) {
    try {
      return registration.takeBack(reason, detail, waitMs);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return true;
    }
  }

  private Node.Ports ports(int connect, ControlServer control) {
    return relay == null
        ? new Node.Ports(connect, control.address(), "", "")
        : new Node.Ports(connect, control.address(), relay.address(), relay.fingerprint());
  }

  private Map<String, String> about() {
    Map<String, String> about = new LinkedHashMap<>();
    about.put("sparkVersion", context.version());
    about.put("kyuubi.engine.id", context.applicationId());
    about.put("kyuubi.engine.url", uiUrl().replaceFirst("^https?://", ""));
    about.put("spark.driver.memory", context.conf().get("spark.driver.memory", "1g"));
    about.put("spark.executor.memory", context.conf().get("spark.executor.memory", "1g"));
    about.put("config", settings.configuration());
    about.put("pid", Long.toString(ProcessHandle.current().pid()));
    return about;
  }

  private String uiUrl() {
    return context.uiWebUrl().isDefined() ? context.uiWebUrl().get() : "";
  }

  private static String sentence(String what, String reason) {
    return reason.isBlank() ? what + "." : what + ": " + reason;
  }
}
