"""Makes made-up reports true where a schema cannot: in time, in sums, in their encoding.

Only what is valid by its schema is touched, so that Weir has to take it.
"""

import gzip
import json
from datetime import datetime, timedelta, timezone

import schemathesis
import zstandard

COMPRESS = {"gzip": gzip.compress, "zstd": zstandard.compress}


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.operation.label != "POST /v1/reports" or case.meta is None:
        return
    if not all(part.mode.is_positive for part in case.meta.components.values()):
        return
    make_true(case.body)
    encoding = (case.headers or {}).get("Content-Encoding")
    if encoding in COMPRESS:
        kwargs["data"] = COMPRESS[encoding](json.dumps(case.body).encode())


def make_true(report):
    """The rules that stand in the descriptions."""
    just_now = datetime.now(timezone.utc) - timedelta(seconds=1)
    report["window_start"] = just_now.isoformat()
    # At most 60 intervals, of a second here.
    report["window_seconds"] = min(report["window_seconds"], 30)
    report["sequence"] = int(report["sequence"])
    report["agent"] = shortened(report["agent"], 256)
    report["services"] = distinct(report["services"], "service", 256)
    for service in report["services"]:
        if "instances" in service:
            service["instances"] = int(service["instances"])
        service["operations"] = distinct(service["operations"], "operation", 512)
        for operation in service["operations"]:
            operation["offered"] = int(operation["offered"])
            operation["sampled"] = min(int(operation["sampled"]), operation["offered"])


def distinct(entries, name, longest):
    """The entries of different names, which are at most so many bytes long."""
    for entry in entries:
        entry[name] = shortened(entry[name], longest)
    return list({entry[name]: entry for entry in entries}.values())


def shortened(name, longest):
    return name.encode()[:longest].decode(errors="ignore")
