// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.util.concurrent.ExecutorService;

/** Ends the threads of an executor at the end of a try block. */
record Closing(ExecutorService executor) implements AutoCloseable {

  static Closing of(ExecutorService executor) {
    return new Closing(executor);
  }

  @Override
  public void close() {
    executor.shutdownNow();
  }
}
