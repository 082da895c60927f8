// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.util.ArrayDeque;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** What happened in this engine: the last 1000 events, for the gateway's long polls. */
final class Events {

  static final String OPENED = "session-opened";
  static final String CLOSED = "session-closed";
  static final String DRAINING = "draining";
  static final String STOPPING = "stopping";

  private static final int CAPACITY = 1000;

  private final ArrayDeque<Event> ring = new ArrayDeque<>();
  private long last;

  /** One event; texts that do not apply are empty. */
  record Event(
      long seq,
      long timeMs,
      String type,
      String user,
      String sessionId,
      String reason,
      String detail) {}

  /** An answer to a poll; {@code lost} when events newer than the asked one fell out of the ring. */
  record Batch(List<Event> events, long last, boolean lost) {}

  /** Adds an event about a session. */
  void session(String type, SessionKey key, String reason, String detail) {
    add(type, key.user(), key.sessionId(), reason, detail);
  }

  /** Adds an event about the whole engine. */
  void engine(String type, String reason, String detail) {
    add(type, "", "", reason, detail);
  }

  /** Number of the newest event; 0 before the first. */
  synchronized long last() {
    return last;
  }

  /** The events after {@code seq}; waits up to {@code waitMs} for the first one. */
  synchronized Batch after(long seq, long waitMs) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(waitMs);
    long left = waitMs;
    while (last <= seq && left > 0) {
      wait(left);
      left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
    }
    List<Event> newer = ring.stream().filter(e -> e.seq() > seq).toList();
    return new Batch(newer, last, newer.size() < last - seq);
  }

  private synchronized void add(
      String type, String user, String sessionId, String reason, String detail) {
    last++;
    ring.add(new Event(last, System.currentTimeMillis(), type, user, sessionId, reason, detail));
    if (ring.size() > CAPACITY) {
      ring.remove();
    }
    notifyAll();
  }
}
