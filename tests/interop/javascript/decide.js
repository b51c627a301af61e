'use strict';
// Lets the OpenTelemetry Jaeger remote sampler poll a Weir. For each line of its input it takes
// decisions and prints how many of each operation it sampled.
//
// node decide.js ENDPOINT SERVICE DECISIONS OPERATION...

const crypto = require('node:crypto');
const readline = require('node:readline');
const { ROOT_CONTEXT, SpanKind, diag, DiagLogLevel } = require('@opentelemetry/api');
const { JaegerRemoteSampler } = require('@opentelemetry/sampler-jaeger-remote');
const { AlwaysOffSampler, SamplingDecision } = require('@opentelemetry/sdk-trace');

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
  poolingInterval: 100,
});

readline.createInterface({ input: process.stdin })
  .on('line', () => {
    const sampled = {};
    for (const operation of operations) {
      sampled[operation] = countSampled(sampler, operation, Number(decisions));
    }
    console.log(JSON.stringify({ sampled }));
  })
  .on('close', () => process.exit(0));
