"""Verifies the chain itself: commits follow each other, runs follow each other, and all of it is signed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from elspeth.audit.chain import digests, signing
from elspeth.audit.chain.layouts import FIRST, Layout, layout_of
from elspeth.audit.connection import Connection
from elspeth.audit.store.commits.order_of_runs import places
from elspeth.audit.verify.findings import Discrepancy
from elspeth.audit.verify.table import NAMED


def links(connection: Connection, run_id: str, key: bytes | None) -> Iterator[Discrepancy]:
    """Each commit follows the one before it, and its digest is the digest of what stands in the two chain tables.

    With the `key`, each commit is signed; those of a layout that did not sign each are followed by one that is.
    """
    parts = connection.execute(
        "SELECT commit_no, table_name, record_count, digest, marks, purgeable_digest, purgeable_marks"
        " FROM commit_tables WHERE run_id = ? ORDER BY commit_no, table_name",
        (run_id,),
    )
    part = parts.fetchone()
    expected, previous, newest, layout_before, reported, refused = 0, None, 0, FIRST.number, 0, 0
    last: tuple[Any, ...] | None = None
    for row in connection.execute(
        "SELECT commit_no, attempt, previous_digest, digest, record_count, committed_at, signature, layout FROM commits"
        " WHERE run_id = ? ORDER BY commit_no",
        (run_id,),
    ):
        number, attempt, before, digest, count, at, signature, named = last = row
        if not isinstance(number, int):
            yield Discrepancy("chain", f"a commit carries the number {number!r}", "commits")
            continue
        tables = []
        while part is not None and (not isinstance(part[0], int) or part[0] <= number):
            if part[0] == number:
                tables.append(digests.TableDigest(*part[1:]))
            else:
                yield Discrepancy(
                    "chain", f"commit_tables names commit {part[0]!r}, which does not exist", "commit_tables"
                )
            part = parts.fetchone()
        layout = layout_of(named)
        wrong = None
        if number != expected:
            wrong = f"commit {expected} is missing: commit {number} stands in its place"
        elif previous is not None and before != previous:
            wrong = f"commit {number} does not follow commit {number - 1}: one of them was changed"
        elif not isinstance(attempt, int) or attempt < newest:
            wrong = f"commit {number} belongs to attempt {attempt!r}, after one of attempt {newest}"
        elif layout is None or layout.number < layout_before:
            wrong = f"commit {number} claims the layout {named!r}, after one of layout {layout_before}"
        elif digest != _digest(before, run_id, attempt, number, at, tables, layout):
            wrong = f"commit {number} is not what was written: its digest does not match"
        elif count != sum(table.record_count for table in tables):
            wrong = f"commit {number} claims {count!r} records, its tables {sum(t.record_count for t in tables)}"
        if wrong and reported < NAMED:
            reported += 1
            yield Discrepancy("chain", wrong, "commits", None, number)
        if key is not None and refused < NAMED:
            bad = unsigned(signature, layout, key, run_id, number, digest)
            refused += bad is not None
            if bad:
                yield Discrepancy("signature", bad, "commits", None, number)
        expected, previous, newest = number + 1, digest, attempt if isinstance(attempt, int) else newest
        layout_before = layout.number if layout else layout_before
    if part is not None:
        yield Discrepancy("chain", f"commit {part[0]!r} is missing: only its tables are left", "commits", None, None)
    if last is None:
        yield Discrepancy("chain", f"run {run_id} has no commits: its chain was removed", "commits")
    elif key is not None and last[-2] is None and layout_of(last[-1]) is FIRST:
        what = f"the head of the chain, commit {last[0]}, is not signed: layout {FIRST.number} signed ends of attempts"
        yield Discrepancy("signature", what, "commits", None, last[0])


def unsigned(
    signature: object, layout: Layout | None, key: bytes, run_id: str, number: int, digest: str | None
) -> str | None:
    """What is wrong with the signature of a commit, None if nothing is."""
    if signature is None:
        # Of a layout that signed the ends of attempts alone, the next signature answers for what is before it.
        return f"commit {number} is not signed" if layout is None or layout.signs_every_commit else None
    if digest is None or not signing.is_signed(signature, key, run_id, number, digest):
        return f"commit {number} is not signed with this key"
    return None


def held_by_later(connection: Connection, run_id: str) -> str | None:
    """A sentence about commits that were not signed each, since their layout did not; None without any."""
    query = (
        "SELECT min(commit_no), max(commit_no), (SELECT min(commit_no) FROM commits WHERE run_id = ?1 AND signature"
        " IS NOT NULL AND commit_no > max(c.commit_no)) FROM commits AS c"
        " WHERE run_id = ?1 AND signature IS NULL AND layout IS NULL"
    )
    first, last, by = connection.execute(query, (run_id,)).fetchone()
    return None if last is None or by is None else held_by(first, last, by)


def held_by(first: int, last: int, by: int) -> str:
    """That commits `first` to `last` hold by the signature of the commit `by` behind them."""
    return (
        f"Commits {first} to {last} are of layout {FIRST.number}, which signed only the end of an attempt:"
        f" they hold by the signature of commit {by}."
    )


def _digest(
    before: Any, run_id: str, attempt: int, number: int, at: Any, tables: list[digests.TableDigest], layout: Layout
) -> str | None:
    try:
        return digests.digest_commit(before, run_id, attempt, number, at, tables, layout)
    except (TypeError, ValueError):
        return None  # values of types that no commit ever had


def unfinished(connection: Connection, run_id: str) -> Iterator[Discrepancy]:
    """A run without an end: what was committed behind its last commit could have been cut off, and nothing tells."""
    ended, number = connection.execute(
        "SELECT status = 'completed' OR completed_at IS NOT NULL,"
        " (SELECT max(commit_no) FROM commits WHERE run_id = ?1) FROM runs WHERE run_id = ?1",
        (run_id,),
    ).fetchone()
    if not ended:
        what = f"run {run_id} has no signed end: a chain that was shortened to commit {number} looks the same"
        yield Discrepancy("unfinished", what, "commits", None, number)


def origin(connection: Connection, run_id: str) -> Iterator[Discrepancy]:
    """Each run's first commit follows the head that another run had at that time, or nothing at all.

    Of a run that was copied here the commit that says so does, whatever it followed where it began.
    """
    known = places(connection)
    first = [place.run_id for place in known if place.follows == digests.GENESIS]
    if len(first) > 1:
        yield Discrepancy("chain", f"{len(first)} runs claim to be the first: {', '.join(first)}", "commits", None, 0)
    wanted = {place.follows: place.run_id for place in known if place.follows != digests.GENESIS}
    owners = _owners(connection, set(wanted))
    for digest, follower in sorted(wanted.items(), key=lambda item: item[1]):
        if digest not in owners:
            about = "this run" if follower == run_id else f"run {follower}"
            what = f"the commit that {about} follows is gone: a run before it was removed or rewritten"
            yield Discrepancy("chain", what, "commits", None, 0)
    # Layout 1 followed the latest id, so that several runs may follow one where a clock was set back.
    seen: dict[str, str] = {}
    for place in known:
        owner = owners.get(place.follows)
        if owner is None or place.layout is None:
            continue
        if owner[0] in seen:
            what = f"runs {seen[owner[0]]} and {place.run_id} both follow run {owner[0]}: one of them was put there"
            yield Discrepancy("chain", what, "commits", None, 0)
        seen[owner[0]] = place.run_id


def in_order(connection: Connection) -> list[str]:
    """The runs in the order in which they began, as the chain has it; clocks are asked only where it does not tell.

    A run that was copied here stands behind the one that it followed where it began, if that is here, too.
    """
    began = dict(connection.execute("SELECT run_id, started_at FROM runs ORDER BY started_at, run_id"))
    known = {place.run_id: place for place in places(connection)}
    owners = _owners(connection, {digest for place in known.values() for digest in (place.follows, place.began_behind)})
    followers: dict[str | None, list[tuple[int, str, str]]] = {}
    for run_id, at in began.items():
        place = known.get(run_id)
        asked = (place.began_behind, place.follows) if place and place.began_behind != digests.GENESIS else ()
        owner, number = next((owners[digest] for digest in asked if digest in owners), (None, 0))
        followers.setdefault(owner, []).append((number, str(at), run_id))
    order: list[str] = []
    waiting = [run for _, _, run in sorted(followers.get(None, ()))]
    while waiting:
        run_id = waiting.pop(0)
        if run_id not in order:
            order.append(run_id)
            waiting += [run for _, _, run in sorted(followers.get(run_id, ()))]
    return order + [run_id for run_id in began if run_id not in order]


def _owners(connection: Connection, wanted: set[str]) -> dict[str, tuple[str, int]]:
    """The run and commit that have these digests."""
    found = {}
    for digest, run_id, number in connection.execute("SELECT digest, run_id, commit_no FROM commits"):
        if digest in wanted:
            found[digest] = (run_id, number)
            if len(found) == len(wanted):
                break
    return found
