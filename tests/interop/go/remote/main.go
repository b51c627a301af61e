// Asks a Weir for a strategy with Jaeger's own generated gRPC client, as whoever has Weir as its
// source.remote does, and prints the probabilities.
//
//	remote HOST:PORT SERVICE
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/jaegertracing/jaeger-idl/proto-gen/api_v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func main() {
	connection, err := grpc.NewClient(os.Args[1],
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	answer, err := api_v2.NewSamplingManagerClient(connection).GetSamplingStrategy(
		context.Background(), &api_v2.SamplingStrategyParameters{ServiceName: os.Args[2]})
	if err != nil {
		log.Fatal(err)
	}
	operations := map[string]float64{}
	for _, strategy := range answer.OperationSampling.PerOperationStrategies {
		operations[strategy.Operation] = strategy.ProbabilisticSampling.SamplingRate
	}
	err = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"default":    answer.OperationSampling.DefaultSamplingProbability,
		"operations": operations,
	})
	if err != nil {
		log.Fatal(err)
	}
}
