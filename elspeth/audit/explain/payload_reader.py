"""What was kept of a row's data: inline, in the payload store, or no longer; and what changed between two rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NO_LONGER_KEPT = "no longer kept"

Explained = dict[str, Any]


class PayloadReader:
    """Reads the data that records hold or refer to.

    `bases` are folders in which the payload store of the run may be; `purged` says whether its data was purged, so that
    a payload that is gone is told from one that was lost.
    """

    def __init__(self, bases: tuple[Path, ...], *, purged: bool) -> None:
        self._bases = bases
        self._purged = purged

    def read(self, text: str | None, reference: str | None) -> Explained:
        """`{"values": ..., "kept": ...}`: the data, and where it was; `values` is None where it cannot be shown."""
        if text is not None:
            return {"values": json.loads(text), "kept": "inline"}
        if reference is None:
            return {"values": None, "kept": NO_LONGER_KEPT}
        return self._payload(reference)

    def _payload(self, reference: str) -> Explained:
        from elspeth.payloads import PayloadStore, is_reference  # most rows are small enough to stand in the database

        if not is_reference(reference):
            return {"values": None, "kept": "unknown: what is recorded is no reference into the payload store"}
        for base in self._bases:
            try:
                return {"values": json.loads(PayloadStore(base).get(reference)), "kept": "payload store"}
            except FileNotFoundError:
                continue
            except ValueError:
                return {
                    "values": None,
                    "kept": f"changed since in the payload store: {PayloadStore(base).path(reference)}",
                }
            except OSError as error:
                return {"values": None, "kept": f"cannot be read from the payload store: {error}"}
        if self._purged:
            return {"values": None, "kept": NO_LONGER_KEPT}
        where = " and ".join(str(base) for base in self._bases)
        return {"values": None, "kept": f"missing from the payload store {where}"}


def bases_of(settings_json: str, working_directory: str) -> tuple[Path, ...]:
    """The folders in which a run's payload store may be: as recorded, and the same below the working directory."""
    try:
        section = json.loads(settings_json).get("payload_store") or {}
    except (ValueError, AttributeError):
        section = {}
    base = Path(section.get("base_path") or "state/payloads")
    return tuple(dict.fromkeys((Path(working_directory) / base, base)))


def differences(before: Any, after: Any, place: str = "") -> list[Explained]:
    """What a node changed: `{"field", "change", "before", "after"}` each; fields inside of fields are named by path."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [] if _same(before, after) else [_change(place, "changed", before=before, after=after)]
    found: list[Explained] = []
    for key in [*before, *(key for key in after if key not in before)]:
        name = f"{place}.{key}" if place else key
        if key not in after:
            found.append(_change(name, "removed", before=before[key]))
        elif key not in before:
            found.append(_change(name, "added", after=after[key]))
        elif isinstance(before[key], dict) and isinstance(after[key], dict):
            found += differences(before[key], after[key], name)
        elif not _same(before[key], after[key]):
            found.append(_change(name, "changed", before=before[key], after=after[key]))
    return found


def _same(before: Any, after: Any) -> bool:
    return type(before) is type(after) and bool(before == after)


def _change(field: str, change: str, **values: Any) -> Explained:
    return {"field": field, "change": change, **values}
