import imquota.v1.Imquota.CheckMode;
import imquota.v1.Imquota.CheckRequest;
import imquota.v1.Imquota.CheckResponse;
import imquota.v1.Imquota.Decision;
import imquota.v1.Imquota.ReleaseRequest;
import imquota.v1.Imquota.Resource;
import imquota.v1.QuotaServiceGrpc;
import imquota.v1.QuotaServiceGrpc.QuotaServiceBlockingStub;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/** How a gateway in Java asks imquota before it creates a group. */
public final class Gateway implements AutoCloseable {
  private static final long START_MS = 10_000;
  private static final long DEADLINE_MS = 200;
  private static final int ATTEMPTS = 3;

  /** The group must not be created. {@code code} is what the gateway's caller is told. */
  static final class Refused extends Exception {
    final int code;

    Refused(CheckResponse answer) {
      super(answer.getReason().name());
      code = answer.getImErrorCode();
    }
  }

  /** What creates a group. */
  interface Creation {
    void run(String name) throws IOException;
  }

  /** One channel for the whole process: it is safe for threads, and connects again by itself. */
  private final ManagedChannel channel;

  private final QuotaServiceBlockingStub stub;

  Gateway(String target) {
    var channel = Grpc.newChannelBuilder(target, InsecureChannelCredentials.create());
    if (target.startsWith("unix:")) {
      // Without it the socket's path is sent as :authority, which HTTP/2 does not allow.
      channel.overrideAuthority("localhost");
    }
    this.channel = channel.build();
    stub = QuotaServiceGrpc.newBlockingStub(this.channel);
  }

  /** The first call of a process loads half of its classes: it is made before the first user comes. */
  void warmUp(long appId) {
    var check =
        CheckRequest.newBuilder()
            .setAppId(appId)
            .setResource(Resource.RESOURCE_GROUP)
            .setMode(CheckMode.CHECK_MODE_DRY_RUN)
            .build();
    stub.withWaitForReady().withDeadlineAfter(START_MS, TimeUnit.MILLISECONDS).check(check);
  }

  /** Creates if there is room; gives the place back if that fails. */
  void createGroup(long appId, String name, Creation creation) throws Refused, IOException {
    var requestId = UUID.randomUUID().toString();
    var check =
        CheckRequest.newBuilder()
            .setAppId(appId)
            .setResource(Resource.RESOURCE_GROUP)
            .setResourceId(name)
            .setRequestId(requestId)
            .build();
    // No answer: whether to go on is the gateway's own policy. This one lets its user wait.
    var answer =
        again(stub -> stub.check(check))
            .orElseThrow(
                () -> new IOException("the quota service did not answer; try again later"));
    if (answer.getDecision() != Decision.DECISION_ALLOW) {
      throw new Refused(answer);
    }
    try {
      creation.run(name);
    } catch (IOException | RuntimeException failed) {
      // Nothing exists, so nothing is to be counted. By its name, and under an id of its own.
      var release =
          ReleaseRequest.newBuilder()
              .setAppId(appId)
              .setResource(Resource.RESOURCE_GROUP)
              .setResourceId(name)
              .setRequestId(requestId + "-undo")
              .build();
      again(stub -> stub.release(release));
      throw failed;
    }
  }

  /** The answer, if one came. The same request id each time, so that it is counted once at most. */
  private <T> Optional<T> again(Function<QuotaServiceBlockingStub, T> call) {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        return Optional.of(
            call.apply(stub.withDeadlineAfter(DEADLINE_MS, TimeUnit.MILLISECONDS)));
      } catch (StatusRuntimeException problem) {
        switch (problem.getStatus().getCode()) {
          case UNAVAILABLE, DEADLINE_EXCEEDED -> {}
          default -> throw problem;
        }
      }
    }
    return Optional.empty();
  }

  @Override
  public void close() {
    channel.shutdownNow();
  }

  public static void main(String[] arguments) throws Exception {
    long appId = Long.parseUnsignedLong(arguments[1]);
    Creation create = name -> System.out.println("created " + name);
    Creation fail =
        name -> {
          throw new IOException("the disk is full");
        };
    try (var gateway = new Gateway(arguments[0])) {
      gateway.warmUp(appId);
      gateway.createGroup(appId, "java-1", create);
      try {
        gateway.createGroup(appId, "java-2", fail);
      } catch (IOException problem) {
        System.out.println("given back: " + problem.getMessage());
      }
      gateway.createGroup(appId, "java-3", create);
      try {
        gateway.createGroup(appId, "java-4", create);
      } catch (Refused refused) {
        System.out.println("refused: " + refused.getMessage() + " " + refused.code);
      }
    }
  }
}
