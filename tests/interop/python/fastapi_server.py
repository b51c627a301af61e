"""A FastAPI server that knows nothing of telemetry: `opentelemetry-instrument` instruments it, as
OTEL_* says. It prints its port, and ends on SIGTERM."""

import json
import signal
import socket
import sys
import urllib.request

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/hot")
@app.post("/orders/{order}")
def answer(order: str = "", next: str = ""):
    if next:
        urllib.request.urlopen(next, timeout=10).read()
    return "ok"


# An exit by exception lets the SDK send what it has counted; uvicorn restores this handler.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
listener = socket.create_server(("127.0.0.1", 0))
print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
