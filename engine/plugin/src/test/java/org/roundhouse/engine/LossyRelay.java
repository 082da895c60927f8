// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;

/** A TCP relay that, so many times, cuts a connection instead of passing the answer to a request. */
final class LossyRelay implements AutoCloseable {

  private final ServerSocket door = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
  private final ExecutorService threads =
      Executors.newCachedThreadPool(Threads.daemon("lossy-relay"));
  private final int target;
  private final String request;
  private final AtomicInteger losses;

  /** Loses the answers to the first requests that contain a text. */
  LossyRelay(int target, String request, int losses) throws IOException {
    this.target = target;
    this.request = request;
    this.losses = new AtomicInteger(losses);
    threads.execute(this::accept);
  }

  String address() {
    return "localhost:" + door.getLocalPort();
  }

  int lossesLeft() {
    return losses.get();
  }

  private void accept() {
    try {
      while (true) {
        Socket client = door.accept();
        Socket server = new Socket(InetAddress.getLoopbackAddress(), target);
        AtomicBoolean mute = new AtomicBoolean();
        threads.execute(() -> copy(client, server, text -> passRequest(text, mute)));
        threads.execute(() -> copy(server, client, text -> !mute.get()));
      }
    } catch (IOException e) {
      // Closed, or the server is away.
    }
  }

  /** The request always passes; its answer is what is lost. */
  private boolean passRequest(String text, AtomicBoolean mute) {
    if (text.contains(request) && losses.getAndUpdate(n -> Math.max(0, n - 1)) > 0) {
      mute.set(true);
    }
    return true;
  }

  /** Copies until the end, or until something is not to pass. */
  private static void copy(Socket from, Socket to, Predicate<String> passes) {
    byte[] chunk = new byte[1 << 16];
    try (from;
        to) {
      InputStream in = from.getInputStream();
      for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
        if (!passes.test(new String(chunk, 0, n, StandardCharsets.ISO_8859_1))) {
          return;
        }
        to.getOutputStream().write(chunk, 0, n);
      }
    } catch (IOException e) {
      // The connection ended.
    }
  }

  @Override
  public void close() throws IOException {
    door.close();
    threads.shutdownNow();
  }
}
