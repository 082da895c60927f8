// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkEnv;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.connect.service.ExecuteInfo;
import org.apache.spark.sql.connect.service.SessionHolder;
import org.apache.spark.sql.connect.service.SessionHolderInfo;
import org.apache.spark.sql.connect.service.SparkConnectService$;
import org.apache.spark.sql.connect.service.SparkConnectSessionManager;
import org.apache.spark.sql.internal.SQLConf$;
import scala.Option;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Everything the plugin knows about Spark's internals, for Spark 4.0 to 4.3. Nothing here counts as
 * an access to a session: Spark's own getters would, so the session store is read directly.
 */
final class SparkAccess {

  /** The only address the engine listens on: foreachBatch workers dial localhost. */
  static final String LOOPBACK = "127.0.0.1";

  private static final String PLUGINS = "spark.plugins";
  private static final String TOKEN = "spark.connect.authenticate.token";
  private static final String SESSION_TIMEOUT =
      "spark.connect.session.manager.defaultSessionTimeout";
  private static final String DEFAULT_SESSION_TIMEOUT = "60m";

  private final ConcurrentMap<?, ?> sessionStore;

  /**
   * Opens Spark's session store.
   *
   * @throws ReflectiveOperationException if this Spark has no such store
   */
  SparkAccess() throws ReflectiveOperationException {
    Method store = SparkConnectSessionManager.class.getDeclaredMethod("sessionStore");
    store.setAccessible(true);
    sessionStore = (ConcurrentMap<?, ?>) store.invoke(service().sessionManager());
  }

  /** Adds a plugin to those the administrator chose. */
  static void addPlugin(SparkConf conf, Class<?> plugin) {
    List<String> plugins =
        Stream.of(conf.get(PLUGINS, "").split(","))
            .map(String::trim)
            .filter(name -> !name.isEmpty())
            .collect(Collectors.toCollection(ArrayList::new));
    if (!plugins.contains(plugin.getName())) {
      plugins.add(plugin.getName());
    }
    conf.set(PLUGINS, String.join(",", plugins));
  }

  /** Creates the driver's session as Spark's own Connect server does, with its shared state made. */
  static SparkSession createSession(SparkConf conf) {
    conf.set(SQLConf$.MODULE$.ARTIFACTS_SESSION_ISOLATION_ENABLED().key(), "true");
    conf.set(SQLConf$.MODULE$.ARTIFACTS_SESSION_ISOLATION_ALWAYS_APPLY_CLASSLOADER().key(), "true");
    SparkSession session = SparkSession.builder().config(conf).getOrCreate();
    session.sharedState();
    return session;
  }

  /**
   * Makes the Connect service listen on loopback on any free port, and leaves the closing of idle
   * sessions to the plugin unless the administrator set a timeout of Spark's.
   */
  static void prepareService() {
    SparkConf conf = SparkEnv.get().conf();
    conf.set("spark.connect.grpc.binding.address", LOOPBACK);
    conf.set("spark.connect.grpc.binding.port", "0");
    conf.setIfMissing(SESSION_TIMEOUT, "-1");
  }

  /**
   * Starts the Connect service. The token is set only now: sessions copy their configuration from
   * the shared state, executors and the event log got theirs before, so none of them sees it.
   */
  static void startService(SparkContext context, String token) {
    SparkEnv.get().conf().set(TOKEN, token);
    service().start(context);
  }

  /** Whether the Connect service asks for exactly this token. */
  static boolean guardedBy(String token) {
    return token.equals(SparkEnv.get().conf().get(TOKEN, ""));
  }

  /** Stops the Connect service if it runs, then the context. */
  static void stop(SparkSession session) {
    if (service().started()) {
      service().stop(Option.empty(), Option.empty());
    }
    session.stop();
  }

  /** All sessions, as they are now; {@code warmUpId} is the id of the warm-up's session. */
  List<SessionState> sessions(String warmUpId) {
    Map<SessionKey, Long> running =
        executions().stream()
            .filter(SparkAccess::isRunning)
            .map(e -> new SessionKey(e.userId(), e.sessionId()))
            .collect(Collectors.groupingBy(k -> k, Collectors.counting()));
    return sessionStore.values().stream()
        .map(SessionHolder.class::cast)
        .map(holder -> state(holder, running, warmUpId))
        .toList();
  }

  /** Whether Spark's own timeout closed a session. A release is itself an access. */
  boolean expired(SessionKey key) {
    long defaultTimeout =
        SparkEnv.get().conf().getTimeAsMs(SESSION_TIMEOUT, DEFAULT_SESSION_TIMEOUT);
    return java(service().sessionManager().listClosedSessions()).stream()
        .filter(s -> s.userId().equals(key.user()) && s.sessionId().equals(key.sessionId()))
        .anyMatch(s -> isExpired(s, defaultTimeout, System.currentTimeMillis()));
  }

  /** Closes a session: its operations and streaming queries end. */
  void close(SessionKey key) {
    service()
        .sessionManager()
        .closeSession(
            new org.apache.spark.sql.connect.service.SessionKey(key.user(), key.sessionId()),
            false);
  }

  private static SessionState state(
      SessionHolder holder, Map<SessionKey, Long> running, String warmUpId) {
    SessionHolderInfo info = holder.getSessionHolderInfo();
    SessionKey key = new SessionKey(info.userId(), info.sessionId());
    return new SessionState(
        key.user(),
        key.sessionId(),
        info.startTimeMs(),
        info.lastAccessTimeMs(),
        running.getOrDefault(key, 0L).intValue(),
        holder.session().streams().active().length,
        key.sessionId().equals(warmUpId) || isClone(info));
  }

  /**
   * Recognises the sessions that Spark 4.3 makes for foreachBatch: they are the only ones with an
   * own timeout, which is "never". Before 4.3 the workers use the session of their query.
   */
  private static boolean isClone(SessionHolderInfo info) {
    Option<Object> timeout = info.customInactiveTimeoutMs();
    return timeout.isDefined() && ((Number) timeout.get()).longValue() == -1;
  }

  private static boolean isExpired(SessionHolderInfo info, long defaultTimeout, long now) {
    Option<Object> custom = info.customInactiveTimeoutMs();
    long timeout = custom.isDefined() ? ((Number) custom.get()).longValue() : defaultTimeout;
    return timeout != -1 && info.lastAccessTimeMs() + timeout <= now;
  }

  /** An operation that ended stays listed until its client releases it or the detached timeout. */
  private static boolean isRunning(ExecuteInfo info) {
    boolean attached = info.lastAttachedRpcTimeNs().isEmpty();
    return attached
        || switch (info.status().toString()) {
          case "Finished", "Failed", "Canceled", "Closed" -> false;
          default -> true;
        };
  }

  private static Collection<ExecuteInfo> executions() {
    var active = service().listActiveExecutions();
    return active.isRight() ? java(active.getOrElse(() -> null)) : List.of();
  }

  private static <T> Collection<T> java(scala.collection.Iterable<T> items) {
    return CollectionConverters.asJavaCollection(items);
  }

  private static SparkConnectService$ service() {
    return SparkConnectService$.MODULE$;
  }
}
