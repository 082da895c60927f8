// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(30)
class ControlServerTest implements ControlServer.Handler {

  private final List<String> commands = Collections.synchronizedList(new ArrayList<>());
  private final Events events = new Events();
  private final HttpClient http = HttpClient.newHttpClient();
  private ControlServer server;

  @BeforeEach
  void start() throws IOException {
    server = new ControlServer(Fixtures.KEYS, events, this);
    server.start();
  }

  @Override
  public Object status() {
    var session = new SessionState("alice", "s1", 1, 2, 3, 4, false);
    return Map.of("refId", Fixtures.REF_ID, "sessions", List.of(session));
  }

  @Override
  public void warmUp() {
    commands.add("warm-up");
  }

  @Override
  public boolean hold(String reason, long ms) {
    commands.add("hold " + reason + " " + ms);
    return !reason.equals("late");
  }

  @Override
  public void drain(String reason) {
    commands.add("drain " + reason);
  }

  @Override
  public void stop(String reason) {
    commands.add("stop " + reason);
  }

  @Test
  void listensOnLoopbackOnly() {
    assertTrue(server.address().matches("127\\.0\\.0\\.1:[1-9][0-9]*"), server.address());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "Bearer", "Bearer wrong", "Basic eA==", "bearer CONTROL", "RPC"})
  void refusesWithoutTheControlKey(String given) throws Exception {
    String header =
        given.replace("CONTROL", Fixtures.KEYS.control())
            .replace("RPC", "Bearer " + Fixtures.KEYS.rpc());
    for (String path : List.of("/v1/status", "/v1/stop", "/unknown")) {
      HttpRequest.Builder request = HttpRequest.newBuilder(uri(path)).POST(BodyPublishers.noBody());
      if (!header.isEmpty()) {
        request.header("Authorization", header);
      }
      assertEquals(401, http.send(request.build(), BodyHandlers.ofString()).statusCode(), path);
    }
    assertEquals(List.of(), commands);
  }

  @ParameterizedTest
  @CsvSource({
    "GET, /v1/status, 200",
    "GET, /v1/events?after=0&waitMs=0, 200",
    "POST, /v1/warm-up, 202",
    "POST, /v1/drain, 202",
    "POST, /v1/stop, 202",
    "POST, /v1/status, 405",
    "GET, /v1/stop, 405",
    "GET, /v1/warm-up, 405",
    "GET, /v1/hold, 405",
    "DELETE, /v1/drain, 405",
    "PUT, /v1/events, 405",
    "GET, /, 404",
    "GET, /v1/status/, 404",
    "GET, /v1/statuses, 404",
    "GET, /v1/events?after=x, 400",
    "GET, /v1/events?after=0&waitMs=1e3, 400"
  })
  void verbsAndPaths(String method, String path, int code) throws Exception {
    assertEquals(code, call(method, path, "").statusCode());
  }

  @Test
  void statusIsJson() throws Exception {
    HttpResponse<String> response = call("GET", "/v1/status", "");
    assertEquals("application/json", response.headers().firstValue("Content-Type").orElse(""));
    JsonNode session = json(response).path("sessions").path(0);
    JsonNode expected =
        new ObjectMapper()
            .readTree(
                "{\"user\":\"alice\",\"sessionId\":\"s1\",\"startTimeMs\":1,\"lastAccessMs\":2,"
                    + "\"runningOperations\":3,\"streamingQueries\":4,\"internal\":false}");
    assertEquals(expected, session);
  }

  @Test
  void commandsCarryTheirReason() throws Exception {
    call("POST", "/v1/drain", "{\"reason\":\"upgrade\"}");
    call("POST", "/v1/stop", "{\"reason\":\"by admin\",\"more\":1}");
    call("POST", "/v1/stop", "");
    call("POST", "/v1/warm-up", "");
    assertEquals(List.of("drain upgrade", "stop by admin", "stop ", "warm-up"), commands);
  }

  @Test
  void refusesWhatItCannotRead() throws Exception {
    assertEquals(400, call("POST", "/v1/stop", "{reason").statusCode());
    assertEquals(List.of(), commands);
  }

  @ParameterizedTest
  @CsvSource({"1, 202", "3600000, 202", "3600001, 400", "0, 400", "-1, 400", "'\"x\"', 400"})
  void holdsForAnHourAtMost(String ms, int code) throws Exception {
    String order = "{\"reason\":\"ahead\",\"ms\":" + ms + "}";
    assertEquals(code, call("POST", "/v1/hold", order).statusCode());
    assertEquals(code == 202 ? List.of("hold ahead " + ms) : List.of(), commands);
  }

  @Test
  void saysWhenItIsTooLateToHold() throws Exception {
    HttpResponse<String> late = call("POST", "/v1/hold", "{\"reason\":\"late\",\"ms\":5}");
    assertEquals(409, late.statusCode());
    assertTrue(json(late).path("message").asText().contains("about to end"), late.body());
    assertEquals(400, call("POST", "/v1/hold", "").statusCode());
  }

  @Test
  void refusesLargeBodies() throws Exception {
    String head = "{\"reason\":\"";
    String fits = head + "x".repeat(64 * 1024 - head.length() - 2) + "\"}";
    assertEquals(202, call("POST", "/v1/stop", fits).statusCode());
    assertEquals(413, call("POST", "/v1/stop", fits + " ").statusCode());
    assertEquals(1, commands.size());
  }

  @Test
  void aLongPollGetsTheNextEvent() throws Exception {
    CompletableFuture<HttpResponse<String>> poll =
        http.sendAsync(
            request("GET", "/v1/events?after=0&waitMs=60000", ""), BodyHandlers.ofString());
    events.session(Events.CLOSED, new SessionKey("alice", "s1"), "idle", "");
    JsonNode answer = json(poll.get());
    assertEquals("idle", answer.path("events").path(0).path("reason").asText());
    assertEquals(1, answer.path("last").asLong());
    assertEquals(false, answer.path("lost").asBoolean(true));
  }

  private HttpResponse<String> call(String method, String path, String body) throws Exception {
    return http.send(request(method, path, body), BodyHandlers.ofString());
  }

  private HttpRequest request(String method, String path, String body) {
    return HttpRequest.newBuilder(uri(path))
        .header("Authorization", "Bearer " + Fixtures.KEYS.control())
        .method(method, BodyPublishers.ofString(body))
        .build();
  }

  private URI uri(String path) {
    return URI.create("http://" + server.address() + path);
  }

  private static JsonNode json(HttpResponse<String> response) throws IOException {
    return new ObjectMapper().readTree(response.body());
  }
}
