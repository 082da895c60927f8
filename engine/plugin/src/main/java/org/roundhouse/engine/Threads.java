// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.util.concurrent.ThreadFactory;

/** Threads that never keep the driver alive. */
final class Threads {

  private Threads() {}

  /** A factory of daemon threads of one name. */
  static ThreadFactory daemon(String name) {
    return task -> {
      Thread thread = new Thread(task, name);
      thread.setDaemon(true);
      return thread;
    };
  }
}
