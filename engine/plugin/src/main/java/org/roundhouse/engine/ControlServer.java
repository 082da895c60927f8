// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The engine's control endpoint, on loopback; every call carries the key {@code control}. */
final class ControlServer {

  private static final Logger LOG = LoggerFactory.getLogger(ControlServer.class);
  private static final String READ_LIMIT = "sun.net.httpserver.maxReqTime";
  private static final String READ_LIMIT_S = "10";
  private static final int MAX_BODY = 64 * 1024;
  private static final long MAX_WAIT_MS = 60_000;
  private static final long MAX_HOLD_MS = 3_600_000;
  private static final int CALLS_AT_ONCE = 16;
  private static final int BACKLOG = 16;

  /** The verb of each path. */
  private static final Map<String, String> VERBS =
      Map.of(
          "/v1/status", "GET",
          "/v1/events", "GET",
          "/v1/warm-up", "POST",
          "/v1/hold", "POST",
          "/v1/drain", "POST",
          "/v1/stop", "POST");

  private final HttpServer server;
  private final ExecutorService calls =
      Executors.newFixedThreadPool(CALLS_AT_ONCE, Threads.daemon("roundhouse-control"));
  private final ObjectMapper json = new ObjectMapper();
  private final byte[] authorization;
  private final Events events;
  private final Handler handler;

  /** What the endpoint asks its engine. */
  interface Handler {
    /** The content of {@code /v1/status}. */
    Object status();

    /** Run the first queries while no client waits; returns at once. */
    void warmUp();

    /**
     * Do not end for want of sessions until one opens, for {@code ms} milliseconds at most.
     *
     * @return false if the engine is already about to end
     */
    boolean hold(String reason, long ms);

    /** Take no new sessions, stop when the last one ends. */
    void drain(String reason);

    /** Stop now; returns at once. */
    void stop(String reason);
  }

  private record Reply(int code, Object content) {}

  /** Binds any free port; call {@link #start} next. */
  ControlServer(Keys keys, Events events, Handler handler) throws IOException {
    if (System.getProperty(READ_LIMIT) == null) {
      System.setProperty(READ_LIMIT, READ_LIMIT_S);
    }
    this.authorization = ("Bearer " + keys.control()).getBytes(StandardCharsets.UTF_8);
    this.events = events;
    this.handler = handler;
    InetAddress loopback = InetAddress.getByName(SparkAccess.LOOPBACK);
    this.server = HttpServer.create(new InetSocketAddress(loopback, 0), BACKLOG);
    server.createContext("/", this::serve);
    server.setExecutor(calls);
  }

  /** Begins to answer. */
  void start() {
    server.start();
  }

  /** {@code host:port} of the endpoint. */
  String address() {
    return SparkAccess.LOOPBACK + ":" + port();
  }

  /** The endpoint's port. */
  int port() {
    return server.getAddress().getPort();
  }

  private void serve(HttpExchange exchange) throws IOException {
    try (exchange) {
      Reply reply = reply(exchange);
      byte[] body = reply.content() == null ? new byte[0] : json.writeValueAsBytes(reply.content());
      exchange.getResponseHeaders().set("Content-Type", "application/json");
      exchange.sendResponseHeaders(reply.code(), body.length == 0 ? -1 : body.length);
      exchange.getResponseBody().write(body);
    } catch (InterruptedException e) {
      LOG.debug("A call of the control endpoint was interrupted.");
    }
  }

  private Reply reply(HttpExchange exchange) throws IOException, InterruptedException {
    String path = exchange.getRequestURI().getPath();
    if (!authorized(exchange)) {
      return new Reply(401, null);
    }
    if (!VERBS.containsKey(path)) {
      return new Reply(404, null);
    }
    if (!VERBS.get(path).equals(exchange.getRequestMethod())) {
      exchange.getResponseHeaders().set("Allow", VERBS.get(path));
      return new Reply(405, null);
    }
    byte[] body = exchange.getRequestBody().readNBytes(MAX_BODY + 1);
    if (body.length > MAX_BODY) {
      return new Reply(413, null);
    }
    try {
      return answer(path, exchange, body);
    } catch (RuntimeException e) {
      LOG.warn("The control call {} failed", path, e);
      return new Reply(500, Map.of("message", e.toString()));
    }
  }

  private Reply answer(String path, HttpExchange exchange, byte[] body)
      throws InterruptedException {
    try {
      switch (path) {
        case "/v1/status":
          return new Reply(200, handler.status());
        case "/v1/events":
          String query = exchange.getRequestURI().getQuery();
          long waitMs = Math.min(number(query, "waitMs"), MAX_WAIT_MS);
          return new Reply(200, events.after(number(query, "after"), waitMs));
        case "/v1/warm-up":
          handler.warmUp();
          return new Reply(202, null);
        case "/v1/hold":
          return hold(order(body));
        case "/v1/drain":
          handler.drain(reason(order(body)));
          return new Reply(202, null);
        default:
          handler.stop(reason(order(body)));
          return new Reply(202, null);
      }
    } catch (JsonProcessingException | NumberFormatException e) {
      return new Reply(400, Map.of("message", "The call could not be understood."));
    }
  }

  private boolean authorized(HttpExchange exchange) {
    String given = exchange.getRequestHeaders().getFirst("Authorization");
    return given != null
        && MessageDigest.isEqual(authorization, given.getBytes(StandardCharsets.UTF_8));
  }

  private Reply hold(JsonNode order) {
    long ms = order.path("ms").asLong();
    if (ms < 1 || ms > MAX_HOLD_MS) {
      return new Reply(400, Map.of("message", "ms has to be 1 to " + MAX_HOLD_MS + "."));
    }
    return handler.hold(reason(order), ms)
        ? new Reply(202, null)
        : new Reply(409, Map.of("message", "The engine is about to end and cannot be held."));
  }

  private JsonNode order(byte[] body) throws JsonProcessingException {
    String text = new String(body, StandardCharsets.UTF_8);
    return text.isBlank() ? json.createObjectNode() : json.readTree(text);
  }

  private static String reason(JsonNode order) {
    return order.path("reason").asText("");
  }

  private static long number(String query, String name) {
    Matcher found =
        Pattern.compile("(?:^|&)" + name + "=([^&]*)").matcher(query == null ? "" : query);
    return found.find() ? Long.parseLong(found.group(1)) : 0;
  }
}
