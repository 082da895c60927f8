// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Carries bytes between two connections, both ways and unread; a slow reader slows its writer down.
 * The end of one way is passed on, and the other way has a little time to end as well. A way that
 * breaks ends both.
 */
final class Pipe {

  private static final Logger LOG = LoggerFactory.getLogger(Pipe.class);
  private static final int BUFFER = 64 * 1024;
  private static final long OTHER_WAY_S = 10;

  private final Socket one;
  private final Socket other;
  private final Runnable cut;
  private final CountDownLatch ended = new CountDownLatch(2);

  /** Makes a pipe; {@code cut} closes both connections, also while threads are blocked in them. */
  Pipe(Socket one, Socket other, Runnable cut) {
    this.one = one;
    this.other = other;
    this.cut = cut;
  }

  /** Carries until the end, one way in this thread and the other one in a thread of the executor. */
  void run(Executor threads) {
    threads.execute(() -> carry(other, one));
    carry(one, other);
  }

  private void carry(Socket from, Socket to) {
    try {
      copy(from, to);
      ended.await(OTHER_WAY_S, TimeUnit.SECONDS);
    } catch (IOException e) {
      LOG.debug("A relayed connection broke: {}", e.toString());
    } catch (InterruptedException e) {
      LOG.debug("A relayed connection is closed.");
    } finally {
      cut.run();
    }
  }

  private void copy(Socket from, Socket to) throws IOException {
    try {
      byte[] buffer = new byte[BUFFER];
      InputStream in = from.getInputStream();
      OutputStream out = to.getOutputStream();
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        out.write(buffer, 0, n);
      }
      to.shutdownOutput();
    } finally {
      ended.countDown();
    }
  }
}
