// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.nio.charset.Charset;
import java.util.List;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.core.LoggerContext;
import org.apache.logging.log4j.core.appender.ConsoleAppender;
import org.apache.logging.log4j.core.appender.OutputStreamManager;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps the engine's secrets out of its log. Spark prints the token of its Connect port whenever a
 * Python worker of a streaming query starts.
 */
final class Masking {

  private static final Logger LOG = LoggerFactory.getLogger(Masking.class);

  private Masking() {}

  /** Masks the secrets on the standard streams, and on log4j's consoles, which keep older streams. */
  static void install(List<String> secrets) {
    System.setOut(masked(System.out, secrets));
    System.setErr(masked(System.err, secrets));
    if (LogManager.getContext(false) instanceof LoggerContext context) {
      context.getConfiguration().getAppenders().values().stream()
          .filter(ConsoleAppender.class::isInstance)
          .map(ConsoleAppender.class::cast)
          .forEach(Masking::redirect);
    }
  }

  private static PrintStream masked(PrintStream out, List<String> secrets) {
    return new PrintStream(new MaskingStream(out, secrets), true, Charset.defaultCharset());
  }

  private static void redirect(ConsoleAppender console) {
    PrintStream to =
        console.getTarget() == ConsoleAppender.Target.SYSTEM_OUT ? System.out : System.err;
    try {
      Method set = OutputStreamManager.class.getDeclaredMethod("setOutputStream", OutputStream.class);
      set.setAccessible(true);
      set.invoke(console.getManager(), to);
    } catch (ReflectiveOperationException | RuntimeException e) {
      LOG.warn(
          "The log4j appender {} could not be masked, so the engine's token may show in its log.",
          console.getName(),
          e);
    }
  }
}
