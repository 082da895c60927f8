// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.roundhouse.engine.GatewayClient.Answer;
import org.roundhouse.engine.GatewayClient.Kind;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps the engine registered at its gateway: registers, repeats that as a heartbeat, retries while
 * the gateway is away. All calls are made by one thread, so no heartbeat overtakes a deregistration.
 */
final class GatewayRegistration implements Registration {

  private static final Logger LOG = LoggerFactory.getLogger(GatewayRegistration.class);
  private static final long LAST_RETRY_MS = 5_000;

  private final GatewayClient gateway;
  private final Listener listener;
  private final String node;
  private final long giveUpAt;
  private final ScheduledExecutorService calls =
      Executors.newSingleThreadScheduledExecutor(Threads.daemon("roundhouse-registration"));

  // Only the thread of calls touches these.
  private long retryMs = FIRST_RETRY_MS;
  private boolean registered;
  private boolean deregistered;

  /**
   * Prepares a registration.
   *
   * @param node the node name to register
   * @param giveUpAt epoch milliseconds when an engine that was never registered gives up
   */
  GatewayRegistration(GatewayClient gateway, Listener listener, String node, long giveUpAt) {
    this.gateway = gateway;
    this.listener = listener;
    this.node = node;
    this.giveUpAt = giveUpAt;
  }

  @Override
  public void start() {
    calls.execute(this::beat);
  }

  @Override
  public boolean takeBack(String reason, String detail, long waitMs) throws InterruptedException {
    try {
      return calls.submit(() -> leave(reason, detail)).get(waitMs, TimeUnit.MILLISECONDS);
    } catch (ExecutionException | TimeoutException e) {
      LOG.warn("The engine could not be deregistered: {}", e.toString());
      return true;
    }
  }

  /** The gateway that agreed sends no more sessions. */
  @Override
  public long settleMs() {
    return 0;
  }

  private boolean leave(String reason, String detail) throws InterruptedException {
    if (!deregistered) {
      deregistered = gateway.deregister(reason, detail).kind() != Kind.BUSY;
    }
    return deregistered;
  }

  private void beat() {
    if (deregistered) {
      return;
    }
    try {
      handle(gateway.register(node));
    } catch (InterruptedException e) {
      LOG.debug("The registration ended.");
    } catch (RuntimeException e) {
      LOG.error("The engine could not register; it will try again.", e);
      retry();
    }
  }

  private void handle(Answer answer) {
    switch (answer.kind()) {
      case OK -> {
        retryMs = FIRST_RETRY_MS;
        again(answer.heartbeatMs());
        if (!registered) {
          registered = true;
          LOG.info("The engine is registered at its gateway");
          listener.registered(answer.warmUp());
        }
      }
      case REFUSED ->
          listener.ended(Ending.failure("The gateway refused the registration (403): the engine's"
              + " key or path is not the one the gateway knows. Was its cluster secret replaced?"));
      case UNWANTED ->
          listener.ended(Ending.orderly("stopped", "The gateway does not want this engine (410)."));
      default -> retry();
    }
  }

  private void retry() {
    if (!registered && System.currentTimeMillis() >= giveUpAt) {
      listener.ended(Ending.failure("The gateway did not accept the registration within"
          + " spark.kyuubi.session.engine.initialize.timeout; the engine gives up."));
      return;
    }
    again(retryMs);
    retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
  }

  private void again(long delayMs) {
    calls.schedule(this::beat, delayMs, TimeUnit.MILLISECONDS);
  }
}
