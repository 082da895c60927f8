// SPDX-License-Identifier: Apache-2.0

import java.util.concurrent.TimeUnit;
import org.apache.spark.sql.SparkSession;

/**
 * A program of a JVM client: it opens a session by its URL alone, counts a range and tells which
 * engine served it.
 *
 * <p>Usage: {@code java JvmClient sc://host:port[/;key=value...] [builder key=value...]}. Prints one
 * JSON object. Exits 1, with the error on stderr, when any of it fails.
 */
public final class JvmClient {
  private JvmClient() {}

  public static void main(String[] args) {
    if (args.length == 0) {
      System.err.println("usage: JvmClient sc://host:port[/;key=value...] [builder key=value...]");
      System.exit(2);
    }
    int code = 1;
    try {
      run(args);
      code = 0;
    } catch (Exception error) {
      error.printStackTrace();
    }
    // The client's channel keeps threads: without this the program would not end.
    System.exit(code);
  }

  private static void run(String[] args) {
    long start = System.nanoTime();
    SparkSession.Builder builder = SparkSession.builder().remote(args[0]);
    for (int i = 1; i < args.length; i++) {
      String[] pair = args[i].split("=", 2);
      builder = builder.config(pair[0], pair[1]);
    }
    SparkSession spark = builder.getOrCreate();
    long count = spark.range(1000).count();
    String line =
        String.format(
            "{\"event\": \"answered\", \"count\": %d, \"application_id\": \"%s\","
                + " \"driver_memory\": \"%s\", \"spark_version\": \"%s\", \"seconds\": %.3f}",
            count,
            spark.conf().get("spark.app.id"),
            spark.conf().get("spark.driver.memory", ""),
            spark.version(),
            TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start) / 1000.0);
    System.out.println(line);
    spark.stop();
  }
}
