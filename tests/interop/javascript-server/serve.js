'use strict';
// An Express server with the published auto-instrumentation, configured by OTEL_*. If
// SAMPLER_ENDPOINT is set, it asks that Weir for its probabilities. It prints its port, and ends on
// SIGTERM.

const { NodeSDK } = require('@opentelemetry/sdk-node');
const { getNodeAutoInstrumentations } = require('@opentelemetry/auto-instrumentations-node');
const { JaegerRemoteSampler } = require('@opentelemetry/sampler-jaeger-remote');
const { ParentBasedSampler, TraceIdRatioBasedSampler } = require('@opentelemetry/sdk-trace');

const endpoint = process.env.SAMPLER_ENDPOINT;
const sampler = endpoint && new ParentBasedSampler({
  root: new JaegerRemoteSampler({
    endpoint,
    serviceName: process.env.OTEL_SERVICE_NAME,
    initialSampler: new TraceIdRatioBasedSampler(0.01),
    poolingInterval: 1000,
  }),
});
const sdk = new NodeSDK({ sampler, instrumentations: [getNodeAutoInstrumentations()] });
sdk.start();

const express = require('express');
const http = require('node:http');

async function answer(request, response) {
  const { next } = request.query;
  if (next) await new Promise((done, failed) => {
    http.get(next, (answered) => answered.resume().on('end', done)).on('error', failed);
  });
  response.send('ok');
}

const app = express();
app.get('/hot', answer);
app.post('/orders/:order', answer);
const server = app.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: server.address().port }));
});
process.on('SIGTERM', async () => {
  await sdk.shutdown();
  process.exit(0);
});
