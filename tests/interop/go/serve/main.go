// An HTTP server whose requests otelhttp counts. It is configured by OTEL_* and, if SAMPLER_ENDPOINT
// is set, asks that Weir for its probabilities. It prints its port, and ends on SIGTERM.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/samplers/jaegerremote"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	// The meters first: the tracer provider counts its spans with them.
	meters := must(newMeters(ctx))
	otel.SetMeterProvider(meters)
	tracers := trace.NewTracerProvider(trace.WithSampler(sampler()),
		trace.WithBatcher(must(otlptracehttp.New(ctx))))
	otel.SetTracerProvider(tracers)
	otel.SetTextMapPropagator(propagation.TraceContext{})

	client := http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport)}
	answer := func(response http.ResponseWriter, request *http.Request) {
		if next := request.URL.Query().Get("next"); next != "" {
			call := must(http.NewRequestWithContext(request.Context(), http.MethodGet, next, nil))
			answered, err := client.Do(call)
			if err != nil {
				http.Error(response, err.Error(), http.StatusBadGateway)
				return
			}
			_, _ = io.Copy(io.Discard, answered.Body)
			_ = answered.Body.Close()
		}
		fmt.Fprintln(response, "ok")
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /hot", answer)
	routes.HandleFunc("POST /orders/{id}", answer)
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	fmt.Printf("{\"port\":%d}\n", listener.Addr().(*net.TCPAddr).Port)
	server := http.Server{Handler: otelhttp.NewHandler(routes, "server")}
	go server.Serve(listener)

	<-ctx.Done()
	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = server.Shutdown(ending)
	_ = tracers.Shutdown(ending)
	if err := meters.Shutdown(ending); err != nil {
		log.Print(err)
	}
}

func newMeters(ctx context.Context) (*metric.MeterProvider, error) {
	// The SDK for Go does not read this variable by itself.
	if os.Getenv("OTEL_METRICS_EXPORTER") == "none" {
		return metric.NewMeterProvider(), nil
	}
	exporter, err := otlpmetrichttp.New(ctx)
	if err != nil {
		return nil, err
	}
	return metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(exporter))), nil
}

func sampler() trace.Sampler {
	endpoint := os.Getenv("SAMPLER_ENDPOINT")
	if endpoint == "" {
		return trace.ParentBased(trace.AlwaysSample())
	}
	return trace.ParentBased(jaegerremote.New(os.Getenv("OTEL_SERVICE_NAME"),
		jaegerremote.WithSamplingServerURL(endpoint+"/sampling"),
		jaegerremote.WithSamplingRefreshInterval(time.Second),
		jaegerremote.WithInitialSampler(trace.TraceIDRatioBased(0.01))))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
