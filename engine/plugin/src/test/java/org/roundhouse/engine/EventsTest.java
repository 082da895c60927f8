// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class EventsTest {

  private final Events events = new Events();

  @Test
  void numbersAndKeepsEvents() throws InterruptedException {
    events.session(Events.OPENED, new SessionKey("alice", "s1"), "", "");
    events.session(Events.CLOSED, new SessionKey("alice", "s1"), "idle", "");
    events.engine(Events.STOPPING, "idle", "No session.");

    Events.Batch all = events.after(0, 0);
    assertEquals(List.of(1L, 2L, 3L), all.events().stream().map(Events.Event::seq).toList());
    assertEquals(3, all.last());
    assertFalse(all.lost());
    Events.Event closed = all.events().get(1);
    assertEquals(
        List.of("session-closed", "alice", "s1", "idle"),
        List.of(closed.type(), closed.user(), closed.sessionId(), closed.reason()));
    assertEquals(1, events.after(2, 0).events().size());
  }

  @Test
  void answersAtOnceWithNothingWhenNotToldToWait() throws InterruptedException {
    Events.Batch none = events.after(0, 0);
    assertEquals(new Events.Batch(List.of(), 0, false), none);
  }

  @Test
  void aLongPollWaitsForTheNextEvent() throws Exception {
    events.engine(Events.DRAINING, "drained", "");
    try (var pool = Closing.of(Executors.newSingleThreadExecutor())) {
      Future<Events.Batch> poll = pool.executor().submit(() -> events.after(1, 60_000));
      assertThrows(TimeoutException.class, () -> poll.get(200, TimeUnit.MILLISECONDS));
      events.engine(Events.STOPPING, "drained", "");
      assertEquals("stopping", poll.get().events().get(0).type());
    }
  }

  @Test
  void aLongPollEndsAfterItsTime() throws InterruptedException {
    long start = System.nanoTime();
    assertTrue(events.after(0, 50).events().isEmpty());
    assertTrue(System.nanoTime() - start >= TimeUnit.MILLISECONDS.toNanos(45));
  }

  @Test
  void theRingHoldsTheLastThousandAndTellsOfLoss() throws InterruptedException {
    for (int i = 0; i < 1005; i++) {
      events.engine(Events.DRAINING, "", "");
    }
    Events.Batch late = events.after(3, 0);
    assertEquals(1000, late.events().size());
    assertEquals(6, late.events().get(0).seq());
    assertTrue(late.lost());
    assertFalse(events.after(5, 0).lost());
    assertFalse(events.after(1005, 0).lost());
  }
}
