// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The registration against a gateway that is a real HTTP server. */
@Timeout(60)
class GatewayRegistrationTest implements Registration.Listener {

  private static final String ACCEPTED = "{\"warmUp\":false,\"heartbeatMs\":100}";
  private static final long NEVER = Long.MAX_VALUE;

  private final BlockingQueue<Call> calls = new LinkedBlockingQueue<>();
  private final BlockingQueue<Boolean> registered = new LinkedBlockingQueue<>();
  private final BlockingQueue<Ending> endings = new LinkedBlockingQueue<>();
  private HttpServer gateway;
  private Registration registration;
  private volatile int putCode = 200;
  private volatile String putBody = ACCEPTED;
  private volatile int deleteCode = 200;

  /** One call as the gateway got it. */
  private record Call(String method, String path, String authorization, byte[] body, long nanos) {
    JsonNode json() throws IOException {
      return new ObjectMapper().readTree(body);
    }
  }

  @BeforeEach
  void start() throws IOException {
    gateway = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    gateway.createContext("/", this::answer);
    gateway.start();
  }

  @AfterEach
  void stop() throws Exception {
    deleteCode = 200;
    registration.takeBack("stopped", "", 10_000);
    gateway.stop(0);
  }

  @Override
  public void registered(boolean warmUp) {
    registered.add(warmUp);
  }

  @Override
  public void deregistered() {
    throw new AssertionError("a gateway deletes no registration");
  }

  @Override
  public void ended(Ending ending) {
    endings.add(ending);
  }

  @Test
  void registersSignedAndRepeats() throws Exception {
    putBody = "{\"warmUp\":true,\"heartbeatMs\":100}";
    register(NEVER);
    Call first = calls.take();
    assertEquals("PUT", first.method());
    assertEquals("/api/v1/internal/engines/" + Fixtures.REF_ID, first.path());
    String signed = "PUT\n" + first.path() + "\n";
    String mac = Fixtures.KEYS.mac(signed.getBytes(StandardCharsets.UTF_8), first.body());
    assertEquals("Roundhouse-MAC " + mac, first.authorization());
    assertEquals("the node;sequence=0000000000", first.json().path("node").asText());
    assertEquals(
        "/kyuubi_1_USER_SPARK_CONNECT/alice/default", first.json().path("path").asText());
    Call second = calls.take();
    assertTrue(second.nanos() - first.nanos() >= TimeUnit.MILLISECONDS.toNanos(90));
    assertTrue(second.json().path("timeMs").asLong() > first.json().path("timeMs").asLong());
    assertTrue(registered.take());
    assertNull(registered.poll(), "heard twice of one registration");
  }

  @Test
  void retriesWithGrowingPausesUntilTheGatewayIsThere() throws Exception {
    putCode = 503;
    register(NEVER);
    Call first = calls.take();
    Call second = calls.take();
    Call third = calls.take();
    putCode = 200;
    assertFalse(registered.take());
    assertPause(200, first, second);
    assertPause(400, second, third);
    assertNull(endings.poll());
  }

  @Test
  void keepsAnEngineWhoseGatewayIsAway() throws Exception {
    register(0);
    registered.take();
    putCode = 500;
    calls.clear();
    for (int i = 0; i < 4; i++) {
      calls.take();
    }
    assertNull(endings.poll());
    putCode = 200;
    calls.clear();
    calls.take();
    assertNull(registered.poll());
  }

  @Test
  void givesUpWhenItWasNeverRegistered() throws Exception {
    gateway.stop(0);
    register(System.currentTimeMillis() + 300);
    Ending ending = endings.take();
    assertEquals(1, ending.exitCode());
    assertTrue(ending.detail().contains("initialize.timeout"), ending.detail());
  }

  @Test
  void aRefusalIsAFailure() throws Exception {
    putCode = 403;
    register(NEVER);
    assertEquals(1, endings.take().exitCode());
    assertEquals(1, calls.size());
  }

  @Test
  void anUnwantedEngineEndsInGoodOrderAlsoLater() throws Exception {
    register(NEVER);
    registered.take();
    putCode = 410;
    assertEquals(0, endings.take().exitCode());
  }

  @Test
  void anAnswerThatIsNoJsonIsNoAnswer() throws Exception {
    putBody = "<html>";
    register(NEVER);
    calls.take();
    calls.take();
    assertNull(registered.poll());
    putBody = ACCEPTED;
    registered.take();
  }

  @Test
  void aDeregisteredEngineSendsNoHeartbeat() throws Exception {
    register(NEVER);
    registered.take();
    assertTrue(registration.takeBack("idle", "Nobody came.", 5000));
    Call last = lastCall();
    assertEquals("DELETE", last.method());
    assertEquals("idle", last.json().path("reason").asText());
    assertEquals("Nobody came.", last.json().path("detail").asText());
    String signed = "DELETE\n" + last.path() + "\n";
    String mac = Fixtures.KEYS.mac(signed.getBytes(StandardCharsets.UTF_8), last.body());
    assertEquals("Roundhouse-MAC " + mac, last.authorization());
    assertNull(calls.poll(300, TimeUnit.MILLISECONDS), "a call after the deregistration");
  }

  @Test
  void aBusyEngineStaysRegistered() throws Exception {
    register(NEVER);
    registered.take();
    deleteCode = 409;
    assertFalse(registration.takeBack("idle", "", 5000));
    calls.clear();
    assertEquals("PUT", calls.take().method());
    deleteCode = 410;
    assertTrue(registration.takeBack("idle", "", 5000));
  }

  @Test
  void aGatewayThatIsAwayDoesNotHoldTheEngine() throws Exception {
    register(NEVER);
    registered.take();
    gateway.stop(0);
    assertTrue(registration.takeBack("idle", "", 5000));
  }

  private void register(long giveUpAt) {
    Settings settings =
        Fixtures.settings("http://127.0.0.1:" + gateway.getAddress().getPort(), Map.of());
    GatewayClient client = new GatewayClient(settings, Fixtures.KEYS);
    registration = new GatewayRegistration(client, this, "the node;sequence=", giveUpAt);
    registration.start();
  }

  private void answer(HttpExchange exchange) throws IOException {
    try (exchange) {
      byte[] body = exchange.getRequestBody().readAllBytes();
      boolean put = exchange.getRequestMethod().equals("PUT");
      calls.add(
          new Call(
              exchange.getRequestMethod(),
              exchange.getRequestURI().getPath(),
              exchange.getRequestHeaders().getFirst("Authorization"),
              body,
              System.nanoTime()));
      byte[] reply = (put ? putBody : "{}").getBytes(StandardCharsets.UTF_8);
      exchange.sendResponseHeaders(put ? putCode : deleteCode, reply.length);
      exchange.getResponseBody().write(reply);
    }
  }

  private Call lastCall() {
    Call last = null;
    for (Call call = calls.poll(); call != null; call = calls.poll()) {
      last = call;
    }
    return last;
  }

  private static void assertPause(long ms, Call earlier, Call later) {
    long pause = TimeUnit.NANOSECONDS.toMillis(later.nanos() - earlier.nanos());
    assertTrue(pause >= ms - 20, "paused " + pause + " ms instead of " + ms);
  }
}
