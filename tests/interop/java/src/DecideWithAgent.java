import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.Tracer;
import java.util.List;

/**
 * Starts root spans in a process with the Java agent, which polls a Weir as OTEL_* says.
 *
 * <p>java -javaagent:… DecideWithAgent DECISIONS OPERATION...
 */
public final class DecideWithAgent {
  public static void main(String[] arguments) {
    Tracer tracer = GlobalOpenTelemetry.getTracer("interop");
    List<String> operations = List.of(arguments).subList(1, arguments.length);
    Decisions.answer(
        Integer.parseInt(arguments[0]), operations, operation -> isSampled(tracer, operation));
    System.exit(0);
  }

  private static boolean isSampled(Tracer tracer, String operation) {
    Span span =
        tracer.spanBuilder(operation).setNoParent().setSpanKind(SpanKind.SERVER).startSpan();
    span.end();
    return span.getSpanContext().isSampled();
  }
}
