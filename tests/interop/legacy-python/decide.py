"""Lets Jaeger's own client for Python poll a Weir. For each line of its input it takes decisions and
prints how many of each operation it sampled.

python decide.py ENDPOINT SERVICE DECISIONS OPERATION...
"""

import json
import logging
import os
import random
import sys
from urllib.parse import urlsplit

from jaeger_client.local_agent_net import LocalAgentSender
from jaeger_client.sampler import ConstSampler, RemoteControlledSampler

logging.basicConfig(stream=sys.stderr)
endpoint, service, decisions, *operations = sys.argv[1:]
weir = urlsplit(endpoint)
sampler = RemoteControlledSampler(
    channel=LocalAgentSender(
        host=weir.hostname, sampling_port=weir.port, reporting_port=weir.port
    ),
    service_name=service,
    logger=logging.getLogger("sampler"),
    init_sampler=ConstSampler(False),
    sampling_refresh_interval=0.1,
)
for _ in sys.stdin:
    sampled = {
        operation: sum(
            sampler.is_sampled(random.getrandbits(64), operation)[0]
            for _ in range(int(decisions))
        )
        for operation in operations
    }
    print(json.dumps({"sampled": sampled}), flush=True)
# The client's own thread does not end by itself.
os._exit(0)
