'use strict';
// Lets the OpenTelemetry Jaeger remote sampler poll a Weir, takes decisions with it, and prints
// how many of each operation it sampled.
//
// node sample.js ENDPOINT SERVICE DECISIONS OPERATION...

const crypto = require('node:crypto');
const { ROOT_CONTEXT, SpanKind, diag, DiagLogLevel } = require('@opentelemetry/api');
const { JaegerRemoteSampler } = require('@opentelemetry/sampler-jaeger-remote');
const { AlwaysOffSampler, SamplingDecision } = require('@opentelemetry/sdk-trace');

const POLLING_INTERVAL_MILLISECONDS = 100;
const DEADLINE_MILLISECONDS = 30000;

// The sampler says through this channel alone that it could not use an answer.
diag.setLogger(
  { error: fail, warn: fail, info() {}, debug() {}, verbose() {} },
  DiagLogLevel.WARN,
);

function fail(...reasons) {
  console.error(...reasons);
  process.exit(1);
}

function countSampled(sampler, operation, decisions) {
  let sampled = 0;
  for (let i = 0; i < decisions; i++) {
    const traceId = crypto.randomBytes(16).toString('hex');
    const { decision } = sampler.shouldSample(
      ROOT_CONTEXT, traceId, operation, SpanKind.SERVER, {}, [],
    );
    if (decision === SamplingDecision.RECORD_AND_SAMPLED) sampled++;
  }
  return sampled;
}

const [endpoint, serviceName, decisions, ...operations] = process.argv.slice(2);
const sampler = new JaegerRemoteSampler({
  endpoint,
  serviceName,
  initialSampler: new AlwaysOffSampler(),
  poolingInterval: POLLING_INTERVAL_MILLISECONDS,
});
const initial = sampler.toString();

setTimeout(() => fail('no strategy was taken over; the sampler is', initial), DEADLINE_MILLISECONDS);
setInterval(() => {
  if (sampler.toString() === initial) return;
  const counts = {};
  for (const operation of operations) {
    counts[operation] = countSampled(sampler, operation, Number(decisions));
  }
  console.log(JSON.stringify({ sampler: sampler.toString(), sampled: counts }));
  process.exit(0);
}, POLLING_INTERVAL_MILLISECONDS);
