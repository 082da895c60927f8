// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.roundhouse.engine.Activity.Changes;
import org.roundhouse.engine.Activity.Closed;
import org.roundhouse.engine.Activity.Verdict;

class ActivityTest {

  private static final SessionKey S1 = new SessionKey("alice", "s1");

  private final Activity activity = activity(100, 50, 1000, 0);

  @Test
  void reportsEachSessionOnce() {
    assertEquals(List.of(S1), look(activity, 0, session(0, 0, 0)).opened());
    assertEquals(List.of(), look(activity, 1, session(0, 0, 0)).opened());
  }

  @Test
  void aSessionWithoutAccessIsIdle() {
    assertEquals(List.of(), look(activity, 99, session(0, 0, 0)).idle());
    assertEquals(List.of(S1), look(activity, 100, session(0, 0, 0)).idle());
    Changes after = look(activity, 100);
    assertEquals(List.of(new Closed(S1, "idle")), after.closed());
  }

  @Test
  void accessKeepsASession() {
    look(activity, 0, session(0, 0, 0));
    assertEquals(List.of(), look(activity, 150, session(80, 0, 0)).idle());
    assertEquals(List.of(S1), look(activity, 180, session(80, 0, 0)).idle());
  }

  @Test
  void workKeepsASessionAndItsEndCountsAsAccess() {
    assertEquals(List.of(), look(activity, 500, session(0, 1, 0)).idle());
    assertEquals(List.of(), look(activity, 900, session(0, 0, 1)).idle());
    assertEquals(List.of(), look(activity, 999, session(0, 0, 0)).idle());
    assertEquals(List.of(S1), look(activity, 1000, session(0, 0, 0)).idle());
  }

  @Test
  void aSessionThatCouldNotBeClosedIsGivenOutAgain() {
    look(activity, 100, session(0, 0, 0));
    assertEquals(List.of(S1), look(activity, 101, session(0, 0, 0)).idle());
  }

  @Test
  void aSessionUsedAgainBeforeItWasClosedIsNotCalledIdle() {
    look(activity, 100, session(0, 0, 0));
    look(activity, 101, session(101, 0, 0));
    assertEquals(List.of(new Closed(S1, "released")), look(activity, 102).closed());
  }

  @Test
  void tellsReleasedFromExpired() {
    look(activity, 0, session(0, 0, 0));
    assertEquals(List.of(new Closed(S1, "released")), look(activity, 1).closed());
    look(activity, 2, session(2, 0, 0));
    Changes gone = activity.observe(List.of(), S1::equals, 3);
    assertEquals(List.of(new Closed(S1, "expired")), gone.closed());
  }

  @Test
  void anIdReusedBetweenTwoLooksIsAnotherSession() {
    look(activity, 0, session(0, 0, 0));
    SessionState again = new SessionState("alice", "s1", 5, 5, 0, 0, false);
    Changes changes = look(activity, 6, again);
    assertEquals(List.of(new Closed(S1, "released")), changes.closed());
    assertEquals(List.of(S1), changes.opened());
  }

  @Test
  void internalSessionsAreNeitherReportedNorClosedNorCounted() {
    SessionState clone = new SessionState("alice", "clone", 0, 0, 1, 0, true);
    assertEquals(new Changes(List.of(), List.of(), List.of()), look(activity, 0, clone));
    assertEquals(List.of(), look(activity, 999, clone).idle());
    assertEquals("unused", activity(100, 0, 1000, 0).ending(1000).orElseThrow().reason());
    assertEquals("idle", activity.ending(999).orElseThrow().reason());
  }

  @Test
  void anEngineThatIsNeverUsedEnds() {
    Activity patient = activity(100, 0, 1000, 0);
    assertEquals(Optional.empty(), patient.ending(999));
    assertEquals("unused", patient.ending(1000).orElseThrow().reason());
    patient.opened(1000);
    assertEquals(Optional.empty(), patient.ending(5000));
  }

  @Test
  void anEngineWithoutSessionsEndsAfterTheLastOne() {
    look(activity, 0, session(0, 0, 0));
    look(activity, 90, session(90, 0, 0));
    assertEquals(Optional.empty(), activity.ending(90));
    look(activity, 100);
    assertEquals(Optional.empty(), activity.ending(139));
    assertEquals("idle", activity.ending(140).orElseThrow().reason());
  }

