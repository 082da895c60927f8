// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.util.List;
import java.util.Optional;
import org.roundhouse.engine.Activity.Verdict;

/**
 * Notices that collections free too little: what the old generation holds right after one of them is
 * what the engine really needs. Used by one thread.
 */
final class HeapWatch {

  private static final int LOOKS = 3;

  private final int percent;
  private final List<MemoryPoolMXBean> pools;
  private long seen;
  private int full;

  /** Watches this JVM; {@code percent} of the old generation's maximum, 0 or less: not at all. */
  HeapWatch(int percent) {
    this(percent, oldGeneration());
  }

  /** Watches certain pools. */
  HeapWatch(int percent, List<MemoryPoolMXBean> pools) {
    this.percent = percent;
    this.pools = pools;
    if (percent > 0) {
      pools.forEach(p -> p.setCollectionUsageThreshold(p.getUsage().getMax() / 100 * percent));
    }
  }

  /** The bytes in use after the last collection of the old generation; 0 before the first. */
  long afterCollection() {
    return pools.stream().mapToLong(p -> p.getCollectionUsage().getUsed()).sum();
  }

  /**
   * Has a look. A look without a new collection says nothing.
   *
   * @return why the engine is to be replaced, if too much was in use at this look and those before
   */
  Optional<Verdict> look() {
    if (percent <= 0) {
      return Optional.empty();
    }
    if (pools.stream().noneMatch(MemoryPoolMXBean::isCollectionUsageThresholdExceeded)) {
      full = 0;
      return Optional.empty();
    }
    long count = pools.stream().mapToLong(MemoryPoolMXBean::getCollectionUsageThresholdCount).sum();
    if (count > seen) {
      seen = count;
      full++;
    }
    return full < LOOKS ? Optional.empty() : Optional.of(verdict());
  }

  private Verdict verdict() {
    return new Verdict(
        "memory",
        "More than " + percent + " percent of the heap stays in use after collections ("
            + (afterCollection() >> 20) + " MiB).");
  }

  /** The pools of the heap that have thresholds, which those of the young generation do not. */
  private static List<MemoryPoolMXBean> oldGeneration() {
    return ManagementFactory.getMemoryPoolMXBeans().stream()
        .filter(p -> p.getType() == MemoryType.HEAP)
        .filter(p -> p.isUsageThresholdSupported() && p.isCollectionUsageThresholdSupported())
        .filter(p -> p.getUsage().getMax() > 0)
        .toList();
  }
}
