// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

/** What names a session in an engine, as in Spark. */
record SessionKey(String user, String sessionId) {}
