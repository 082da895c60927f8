// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.io.IOException;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.api.plugin.SparkPlugin;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerEvent;
import org.apache.spark.sql.connect.service.SparkListenerConnectServiceStarted;
import org.apache.spark.sql.connect.service.SparkListenerConnectSessionClosed;
import org.apache.spark.sql.connect.service.SparkListenerConnectSessionStarted;

/** The Spark plugin that makes a driver an engine; it has a driver part only. */
public final class EnginePlugin implements SparkPlugin {

  // Spark makes the plugin, so it hands its engine to the main class here.
  private static final AtomicReference<Engine> ENGINE = new AtomicReference<>();

  /** The engine of this driver; null before the plugin was initialised. */
  static Engine engine() {
    return ENGINE.get();
  }

  @Override
  public DriverPlugin driverPlugin() {
    return new Driver();
  }

  @Override
  public ExecutorPlugin executorPlugin() {
    return null;
  }

  private static final class Driver implements DriverPlugin {

    private Engine engine;

    /** Takes the keys, masks them, and listens for the start of the Connect service. */
    @Override
    public Map<String, String> init(SparkContext context, PluginContext plugin) {
      SparkConf conf = context.conf();
      Settings settings = Settings.read(key -> conf.get(key, null), System.currentTimeMillis());
      Keys keys = takeKeys(settings);
      Masking.install(keys.secrets());
      SparkAccess.prepareService();
      Relay relay =
          settings.relay() == null ? null : Relay.openIfPossible(settings.relay(), keys.relay());
      engine = new Engine(settings, keys.withoutRelay(), relay, context);
      ENGINE.set(engine);
      context.addSparkListener(new Listener(engine));
      return Map.of();
    }

    @Override
    public void shutdown() {
      if (engine != null) {
        engine.contextEnded();
      }
    }

    private static Keys takeKeys(Settings settings) {
      try {
        return Keys.take(settings.keyFile(), settings.zooKeeper() != null, settings.relay() != null);
      } catch (IOException e) {
        throw new IllegalStateException("The engine could not take its keys: " + e, e);
      }
    }
  }

  private static final class Listener extends SparkListener {

    private final Engine engine;

    Listener(Engine engine) {
      this.engine = engine;
    }

    @Override
    public void onOtherEvent(SparkListenerEvent event) {
      if (event instanceof SparkListenerConnectServiceStarted started) {
        engine.serviceStarted(started.bindingPort());
      } else if (event instanceof SparkListenerConnectSessionStarted opened) {
        engine.sessionOpened(opened.sessionId(), opened.eventTime());
        engine.sessionsChanged();
      } else if (event instanceof SparkListenerConnectSessionClosed) {
        engine.sessionsChanged();
      }
    }
  }
}
