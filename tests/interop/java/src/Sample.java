import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.context.Context;
import io.opentelemetry.sdk.extension.trace.jaeger.sampler.JaegerRemoteSampler;
import io.opentelemetry.sdk.trace.IdGenerator;
import io.opentelemetry.sdk.trace.samplers.Sampler;
import io.opentelemetry.sdk.trace.samplers.SamplingDecision;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * Lets the OpenTelemetry Jaeger remote sampler poll a Weir over gRPC, takes decisions with it, and
 * prints how many of each operation it sampled.
 *
 * <p>java Sample ENDPOINT SERVICE DECISIONS OPERATION...
 */
public final class Sample {
  private static final Duration POLLING_INTERVAL = Duration.ofMillis(100);
  private static final Duration DEADLINE = Duration.ofSeconds(30);

  public static void main(String[] arguments) throws InterruptedException {
    JaegerRemoteSampler sampler =
        JaegerRemoteSampler.builder()
            .setEndpoint(arguments[0])
            .setServiceName(arguments[1])
            .setPollingInterval(POLLING_INTERVAL)
            .setInitialSampler(Sampler.alwaysOff())
            .build();
    String initial = sampler.getDescription();
    long deadline = System.nanoTime() + DEADLINE.toNanos();
    while (sampler.getDescription().equals(initial)) {
      if (System.nanoTime() > deadline) {
        System.err.println("no strategy was taken over; the sampler is " + initial);
        System.exit(1);
      }
      Thread.sleep(POLLING_INTERVAL.toMillis());
    }
    int decisions = Integer.parseInt(arguments[2]);
    List<String> counts = new ArrayList<>();
    for (String operation : List.of(arguments).subList(3, arguments.length)) {
      counts.add("\"" + operation + "\":" + countSampled(sampler, operation, decisions));
    }
    System.out.println("{\"sampled\":{" + String.join(",", counts) + "}}");
    System.exit(0);
  }

  private static int countSampled(Sampler sampler, String operation, int decisions) {
    int sampled = 0;
    for (int i = 0; i < decisions; i++) {
      String trace = IdGenerator.random().generateTraceId();
      SamplingDecision decision =
          sampler
              .shouldSample(
                  Context.root(), trace, operation, SpanKind.SERVER, Attributes.empty(), List.of())
              .getDecision();
      if (decision == SamplingDecision.RECORD_AND_SAMPLE) {
        sampled++;
      }
    }
    return sampled;
  }
}
