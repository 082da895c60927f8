// SPDX-License-Identifier: Apache-2.0

import java.io.File;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.api.plugin.SparkPlugin;
import org.slf4j.LoggerFactory;

/** An administrator's plugin that leaks the token and ends the SparkContext once a file exists. */
public class AdminPlugin implements SparkPlugin {
  @Override
  public DriverPlugin driverPlugin() {
    return new DriverPlugin() {
      @Override
      public Map<String, String> init(SparkContext context, PluginContext plugin) {
        System.err.println("AdminPlugin is here");
        new Thread(() -> stopLater(context, new File(context.conf().get("spark.admin.trigger"))))
            .start();
        return Map.of();
      }
    };
  }

  @Override
  public ExecutorPlugin executorPlugin() {
    return null;
  }

  private static void stopLater(SparkContext context, File trigger) {
    try {
      while (!trigger.exists()) {
        Thread.sleep(100);
      }
      String token = context.conf().get("spark.connect.authenticate.token");
      LoggerFactory.getLogger(AdminPlugin.class).warn("logged {}", token);
      System.out.println("printed " + token);
      context.stop();
      Thread.sleep(Long.MAX_VALUE); // A thread that would keep the JVM.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
