// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The two calls of an engine to its gateway, each signed with the key {@code register}. */
final class GatewayClient {

  private static final Logger LOG = LoggerFactory.getLogger(GatewayClient.class);
  private static final Duration CONNECT = Duration.ofSeconds(2);
  private static final Duration ANSWER = Duration.ofSeconds(5);
  private static final long DEFAULT_HEARTBEAT_MS = 10_000;
  private static final long MIN_HEARTBEAT_MS = 100;
  private static final int LOG_EVERY = 12;

  private final HttpClient http =
      HttpClient.newBuilder()
          .version(HttpClient.Version.HTTP_1_1)
          .followRedirects(HttpClient.Redirect.NEVER)
          .proxy(HttpClient.Builder.NO_PROXY)
          .connectTimeout(CONNECT)
          .build();
  private final ObjectMapper json = new ObjectMapper();
  private final Keys keys;
  private final String path;
  private final URI uri;
  private final HttpRequest.Builder template;

  private int unanswered;

  /**
   * Prepares calls to the gateway; only one thread may make them.
   *
   * @throws IllegalArgumentException if the gateway's URL is none
   */
  GatewayClient(Settings settings, Keys keys) {
    this.keys = keys;
    this.path = settings.path();
    this.uri = URI.create(settings.gateway() + "/api/v1/internal/engines/" + settings.refId());
    this.template =
        HttpRequest.newBuilder(uri).timeout(ANSWER).header("Content-Type", "application/json");
  }

  /** What an answer means. */
  enum Kind {
    /** Done as asked. */
    OK,
    /** 403: the MAC or the path is wrong. */
    REFUSED,
    /** 410: the gateway does not want this engine any more. */
    UNWANTED,
    /** 409: sessions were just routed here. */
    BUSY,
    /** No answer, or one that makes no sense: ask again later. */
    NONE
  }

  /** An answer; the last two fields mean something after a registration only. */
  record Answer(Kind kind, boolean warmUp, long heartbeatMs) {
    static Answer of(Kind kind) {
      return new Answer(kind, false, DEFAULT_HEARTBEAT_MS);
    }
  }

  /** Registers the node, or renews its registration; the gateway counts no nodes. */
  Answer register(String node) throws InterruptedException {
    return call(
        "PUT",
        Map.of("path", path, "node", node + "0000000000", "timeMs", System.currentTimeMillis()));
  }

  /** Takes the registration back before the engine stops. */
  Answer deregister(String reason, String detail) throws InterruptedException {
    return call(
        "DELETE",
        Map.of(
            "path", path, "reason", reason, "detail", detail,
            "timeMs", System.currentTimeMillis()));
  }

  private Answer call(String method, Map<String, Object> content) throws InterruptedException {
    try {
      byte[] body = json.writeValueAsBytes(content);
      byte[] head = (method + "\n" + uri.getRawPath() + "\n").getBytes(StandardCharsets.UTF_8);
      HttpRequest request =
          template
              .copy()
              .header("Authorization", "Roundhouse-MAC " + keys.mac(head, body))
              .method(method, BodyPublishers.ofByteArray(body))
              .build();
      return read(http.send(request, BodyHandlers.ofString()));
    } catch (IOException e) {
      return none(e.toString());
    }
  }

  private Answer read(HttpResponse<String> response) throws JsonProcessingException {
    int code = response.statusCode();
    return switch (code) {
      case 200 -> accepted(json.readTree(response.body()));
      case 403 -> Answer.of(Kind.REFUSED);
      case 409 -> Answer.of(Kind.BUSY);
      case 410 -> Answer.of(Kind.UNWANTED);
      default -> none("it answered " + code);
    };
  }

  private Answer none(String why) {
    if (unanswered % LOG_EVERY == 0) {
      LOG.warn("No answer from the gateway at {} ({} times): {}", uri, unanswered + 1, why);
    }
    unanswered++;
    return Answer.of(Kind.NONE);
  }

  private Answer accepted(JsonNode body) {
    unanswered = 0;
    long heartbeat = body.path("heartbeatMs").asLong(DEFAULT_HEARTBEAT_MS);
    return new Answer(
        Kind.OK, body.path("warmUp").asBoolean(false), Math.max(heartbeat, MIN_HEARTBEAT_MS));
  }
}
