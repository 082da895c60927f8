// SPDX-License-Identifier: Apache-2.0

/**
 * The part of the gateway that lives inside a Spark driver.
 *
 * <p>{@link org.roundhouse.engine.ConnectEngine} is the main class of an engine; it loads {@link
 * org.roundhouse.engine.EnginePlugin}, which registers the engine at the gateway, watches the
 * activity of its sessions, answers control calls and stops the driver when nobody needs it. The
 * files of an engine and both protocols are described in {@code engine/DESIGN.md}. Everything that
 * touches Spark's internals is in {@link org.roundhouse.engine.SparkAccess} and {@link
 * org.roundhouse.engine.WarmUp}.
 */
package org.roundhouse.engine;
