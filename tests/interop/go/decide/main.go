// Lets OpenTelemetry's jaegerremote poll a Weir. For each line of its input it takes decisions and
// prints how many of each operation it sampled.
//
//	decide ENDPOINT SERVICE DECISIONS OPERATION...
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"log"
	"os"
	"strconv"
	"time"

	"go.opentelemetry.io/contrib/samplers/jaegerremote"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

func main() {
	decisions, err := strconv.Atoi(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	sampler := jaegerremote.New(os.Args[2],
		jaegerremote.WithSamplingServerURL(os.Args[1]+"/sampling"),
		jaegerremote.WithSamplingRefreshInterval(100*time.Millisecond),
		jaegerremote.WithInitialSampler(trace.NeverSample()))
	defer sampler.Close()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		sampled := map[string]int{}
		for _, operation := range os.Args[4:] {
			sampled[operation] = countSampled(sampler, operation, decisions)
		}
		if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"sampled": sampled}); err != nil {
			log.Fatal(err)
		}
	}
}

func countSampled(sampler trace.Sampler, operation string, decisions int) (sampled int) {
	for range decisions {
		var id api.TraceID
		rand.Read(id[:])
		result := sampler.ShouldSample(trace.SamplingParameters{
			ParentContext: context.Background(), TraceID: id, Name: operation, Kind: api.SpanKindServer,
		})
		if result.Decision == trace.RecordAndSample {
			sampled++
		}
	}
	return sampled
}
