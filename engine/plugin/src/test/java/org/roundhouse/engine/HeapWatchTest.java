// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryUsage;
import java.lang.ref.Reference;
import java.lang.reflect.Proxy;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class HeapWatchTest {

  private static final long MAX = 1000 << 20;

  private long threshold;
  private long used;
  private long timesAbove;

  private final HeapWatch watch = new HeapWatch(80, List.of(pool()));

  @Test
  void threeFullLooksInARow() {
    collect(90);
    assertTrue(watch.look().isEmpty());
    assertTrue(watch.look().isEmpty(), "no new collection");
    collect(90);
    assertTrue(watch.look().isEmpty());
    collect(85);
    assertEquals("memory", watch.look().orElseThrow().reason());
    assertTrue(watch.look().orElseThrow().detail().contains("80 percent"));
    assertEquals(850 << 20, watch.afterCollection());
  }

  @Test
  void aLookBelowBeginsAnew() {
    for (int percent : new int[] {90, 90, 79, 90, 90}) {
      collect(percent);
      assertTrue(watch.look().isEmpty());
    }
  }

  @Test
  void severalCollectionsBetweenTwoLooksAreOne() {
    for (int i = 0; i < 10; i++) {
      collect(90);
    }
    assertTrue(watch.look().isEmpty());
  }

  @Test
  void thisJvmHasWhatItTakes() {
    HeapWatch off = new HeapWatch(0);
    HeapWatch real = new HeapWatch(1);
    byte[][] ballast = new byte[(int) (Runtime.getRuntime().maxMemory() * 2 / 100 >> 20)][1 << 20];
    boolean full = false;
    while (!full) {
      System.gc();
      full = real.look().isPresent();
    }
    assertTrue(real.afterCollection() > (long) ballast.length << 19, "" + real.afterCollection());
    assertTrue(off.look().isEmpty());
    Reference.reachabilityFence(ballast);
  }

  private void collect(int percent) {
    used = MAX / 100 * percent;
    if (used >= threshold) {
      timesAbove++;
    }
  }

  /** A pool as the JVM shows it. */
  private MemoryPoolMXBean pool() {
    return (MemoryPoolMXBean)
        Proxy.newProxyInstance(
            getClass().getClassLoader(),
            new Class<?>[] {MemoryPoolMXBean.class},
            (self, method, args) ->
                switch (method.getName()) {
                  case "getUsage", "getCollectionUsage" -> new MemoryUsage(0, used, MAX, MAX);
                  case "isCollectionUsageThresholdExceeded" -> used >= threshold;
                  case "getCollectionUsageThresholdCount" -> timesAbove;
                  case "setCollectionUsageThreshold" -> {
                    threshold = (long) args[0];
                    yield null;
                  }
                  default -> throw new UnsupportedOperationException(method.getName());
                });
  }
}
