'use strict';
// Lets OpenTelemetry's X-Ray sampler follow a Weir. For each line of its input it takes decisions
// about requests of each method and prints how many it sampled. METHOD?KEY=VALUE has an attribute more.
//
// node decide.js ENDPOINT SERVICE DECISIONS METHOD...

const crypto = require('node:crypto');
const http = require('node:http');
const readline = require('node:readline');
const { setTimeout: pause } = require('node:timers/promises');
const { ROOT_CONTEXT, SpanKind, diag, DiagLogLevel } = require('@opentelemetry/api');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { AWSXRayRemoteSampler } = require('@opentelemetry/sampler-aws-xray');
const { SamplingDecision } = require('@opentelemetry/sdk-trace');

// The sampler says through this channel alone that it got no rules.
diag.setLogger(
  { error: fail, warn() {}, info() {}, debug() {}, verbose() {} },
  DiagLogLevel.ERROR,
);

function fail(...reasons) {
  console.error(...reasons);
  process.exit(1);
}

// The sampler has no rules before the first answer, and forgets what it counts while it waits for
// targets.
async function answered() {
  while (Object.keys(http.globalAgent.sockets).length > 0) await pause(1);
}

function countSampled(request, decisions) {
  const [method, ...tags] = request.split(/[?=]/);
  const attributes = { 'http.request.method': method };
  if (tags.length) attributes[tags[0]] = tags[1];
  let sampled = 0;
  for (let i = 0; i < decisions; i++) {
    const { decision } = sampler.shouldSample(
      ROOT_CONTEXT, crypto.randomBytes(16).toString('hex'), method, SpanKind.SERVER,
      attributes, [],
    );
    if (decision === SamplingDecision.RECORD_AND_SAMPLED) sampled++;
  }
  return sampled;
}

const [endpoint, service, decisions, ...methods] = process.argv.slice(2);
const sampler = new AWSXRayRemoteSampler({
  resource: resourceFromAttributes({ 'service.name': service }),
  endpoint,
});
readline.createInterface({ input: process.stdin })
  .on('line', async () => {
    await answered();
    const sampled = {};
    for (const method of methods) sampled[method] = countSampled(method, Number(decisions));
    console.log(JSON.stringify({ sampled }));
  })
  .on('close', () => process.exit(0));
