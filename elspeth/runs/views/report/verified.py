"""Whether the evidence of a run held when a report was made."""

from __future__ import annotations

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.verify.outputs import payload_findings
from elspeth.audit.verify.run import verify_run
from elspeth.canonical import JsonObject
from elspeth.clock import utc_now

MOST = 20


def verified(reader: AuditReader, run_id: str, key: bytes | None) -> JsonObject:
    """When it was verified, whether it holds, and what does not. That a run has no end is no fault of its evidence."""
    found = [each for each in verify_run(reader, run_id, key) if each.kind != "unfinished"]
    if not any(each.kind == "schema" for each in found):
        found += payload_findings(reader.connection, run_id)
    return {"at": utc_now(), "holds": not found, "findings": [each.sentence for each in found[:MOST]]}
