// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;

/** A plain server that says its name and then what it hears, until its client says no more. */
final class EchoServer implements AutoCloseable {

  /** Connections as they come; a connection that was echoed to its end is closed. */
  final BlockingQueue<Socket> connections = new LinkedBlockingQueue<>();

  private final ServerSocket door = new ServerSocket(0, 100, InetAddress.getLoopbackAddress());
  private final ExecutorService threads = Executors.newCachedThreadPool(Threads.daemon("echo"));
  private final char name;

  EchoServer(char name) throws IOException {
    this.name = name;
    threads.execute(this::accept);
  }

  int port() {
    return door.getLocalPort();
  }

  private void accept() {
    try {
      while (true) {
        Socket client = door.accept();
        connections.add(client);
        threads.execute(() -> echo(client));
      }
    } catch (IOException e) {
      // Closed.
    }
  }

  private void echo(Socket client) {
    try (client) {
      client.getOutputStream().write(name);
      client.getInputStream().transferTo(client.getOutputStream());
    } catch (IOException e) {
      // The connection broke.
    }
  }

  @Override
  public void close() throws IOException {
    door.close();
    threads.shutdownNow();
    for (Socket client : connections) {
      client.close();
    }
  }
}
