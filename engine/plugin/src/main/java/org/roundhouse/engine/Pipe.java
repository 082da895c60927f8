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
 * Carries bytes between two sockets, both ways, unread. A slow reader slows its writer down. The end
 * of one way is passed on; the other way may then go on for a while. A way that breaks ends both.
 */
final class Pipe {

  private static final Logger LOG = LoggerFactory.getLogger(Pipe.class);
  private static final int BUFFER = 64 * 1024;
  private static final long LINGER_S = 10;

  private final Runnable cut;
  private final CountDownLatch ended = new CountDownLatch(2);

  /** Makes a pipe; {@code cut} ends both connections at once, also if a thread is blocked in them. */
  Pipe(Runnable cut) {
    this.cut = cut;
  }

  /** Carries until both ways have ended. One way has this thread, the other one a thread of others. */
  void run(Socket one, Socket other, Executor others) throws InterruptedException {
    others.execute(() -> carry(other, one));
    carry(one, other);
    ended.await();
  }

  private void carry(Socket from, Socket to) {
    try {
      byte[] buffer = new byte[BUFFER];
      InputStream in = from.getInputStream();
      OutputStream out = to.getOutputStream();
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        out.write(buffer, 0, n);
      }
      to.shutdownOutput();
      awaitOtherWay();
    } catch (IOException e) {
      LOG.debug("A relayed connection broke: {}", e.toString());
    } finally {
      cut.run();
      ended.countDown();
    }
  }
}
