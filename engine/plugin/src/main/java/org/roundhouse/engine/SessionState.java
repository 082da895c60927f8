// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

/**
 * One session as seen at one moment.
 *
 * @param user whose session it is
 * @param sessionId its id
 * @param startTimeMs when it was opened, epoch milliseconds
 * @param lastAccessMs its last RPC of any kind, epoch milliseconds
 * @param runningOperations operations that run, or whose result is being fetched
 * @param streamingQueries active streaming queries
 * @param internal made inside the driver: a clone for foreachBatch, or the warm-up
 */
record SessionState(
    String user,
    String sessionId,
    long startTimeMs,
    long lastAccessMs,
    int runningOperations,
    int streamingQueries,
    boolean internal) {

  SessionKey key() {
    return new SessionKey(user, sessionId);
  }

  boolean busy() {
    return runningOperations > 0 || streamingQueries > 0;
  }
}
