"""A Flask server that knows nothing of telemetry: `opentelemetry-instrument` instruments it, as OTEL_*
says. It prints its port, and ends on SIGTERM."""

import json
import signal
import sys
import urllib.request

from flask import Flask, request
from werkzeug.serving import make_server

app = Flask(__name__)


@app.get("/hot")
@app.post("/orders/<order>")
def answer(order=None):
    following = request.args.get("next")
    if following:
        urllib.request.urlopen(following, timeout=10).read()
    return "ok"


# An exit by exception lets the SDK send what it has counted.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = make_server("127.0.0.1", 0, app, threaded=True)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
