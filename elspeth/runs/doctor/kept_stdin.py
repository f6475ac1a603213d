"""What came by standard input for runs that never began: row data that nobody would look for."""

from __future__ import annotations

from elspeth.audit.explain.payload_reader import bases_of
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.place import Place
from elspeth.runs.doctor.findings import Findings
from elspeth.runs.lifecycle.stdin_spool import leftovers


def note_kept(reader: AuditReader, database: Place, findings: Findings) -> None:
    """Note each file beside the payload stores of this database's runs that no run will read any more."""
    places = {
        base.parent.absolute()
        for run in reader.runs()
        for base in bases_of(run.settings_json, run.working_directory)[:1]
    }
    for place in sorted(places):
        for path in leftovers(place, database):
            findings.add(
                "standard input", "note", f"{path} holds {path.stat().st_size:,} bytes that no run will read any more",
                "it goes when a run that reads standard input is complete", next_step=f"rm {path}",
            )  # fmt: skip
