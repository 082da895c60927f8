// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLSocket;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class RelayTest {

  private static final RelaySettings LOOPBACK = new RelaySettings("127.0.0.1", "127.0.0.1");
  private static final int CONNECTIONS = 64;
  private static final int HANDSHAKES = 16;
  private static final long END_MS = 20_000;

  @TempDir static Path dir;
  private static RelayFixture fixture;

  private EchoServer connect;
  private EchoServer control;
  private Relay relay;

  @BeforeAll
  static void makeCertificate() throws Exception {
    fixture = RelayFixture.make(dir);
  }

  @BeforeEach
  void start() throws Exception {
    connect = new EchoServer('S');
    control = new EchoServer('C');
    relay = new Relay(LOOPBACK, fixture.identity());
    relay.start(connect.port(), control.port());
  }

  @AfterEach
  void close() throws IOException {
    connect.close();
    control.close();
  }

  @ParameterizedTest
  @CsvSource({"h2, S", "http/1.1, C"})
  void leadsToThePortOfTheProtocol(String protocol, char server) throws Exception {
    try (SSLSocket client = fixture.client(relay, protocol)) {
      assertEquals("TLSv1.3", client.getSession().getProtocol());
      assertServed(client, server);
    }
  }

  @ParameterizedTest
  @CsvSource({"TLSv1.3, h3", "TLSv1.3, ''", "TLSv1.2, h2"})
  void refusesOtherProtocolsAndVersions(String version, String protocol) throws Exception {
    String[] protocols = protocol.isEmpty() ? new String[0] : new String[] {protocol};
    try {
      assertEnds(fixture.client(relay, version, protocols));
    } catch (SSLException e) {
      // Its handshake failed.
    }
    assertServes();
    assertEquals(1, connect.connections.size());
  }

  @Test
  void refusesWhatIsNoTls() throws Exception {
    try (Socket plain = RelayFixture.connect(relay)) {
      plain.getOutputStream().write("GET / HTTP/1.1\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
      assertTrue(plain.getInputStream().readAllBytes().length < 50, "more than an alert");
    }
    assertServes();
  }

  @Test
  void givesNobodyLongerForAHandshake() throws Exception {
    List<Socket> silent = new ArrayList<>();
    long began = System.nanoTime();
    for (int i = 0; i < HANDSHAKES; i++) {
      silent.add(RelayFixture.connect(relay));
      silent.get(i).getOutputStream().write(0x16); // A handshake begins so.
    }
    assertThrows(IOException.class, () -> fixture.client(relay, "h2"));
    for (Socket client : silent) {
      assertEnds(client);
    }
    long tookMs = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began);
    assertTrue(tookMs > 4_000 && tookMs < 9_000, tookMs + " ms");
    assertServes();
  }

  @Test
  void takesSoManyConnections() throws Exception {
    List<SSLSocket> clients = new ArrayList<>();
    for (int i = 0; i < CONNECTIONS; i++) {
      clients.add(fixture.client(relay, "h2"));
      assertServed(clients.get(i), 'S');
    }
    assertThrows(IOException.class, () -> fixture.client(relay, "h2"));
    assertEchoes(clients.get(0), "still here");
    clients.get(0).close();
    eventually(this::assertServes);
    for (SSLSocket client : clients) {
      client.close();
    }
    eventually(
        () -> {
          for (Socket s : connect.connections) {
            assertTrue(s.isClosed());
          }
        });
  }

  @Test
  void slowsAWriterDownToItsReader() throws Exception {
    byte[] sent = new byte[64 << 20];
    new Random(1).nextBytes(sent);
    AtomicLong written = new AtomicLong();
    try (SSLSocket client = fixture.client(relay, "h2")) {
      CompletableFuture<Void> writer = CompletableFuture.runAsync(() -> write(client, sent, written));
      assertTrue(whenItStands(written) < sent.length, "all was taken while nobody read");
      assertEquals('S', client.getInputStream().read());
      assertArrayEquals(sent, client.getInputStream().readNBytes(sent.length));
      writer.get(10, TimeUnit.SECONDS);
      assertEquals(-1, client.getInputStream().read());
    }
  }

  @Test
  void passesTheEndOfTheServerOn() throws Exception {
    try (SSLSocket client = fixture.client(relay, "http/1.1")) {
      assertServed(client, 'C');
      control.connections.take().shutdownOutput();
      assertEquals(-1, client.getInputStream().read());
    }
  }

  @Test
  void passesTheEndOfTheClientOn() throws Exception {
    SSLSocket client = fixture.client(relay, "h2");
    assertServed(client, 'S');
    client.close();
    Socket server = connect.connections.take();
    eventually(() -> assertTrue(server.isClosed()));
  }

  @Test
  void endsWithItsServer() throws Exception {
    connect.close();
    SSLSocket client = fixture.client(relay, "h2");
    client.getOutputStream().write('x');
    assertEnds(client);
  }

  @ParameterizedTest
  @ValueSource(strings = {"none", "another"})
  void refusesCallersWithoutTheCertificate(String which) throws Exception {
    Path shown = which.equals("none") ? null : Certificate.store(dir, which, "Ed25519");
    try {
      assertEnds(fixture.as(shown).client(relay, "h2"));
    } catch (IOException e) {
      // Its handshake failed.
    }
    assertServes();
    assertEquals(1, connect.connections.size());
  }

  @Test
  void waitsForNobodyWhoSaysNothingAtFirst() throws Exception {
    try (SSLSocket spoke = fixture.client(relay, "h2")) {
      assertServed(spoke, 'S');
      long began = System.nanoTime();
      assertEnds(fixture.client(relay, "http/1.1"));
      long tookMs = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began);
      assertTrue(tookMs > 9_000 && tookMs < 15_000, tookMs + " ms");
      assertEquals(0, control.connections.size());
      assertEchoes(spoke, "still here");
    }
  }

  @Test
  void doesWithoutARelayThatCannotBe() {
    RelayKeys good = fixture.keys();
    String shown = good.certificate();
    assertNull(Relay.openIfPossible(LOOPBACK, new RelayKeys("no base64!", shown, good.caller())));
    assertNull(Relay.openIfPossible(LOOPBACK, new RelayKeys(shown, shown, good.caller())));
    assertNull(Relay.openIfPossible(LOOPBACK, new RelayKeys(good.key(), shown, "")));
    assertNull(Relay.openIfPossible(LOOPBACK, new RelayKeys(good.key(), shown, "12")));
    assertNull(Relay.openIfPossible(new RelaySettings("", ""), good));
    assertNull(Relay.openIfPossible(new RelaySettings("198.51.100.1", "198.51.100.1"), good));
    assertNotNull(Relay.openIfPossible(LOOPBACK, good));
  }

  private void assertServes() throws Exception {
    try (SSLSocket client = fixture.client(relay, "h2")) {
      assertServed(client, 'S');
    }
  }

  /** A connection whose server says its name once, and then what it hears. */
  private static void assertServed(Socket client, char server) throws IOException {
    client.getOutputStream().write('x');
    assertEquals(server, (char) client.getInputStream().read());
    assertEquals('x', client.getInputStream().read());
    assertEchoes(client, "hello");
  }

  private static void assertEchoes(Socket client, String text) throws IOException {
    byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
    client.getOutputStream().write(bytes);
    assertArrayEquals(bytes, client.getInputStream().readNBytes(bytes.length));
  }

  /** The other side ends the connection, in order or not. */
  private static void assertEnds(Socket client) throws IOException {
    try (client) {
      client.setSoTimeout((int) END_MS);
      assertEquals(-1, client.getInputStream().read());
    } catch (java.net.SocketTimeoutException e) {
      throw new AssertionError("the connection goes on", e);
    } catch (java.net.SocketException e) {
      // Reset.
    }
  }

  private static void write(SSLSocket client, byte[] bytes, AtomicLong written) {
    try {
      for (int at = 0; at < bytes.length; at += 1 << 16) {
        client.getOutputStream().write(bytes, at, 1 << 16);
        written.addAndGet(1 << 16);
      }
      client.shutdownOutput();
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Waits until a number above 0 no longer grows. */
  private static long whenItStands(AtomicLong number) throws InterruptedException {
    long before = -1;
    while (number.get() == 0 || number.get() != before) {
      before = number.get();
      TimeUnit.MILLISECONDS.sleep(500);
    }
    return before;
  }

  private interface Check {
    void run() throws Exception;
  }

  private static void eventually(Check check) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(END_MS);
    while (true) {
      try {
        check.run();
        return;
      } catch (IOException | AssertionError e) {
        if (System.nanoTime() > deadline) {
          throw e;
        }
        TimeUnit.MILLISECONDS.sleep(20);
      }
    }
  }
}