  @Test
  void aSessionTooShortToBeSeenCountsAsUse() {
    activity.opened(40);
    assertEquals(Optional.empty(), activity.ending(89));
    assertEquals("idle", activity.ending(90).orElseThrow().reason());
  }

  @Test
  void aLateEventTakesNoUseBack() {
    look(activity, 90, session(90, 0, 0));
    look(activity, 100);
    activity.opened(40);
    assertEquals(Optional.empty(), activity.ending(139));
    assertEquals("idle", activity.ending(140).orElseThrow().reason());
  }

  @Test
  void aHeldEngineIsNeitherUnusedNorIdle() {
    Activity held = activity(100, 50, 80, 0);
    assertTrue(held.hold(10, 1000));
    assertEquals(Optional.empty(), held.ending(1009));
    assertEquals("unused", held.ending(1010).orElseThrow().reason());
    assertTrue(activity.hold(0, 100));
    assertTrue(activity.hold(10, 10), "a shorter one takes nothing away");
    assertEquals(Optional.empty(), activity.ending(99));
    assertEquals("idle", activity.ending(100).orElseThrow().reason());
  }

  @Test
  void theNextSessionEndsAHold() {
    assertTrue(activity.hold(100, 1000));
    activity.opened(100);
    look(activity, 110, session(90, 0, 0));
    look(activity, 120);
    assertEquals(Optional.empty(), activity.ending(500), "that session was opened before");
    activity.opened(101);
    assertEquals("idle", activity.ending(500).orElseThrow().reason());
  }

  @Test
  void anEngineThatEndsIsNotHeld() {
    assertTrue(activity.ending(50).isPresent());
    assertFalse(activity.hold(51, 100));
    activity.stay();
    assertTrue(activity.hold(52, 100));
    assertEquals(Optional.empty(), activity.ending(53));
    activity.drain("drained", "");
    assertFalse(activity.hold(54, 100));
    assertEquals("drained", activity.ending(55).orElseThrow().reason());
  }

  @Test
  void theClockStartsWithTheRegistration() {
    activity.start(10_000);
    assertEquals(Optional.empty(), activity.ending(10_049));
    assertTrue(activity.ending(10_050).isPresent());
  }

  @Test
  void timeoutsOfZeroOrLessNeverFire() {
    Activity endless = activity(0, -1, 0, -5);
    assertEquals(List.of(), look(endless, Long.MAX_VALUE / 2, session(0, 0, 0)).idle());
    look(endless, Long.MAX_VALUE / 2);
    assertEquals(Optional.empty(), endless.ending(Long.MAX_VALUE / 2));
    assertEquals(Optional.empty(), endless.aging(Long.MAX_VALUE / 2));
  }

  @Test
  void anOldEngineDrainsOnceAndEndsWithItsLastSession() {
    Activity old = activity(0, 0, 0, 100);
    look(old, 50, session(50, 1, 0));
    assertEquals(Optional.empty(), old.aging(99));
    Verdict verdict = old.aging(100).orElseThrow();
    assertEquals("lifetime", verdict.reason());
    old.drain(verdict.reason(), verdict.detail());
    assertEquals(Optional.empty(), old.aging(101));
    assertEquals(Optional.empty(), old.ending(101));
    look(old, 102);
    assertEquals("lifetime", old.ending(102).orElseThrow().reason());
  }

  private static Activity activity(long session, long engine, long unused, long lifetime) {
    Map<String, String> conf = new HashMap<>();
    conf.put("spark.kyuubi.session.idle.timeout", Long.toString(session));
    conf.put("spark.kyuubi.session.engine.idle.timeout", Long.toString(engine));
    conf.put("spark.kyuubi.session.engine.spark.max.initial.wait", Long.toString(unused));
    conf.put("spark.kyuubi.session.engine.spark.max.lifetime", Long.toString(lifetime));
    return new Activity(Fixtures.settings(conf), 0);
  }

  private static SessionState session(long lastAccess, int operations, int queries) {
    return new SessionState("alice", "s1", 0, lastAccess, operations, queries, false);
  }

  private static Changes look(Activity activity, long now, SessionState... sessions) {
    return activity.observe(List.of(sessions), key -> false, now);
  }
}
