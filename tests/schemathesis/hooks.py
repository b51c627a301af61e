"""Makes made-up reports true where a schema cannot: in time, in sums, in their encoding.

Only what is valid by its schema is touched, so that Weir has to take it.

With WEIR_ROLE, a check holds every answer to the role that its operation needs.
"""

import gzip
import json
import os
from datetime import datetime, timedelta, timezone

import schemathesis
import zstandard

# The bodies that may be compressed as their heads say.
ENCODED = {"POST /v1/reports", "POST /v1/metrics", "POST /v1/traces", "POST /v1/logs"}
COMPRESS = {"gzip": gzip.compress, "zstd": zstandard.compress}


# A long poll may wait for longer than schemathesis waits for an answer.
WAITS = "GET /v1/edges/plan"
WAIT_MAX = 30


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.operation.label == WAITS:
        wait = str((case.query or {}).get("wait", ""))
        if wait.isdecimal() and 1 < int(wait) <= WAIT_MAX:
            case.query["wait"] = 1
    if case.operation.label not in ENCODED or case.meta is None:
        return
    if not all(part.mode.is_positive for part in case.meta.components.values()):
        return
    if case.operation.label == "POST /v1/reports":
        make_true(case.body)
    encoding = (case.headers or {}).get("Content-Encoding")
    if encoding in COMPRESS:
        body = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
        kwargs.pop("json", None)
        kwargs["data"] = COMPRESS[encoding](body)


# What each role is enough for, by what an operation needs (`x-weir-role`).
ENOUGH = {
    "none": set(),
    "agent": {"agent"},
    "viewer": {"viewer"},
    "operator": {"viewer", "operator"},
    "admin": {"viewer", "operator", "admin"},
}

# Whoever is known may ask who they are.
FOR_ANYONE = {"GET /v1/me", "POST /logout"}


@schemathesis.check
def keeps_to_its_role(context, response, case):
    """Who has not the role gets nothing but a refusal that says so, and who has it is not refused for it."""
    role = os.environ.get("WEIR_ROLE")
    operation = case.operation
    needed = operation.definition.raw.get("x-weir-role")
    if role is None or needed is None or case.method.upper() != operation.method.upper():
        return
    status = response.status_code
    if operation.label in FOR_ANYONE:
        assert role != "none" or status == 401, f"{status} without a token"
    elif needed not in ENOUGH[role]:
        expected = 401 if role == "none" else 403
        # A head or a body that cannot be read is refused before the token is looked at.
        assert status in (expected, 400, 408, 413, 417, 421, 429), f"{status} for role {role}"
        if status == expected:
            told = set(response.json())
            assert told <= {"type", "title", "status", "detail"}, f"the refusal says {told}"
    else:
        assert status not in (401, 403), f"{status} for role {role}, which is enough"


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
