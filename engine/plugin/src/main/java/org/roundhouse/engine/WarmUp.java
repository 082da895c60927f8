// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.spark.connect.proto.Aggregate;
import org.apache.spark.connect.proto.ExecutePlanRequest;
import org.apache.spark.connect.proto.Expression;
import org.apache.spark.connect.proto.Plan;
import org.apache.spark.connect.proto.Range;
import org.apache.spark.connect.proto.Relation;
import org.apache.spark.connect.proto.ReleaseSessionRequest;
import org.apache.spark.connect.proto.SQL;
import org.apache.spark.connect.proto.SparkConnectServiceGrpc;
import org.apache.spark.connect.proto.SparkConnectServiceGrpc.SparkConnectServiceBlockingStub;
import org.apache.spark.connect.proto.UserContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.sparkproject.connect.grpc.ManagedChannel;
import org.sparkproject.connect.grpc.Metadata;
import org.sparkproject.connect.grpc.StatusRuntimeException;
import org.sparkproject.connect.grpc.netty.NettyChannelBuilder;
import org.sparkproject.connect.grpc.stub.MetadataUtils;

/**
 * Runs two tiny queries over loopback, so that the first client does not pay for the loading of
 * Spark's classes. Its session is internal: never counted, released at the end.
 */
final class WarmUp {

  private static final Logger LOG = LoggerFactory.getLogger(WarmUp.class);
  private static final UserContext USER =
      UserContext.newBuilder().setUserId("roundhouse-warmup").build();
  private static final int ROWS = 10;
  private static final long LIMIT_S = 120;

  private final String sessionId = UUID.randomUUID().toString();
  private final AtomicBoolean started = new AtomicBoolean();

  /** The id of the warm-up's session. */
  String sessionId() {
    return sessionId;
  }

  /** Warms the engine up in the background, once; a failure is logged and harms nobody. */
  void start(int port, String token) {
    if (!started.getAndSet(true)) {
      Threads.daemon("roundhouse-warm-up").newThread(() -> run(port, token)).start();
    }
  }

  private void run(int port, String token) {
    long start = System.nanoTime();
    ManagedChannel channel =
        NettyChannelBuilder.forAddress(SparkAccess.LOOPBACK, port).usePlaintext().build();
    try {
      SparkConnectServiceBlockingStub stub = stub(channel, token);
      execute(stub, count());
      execute(stub, sql());
      stub.releaseSession(
          ReleaseSessionRequest.newBuilder().setSessionId(sessionId).setUserContext(USER).build());
      LOG.info("Warmed up in {} ms", TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start));
    } catch (StatusRuntimeException e) {
      LOG.warn("The warm-up failed; the first query of a client will be slower.", e);
    } finally {
      channel.shutdownNow();
    }
  }

  private static SparkConnectServiceBlockingStub stub(ManagedChannel channel, String token) {
    Metadata headers = new Metadata();
    headers.put(
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
    return SparkConnectServiceGrpc.newBlockingStub(channel)
        .withDeadlineAfter(LIMIT_S, TimeUnit.SECONDS)
        .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers));
  }

  private void execute(SparkConnectServiceBlockingStub stub, Relation relation) {
    ExecutePlanRequest request =
        ExecutePlanRequest.newBuilder()
            .setSessionId(sessionId)
            .setUserContext(USER)
            .setPlan(Plan.newBuilder().setRoot(relation))
            .build();
    stub.executePlan(request).forEachRemaining(response -> {});
  }

  /** What {@code range(10).count()} sends. */
  private static Relation count() {
    Expression one =
        Expression.newBuilder()
            .setLiteral(Expression.Literal.newBuilder().setInteger(1))
            .build();
    Expression count =
        Expression.newBuilder()
            .setUnresolvedFunction(
                Expression.UnresolvedFunction.newBuilder()
                    .setFunctionName("count")
                    .addArguments(one))
            .build();
    return Relation.newBuilder()
        .setAggregate(
            Aggregate.newBuilder()
                .setInput(
                    Relation.newBuilder()
                        .setRange(Range.newBuilder().setStart(0).setEnd(ROWS).setStep(1)))
                .setGroupType(Aggregate.GroupType.GROUP_TYPE_GROUPBY)
                .addAggregateExpressions(count))
        .build();
  }

  private static Relation sql() {
    return Relation.newBuilder().setSql(SQL.newBuilder().setQuery("SELECT 1")).build();
  }
}
