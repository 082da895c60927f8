// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * Replaces secrets by {@code ***} in the bytes that pass, also when a secret is split over writes.
 *
 * <p>The bytes of a thread that could be the beginning of a secret wait for that thread's next
 * write, whatever other threads write meanwhile and whoever flushes. Secrets are hexadecimal text,
 * so the end of a line never waits.
 */
final class MaskingStream extends OutputStream {

  private static final byte[] MASK = "***".getBytes(StandardCharsets.US_ASCII);
  private static final byte[] NOTHING = {};
  private static final int PARTIAL = -1;

  private final OutputStream out;
  private final List<byte[]> secrets;
  private final ThreadLocal<byte[]> waiting = ThreadLocal.withInitial(() -> NOTHING);

  MaskingStream(OutputStream out, List<String> secrets) {
    this.out = out;
    this.secrets = secrets.stream().map(s -> s.getBytes(StandardCharsets.US_ASCII)).toList();
  }

  @Override
  public void write(int b) throws IOException {
    write(new byte[] {(byte) b}, 0, 1);
  }

  @Override
  public void write(byte[] bytes, int offset, int length) throws IOException {
    byte[] text = join(waiting.get(), bytes, offset, length);
    int from = 0;
    int at = 0;
    while (at < text.length) {
      int matched = secretAt(text, at);
      if (matched == PARTIAL) {
        break;
      }
      if (matched > 0) {
        out.write(text, from, at - from);
        out.write(MASK);
        from = at + matched;
        at = from;
      } else {
        at++;
      }
    }
    out.write(text, from, at - from);
    waiting.set(at == text.length ? NOTHING : join(NOTHING, text, at, text.length - at));
  }

  @Override
  public void flush() throws IOException {
    out.flush();
  }

  /** Length of the secret at a position, 0 for none, PARTIAL if the text ends within a possible one. */
  private int secretAt(byte[] text, int at) {
    int result = 0;
    for (byte[] secret : secrets) {
      int n = 0;
      while (n < secret.length && at + n < text.length && text[at + n] == secret[n]) {
        n++;
      }
      if (n == secret.length) {
        return n;
      }
      if (at + n == text.length) {
        result = PARTIAL;
      }
    }
    return result;
  }

  private static byte[] join(byte[] head, byte[] tail, int offset, int length) {
    byte[] all = new byte[head.length + length];
    System.arraycopy(head, 0, all, 0, head.length);
    System.arraycopy(tail, offset, all, head.length, length);
    return all;
  }
}
