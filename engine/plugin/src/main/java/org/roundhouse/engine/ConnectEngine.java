// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.util.concurrent.TimeUnit;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.classic.SparkSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Main class of an engine: a Spark driver with a Connect service that one gateway uses. Exit code 0
 * after a stop in good order, 1 otherwise; no JVM stays behind without its SparkContext.
 */
public final class ConnectEngine {

  private static final Logger LOG = LoggerFactory.getLogger(ConnectEngine.class);
  private static final long EXIT_LIMIT_S = 30;

  private ConnectEngine() {}

  /**
   * Runs the engine and exits.
   *
   * @param args none
   */
  public static void main(String[] args) {
    System.exit(run());
  }

  private static int run() {
    try {
      SparkConf conf = new SparkConf();
      checkInTime(Settings.read(key -> conf.get(key, null), System.currentTimeMillis()));
      SparkAccess.addPlugin(conf, EnginePlugin.class);
      SparkSession session = SparkAccess.createSession(conf);
      Engine engine = EnginePlugin.engine();
      SparkAccess.startService(session.sparkContext(), engine.token());
      return end(engine.ending().get(), session);
    } catch (Throwable e) { // Whatever it is, the driver must not stay.
      LOG.error("The engine failed: {}", e.toString(), e);
      haltLater(1);
      return 1;
    }
  }

  private static int end(Ending ending, SparkSession session) {
    LOG.info("The engine ends ({}): {}", ending.reason(), ending.detail());
    haltLater(ending.exitCode());
    try {
      SparkAccess.stop(session);
    } catch (RuntimeException e) {
      LOG.warn("Spark did not stop cleanly", e);
    }
    return ending.exitCode();
  }

  /** A driver that starts after its gateway gave it up ends at once. */
  private static void checkInTime(Settings settings) {
    long late = System.currentTimeMillis() - settings.giveUpAt();
    if (late > 0) {
      throw new IllegalStateException(
          "The driver started " + late + " ms after spark.kyuubi.session.engine.initialize.timeout"
              + " was over; the gateway no longer waits for it.");
    }
  }

  /** Ends the JVM even if Spark, or a shutdown hook, hangs. */
  private static void haltLater(int code) {
    Runnable halt =
        () -> {
          try {
            TimeUnit.SECONDS.sleep(EXIT_LIMIT_S);
          } catch (InterruptedException e) {
            LOG.debug("Interrupted while waiting to halt.");
          }
          Runtime.getRuntime().halt(code);
        };
    Threads.daemon("roundhouse-halt").newThread(halt).start();
  }
}
