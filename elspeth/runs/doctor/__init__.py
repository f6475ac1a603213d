"""The doctor: which runs are stuck, what would stop a resume of each, what to type, and what can be done at once."""

from __future__ import annotations

from elspeth.runs.doctor.findings import Finding
from elspeth.runs.doctor.repair import fix, mark_failed
from elspeth.runs.doctor.report import Act, Report, RunReport
from elspeth.runs.doctor.survey import survey_database

__all__ = ["Act", "Finding", "Report", "RunReport", "fix", "mark_failed", "survey_database"]
