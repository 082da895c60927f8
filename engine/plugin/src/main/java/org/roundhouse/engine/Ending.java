// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

/**
 * How an engine ends.
 *
 * @param exitCode of the driver: 0 in good order, 1 for a failure
 * @param reason a word of the protocol
 * @param detail a sentence for people
 */
record Ending(int exitCode, String reason, String detail) {

  static Ending orderly(String reason, String detail) {
    return new Ending(0, reason, detail);
  }

  static Ending failure(String detail) {
    return new Ending(1, "failed", detail);
  }
}
