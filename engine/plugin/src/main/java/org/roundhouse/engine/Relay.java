// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.io.Closeable;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.StandardSocketOptions;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import jdk.net.ExtendedSocketOptions;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The engine's door for gateways on other machines: TLS in which both sides show certificates that
 * they know of each other. The protocol that is negotiated says whether a connection leads to the
 * Connect service ({@code h2}) or to the control endpoint ({@code http/1.1}); both ask for the
 * engine's keys as always. It ends with the driver's process.
 */
final class Relay {

  private static final Logger LOG = LoggerFactory.getLogger(Relay.class);
  private static final String[] VERSIONS = {"TLSv1.3"};
  private static final String CONNECT = "h2";
  private static final String CONTROL = "http/1.1";
  private static final int MAX_CONNECTIONS = 64;
  private static final int MAX_HANDSHAKES = 16;
  private static final int HANDSHAKE_MS = 5_000;
  private static final int SILENCE_MS = 10_000;
  private static final int FIRST_BYTES = 16 * 1024;
  private static final int DIAL_MS = 2_000;
  private static final long ACCEPT_PAUSE_MS = 100;

  /** Finds out within two minutes that a gateway's machine is gone; seconds, seconds, tries. */
  private static final int KEEP_ALIVE_IDLE_S = 60;

  private static final int KEEP_ALIVE_INTERVAL_S = 15;
  private static final int KEEP_ALIVE_TRIES = 4;

  private final RelayIdentity identity;
  private final RelaySettings settings;
  private final ServerSocket door;
  private final Semaphore connections = new Semaphore(MAX_CONNECTIONS);
  private final Semaphore handshakes = new Semaphore(MAX_HANDSHAKES);
  private final ExecutorService threads =
      Executors.newCachedThreadPool(Threads.daemon("roundhouse-relay"));
  private final ScheduledExecutorService clock =
      Executors.newSingleThreadScheduledExecutor(Threads.daemon("roundhouse-relay-clock"));

  // Set in start before anything reads it.
  private Map<String, Integer> ports;

  /** Binds any free port; call {@link #start} next. */
  Relay(RelaySettings settings, RelayIdentity identity) throws IOException {
    if (!Node.fits(settings.host())) {
      throw new IOException("spark.driver.host is no address: '" + settings.host() + "'");
    }
    this.settings = settings;
    this.identity = identity;
    this.door = new ServerSocket(0, MAX_CONNECTIONS, InetAddress.getByName(settings.bind()));
  }

  /** The relay that the settings ask for; null, with a word in the log, if it cannot be opened. */
  static Relay openIfPossible(RelaySettings settings, RelayKeys keys) {
    try {
      return new Relay(settings, RelayIdentity.of(keys));
    } catch (IOException | GeneralSecurityException e) {
      LOG.warn(
          "The engine offers no relay, so only gateways on its machine can use it"
              + " (spark.driver.bindAddress says where it would listen): {}",
          e.toString());
      return null;
    }
  }

  /** {@code host:port} where gateways reach the relay. */
  String address() {
    return settings.address(door.getLocalPort());
  }

  /** What the registration says about the relay's certificate. */
  String fingerprint() {
    return identity.fingerprint();
  }

  /** Begins to take connections, to these ports of the loopback address. */
  void start(int connectPort, int controlPort) {
    ports = Map.of(CONNECT, connectPort, CONTROL, controlPort);
    threads.execute(this::accept);
  }

  private void accept() {
    while (true) {
      try {
        admit(door.accept());
      } catch (IOException e) {
        pause(e);
      }
    }
  }

  /** Without file descriptors, say, accepting fails again and again. */
  private void pause(IOException e) {
    LOG.warn("The relay cannot take a connection: {}", e.toString());
    try {
      TimeUnit.MILLISECONDS.sleep(ACCEPT_PAUSE_MS);
    } catch (InterruptedException interrupted) {
      LOG.debug("Interrupted while waiting to take connections again.");
    }
  }

  /** Serves a connection if there is a place for it, and closes it otherwise. */
  private void admit(Socket wire) {
    if (!connections.tryAcquire()) {
      closeQuietly(wire);
      return;
    }
    if (!handshakes.tryAcquire()) {
      end(wire);
      return;
    }
    threads.execute(() -> serve(wire));
  }

  private void end(Socket wire) {
    closeQuietly(wire);
    connections.release();
  }

  private void serve(Socket wire) {
    try (Socket target = new Socket()) {
      SSLSocket stream = handshake(wire);
      byte[] first = firstBytes(wire, stream);
      target.setTcpNoDelay(true);
      target.connect(
          new InetSocketAddress(SparkAccess.LOOPBACK, ports.get(stream.getApplicationProtocol())),
          DIAL_MS);
      target.getOutputStream().write(first);
      // The stream would wait for a blocked writer; the wire below it does not.
      new Pipe(stream, target, () -> cut(wire, target)).run(threads);
    } catch (IOException e) {
      LOG.debug("A connection to the relay failed: {}", e.toString());
    } finally {
      end(wire);
    }
  }

  /** Agrees on TLS and on a protocol in time. */
  private SSLSocket handshake(Socket wire) throws IOException {
    try (Limit limit = limit(wire, HANDSHAKE_MS)) {
      prepare(wire);
      SSLSocket stream =
          (SSLSocket) identity.tls().getSocketFactory().createSocket(wire, null, true);
      SSLParameters parameters = stream.getSSLParameters();
      parameters.setProtocols(VERSIONS);
      parameters.setApplicationProtocols(new String[] {CONNECT, CONTROL});
      parameters.setNeedClientAuth(true);
      stream.setSSLParameters(parameters);
      stream.startHandshake();
      if (stream.getApplicationProtocol().isEmpty()) {
        throw new IOException("the client named no protocol");
      }
      return stream;
    } finally {
      handshakes.release();
    }
  }

  /** What the client says first, in time; a target waits for nobody who says nothing. */
  private byte[] firstBytes(Socket wire, SSLSocket stream) throws IOException {
    try (Limit limit = limit(wire, SILENCE_MS)) {
      byte[] buffer = new byte[FIRST_BYTES];
      int n = stream.getInputStream().read(buffer);
      if (n < 0) {
        throw new IOException("the client left without a word");
      }
      return Arrays.copyOf(buffer, n);
    }
  }

  /** Closes the connection unless this is closed within so many milliseconds. */
  private interface Limit extends AutoCloseable {
    @Override
    void close();
  }

  private Limit limit(Socket wire, long ms) {
    ScheduledFuture<?> late = clock.schedule(() -> closeQuietly(wire), ms, TimeUnit.MILLISECONDS);
    return () -> late.cancel(false);
  }

  private static void prepare(Socket wire) throws IOException {
    wire.setTcpNoDelay(true);
    wire.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
    if (wire.supportedOptions().contains(ExtendedSocketOptions.TCP_KEEPIDLE)) {
      wire.setOption(ExtendedSocketOptions.TCP_KEEPIDLE, KEEP_ALIVE_IDLE_S);
      wire.setOption(ExtendedSocketOptions.TCP_KEEPINTERVAL, KEEP_ALIVE_INTERVAL_S);
      wire.setOption(ExtendedSocketOptions.TCP_KEEPCOUNT, KEEP_ALIVE_TRIES);
    }
  }

  private static void cut(Socket one, Socket other) {
    closeQuietly(one);
    closeQuietly(other);
  }

  private static void closeQuietly(Closeable socket) {
    try {
      socket.close();
    } catch (IOException e) {
      LOG.debug("Could not close: {}", e.toString());
    }
  }
}
