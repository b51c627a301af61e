import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.context.Context;
import io.opentelemetry.sdk.extension.trace.jaeger.sampler.JaegerRemoteSampler;
import io.opentelemetry.sdk.trace.IdGenerator;
import io.opentelemetry.sdk.trace.samplers.Sampler;
import io.opentelemetry.sdk.trace.samplers.SamplingDecision;
import java.time.Duration;
import java.util.List;

/**
 * Lets the OpenTelemetry Jaeger remote sampler poll a Weir over gRPC, and takes decisions with it.
 *
 * <p>java DecideWithSampler ENDPOINT SERVICE DECISIONS OPERATION...
 */
public final class DecideWithSampler {
  public static void main(String[] arguments) {
    JaegerRemoteSampler sampler =
        JaegerRemoteSampler.builder()
            .setEndpoint(arguments[0])
            .setServiceName(arguments[1])
            .setPollingInterval(Duration.ofMillis(100))
            .setInitialSampler(Sampler.alwaysOff())
            .build();
    List<String> operations = List.of(arguments).subList(3, arguments.length);
    Decisions.answer(
        Integer.parseInt(arguments[2]), operations, operation -> isSampled(sampler, operation));
    System.exit(0);
  }

  private static boolean isSampled(Sampler sampler, String operation) {
    return sampler
        .shouldSample(
            Context.root(),
            IdGenerator.random().generateTraceId(),
            operation,
            SpanKind.SERVER,
            Attributes.empty(),
            List.of())
        .getDecision()
        .equals(SamplingDecision.RECORD_AND_SAMPLE);
  }
}
