// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/**
 * Decides from what is seen of the sessions which of them are idle and whether the engine is still
 * needed. It does no I/O and reads no clock. Internal sessions are work of the session that made
 * them, which its streaming query keeps alive: they are neither counted nor closed here.
 */
final class Activity {

  private final Settings settings;
  private long startMs;
  private final Map<SessionKey, Tracked> open = new HashMap<>();
  private boolean used;
  private long lastUsedMs;
  private long heldSinceMs;
  private long heldUntilMs;
  private boolean leaving;
  private Optional<Verdict> draining = Optional.empty();

  /** Starts to count at {@code now}. */
  Activity(Settings settings, long now) {
    this.settings = settings;
    start(now);
  }

  /** A session that ended: {@code idle}, {@code released} or {@code expired}. */
  record Closed(SessionKey key, String reason) {}

  /** What changed since the last look, and the sessions to close now. */
  record Changes(List<SessionKey> opened, List<Closed> closed, List<SessionKey> idle) {}

  /** Why the engine should stop or drain; the reason is a word of the protocol. */
  record Verdict(String reason, String detail) {}

  /** A session and when it was last seen at work; {@code closing} once it was given out as idle. */
  private record Tracked(SessionState state, long busyMs, boolean closing) {}

  /** Starts to count at {@code now}, when the gateway got to know the engine. */
  synchronized void start(long now) {
    startMs = now;
    lastUsedMs = now;
  }

  /** Notes that a session was opened then, though it may be gone before anybody looks. */
  synchronized void opened(long when) {
    used(when);
    if (when > heldSinceMs) {
      heldUntilMs = 0;
    }
  }

  /**
   * Has the engine wait for the next session, for {@code ms} milliseconds at most, as if it were in
   * use.
   *
   * @return false if it is already about to end
   */
  synchronized boolean hold(long now, long ms) {
    if (leaving || draining.isPresent()) {
      return false;
    }
    heldSinceMs = now;
    heldUntilMs = Math.max(heldUntilMs, now + ms);
    return true;
  }

  /** The engine stays, though {@link #ending} said otherwise. */
  synchronized void stay() {
    leaving = false;
  }

  /** From now on the engine is wanted only until its last session ends. */
  synchronized void drain(String reason, String detail) {
    if (draining.isEmpty()) {
      draining = Optional.of(new Verdict(reason, detail));
    }
  }

  /**
   * Takes in what is seen now.
   *
   * @param seen all sessions of the engine
   * @param expired tells of a session that is gone whether Spark's own timeout closed it
   * @param now epoch milliseconds
   */
  synchronized Changes observe(List<SessionState> seen, Predicate<SessionKey> expired, long now) {
    Map<SessionKey, SessionState> current =
        seen.stream()
            .filter(s -> !s.internal())
            .collect(Collectors.toMap(SessionState::key, s -> s));
    if (!current.isEmpty()) {
      used(now);
    }
    List<Closed> closed = forgetGone(current, expired);
    List<SessionKey> opened = current.keySet().stream().filter(k -> !open.containsKey(k)).toList();
    List<SessionKey> idle = new ArrayList<>();
    for (SessionState s : current.values()) {
      Tracked tracked = track(s, now);
      open.put(s.key(), tracked);
      if (tracked.closing()) {
        idle.add(s.key());
      }
    }
    return new Changes(opened, closed, idle);
  }

  /** Whether the engine is to end now: unused, idle, or drained to the last session. */
  synchronized Optional<Verdict> ending(long now) {
    Optional<Verdict> verdict = open.isEmpty() ? unneeded(now) : Optional.empty();
    leaving = verdict.isPresent();
    return verdict;
  }

  private void used(long when) {
    used = true;
    lastUsedMs = Math.max(lastUsedMs, when); // events come late
  }

  private Optional<Verdict> unneeded(long now) {
    if (draining.isPresent()) {
      return draining;
    }
    if (now < heldUntilMs) {
      return Optional.empty();
    }
    if (!used && over(settings.initialWait(), startMs, now)) {
      return verdict("unused", "No session was opened within " + seconds(settings.initialWait()));
    }
    if (over(settings.engineIdle(), lastUsedMs, now)) {
      return verdict("idle", "There was no session for " + seconds(settings.engineIdle()));
    }
    return Optional.empty();
  }

  /** Whether the engine has just grown too old and is to drain. */
  synchronized Optional<Verdict> aging(long now) {
    if (draining.isPresent() || !over(settings.maxLifetime(), startMs, now)) {
      return Optional.empty();
    }
    return verdict("lifetime", "The engine is older than " + seconds(settings.maxLifetime()));
  }

  private List<Closed> forgetGone(
      Map<SessionKey, SessionState> current, Predicate<SessionKey> expired) {
    List<Closed> closed = new ArrayList<>();
    for (Iterator<Tracked> i = open.values().iterator(); i.hasNext(); ) {
      Tracked tracked = i.next();
      SessionKey key = tracked.state().key();
      SessionState now = current.get(key);
      if (now == null || now.startTimeMs() != tracked.state().startTimeMs()) {
        i.remove();
        closed.add(new Closed(key, reason(tracked, expired)));
      }
    }
    return closed;
  }

  private static String reason(Tracked tracked, Predicate<SessionKey> expired) {
    if (tracked.closing()) {
      return "idle";
    }
    return expired.test(tracked.state().key()) ? "expired" : "released";
  }

  private Tracked track(SessionState s, long now) {
    Tracked before = open.get(s.key());
    long busyMs = s.busy() ? now : before == null ? s.startTimeMs() : before.busyMs();
    long lastMs = Math.max(s.lastAccessMs(), busyMs);
    return new Tracked(s, busyMs, over(settings.sessionIdle(), lastMs, now));
  }

  private static boolean over(long timeout, long since, long now) {
    return timeout > 0 && now - since >= timeout;
  }

  private static Optional<Verdict> verdict(String reason, String detail) {
    return Optional.of(new Verdict(reason, detail + "."));
  }

  private static String seconds(long ms) {
    return ms / 1000.0 + " s";
  }
}
