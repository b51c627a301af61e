'use strict';
// Lets Jaeger's own client for Node.js poll a Weir. For each line of its input it starts root spans
// and prints how many of each operation were sampled.
//
// node decide.js ENDPOINT SERVICE DECISIONS OPERATION...

const readline = require('node:readline');
const { initTracer } = require('jaeger-client');

const [endpoint, serviceName, decisions, ...operations] = process.argv.slice(2);
const { hostname, port } = new URL(endpoint);
const tracer = initTracer(
  {
    serviceName,
    sampler: { type: 'remote', param: 0, host: hostname, port: Number(port), refreshIntervalMs: 100 },
  },
  {
    logger: { info() {}, error: (message) => console.error(message) },
    reporter: { report() {}, close(done) { done?.(); }, setProcess() {} },
  },
);

readline.createInterface({ input: process.stdin })
  .on('line', () => {
    const sampled = {};
    for (const operation of operations) {
      sampled[operation] = 0;
      for (let i = 0; i < Number(decisions); i++) {
        const span = tracer.startSpan(operation);
        if (span.context().isSampled()) sampled[operation]++;
        span.finish();
      }
    }
    console.log(JSON.stringify({ sampled }));
  })
  .on('close', () => process.exit(0));
