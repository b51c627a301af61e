"""Lets the X-Ray sampler of AWS's distribution of OpenTelemetry follow a Weir. For each line of its
input it takes decisions about requests of each method and prints how many it sampled.
METHOD?KEY=VALUE has an attribute more.

python decide.py ENDPOINT SERVICE DECISIONS METHOD...
"""

import json
import logging
import random
import sys
import threading

from amazon.opentelemetry.distro.sampler.aws_xray_remote_sampler import (
    AwsXRayRemoteSampler,
)
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind

logging.basicConfig(stream=sys.stderr)
endpoint, service, decisions, *methods = sys.argv[1:]
sampler = AwsXRayRemoteSampler(Resource({"service.name": service}), endpoint)


def count_sampled(request):
    method, _, tag = request.partition("?")
    attributes = {"http.request.method": method}
    if tag:
        attributes.update([tag.split("=")])
    return sum(
        sampler.should_sample(
            Context(), random.getrandbits(128), method, SpanKind.SERVER, attributes
        ).decision.is_sampled()
        for _ in range(int(decisions))
    )


# It has no rules before the first answer, which a timer that fires at once waits for.
for timer in threading.enumerate():
    if isinstance(timer, threading.Timer) and timer.interval == 0:
        timer.join()
for _ in sys.stdin:
    sampled = {method: count_sampled(method) for method in methods}
    print(json.dumps({"sampled": sampled}), flush=True)
