"""`elspeth doctor`: which runs are stuck, what would stop a resume of each, and the command to type."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import click

from elspeth.audit.query.locate import VARIABLE, locate
from elspeth.audit.store.place import place_of
from elspeth.cli import completion, output
from elspeth.cli.context import (
    CliContext,
    Examples,
    database_option,
    dotenv_option,
    json_option,
    pass_context,
    reason_option,
)
from elspeth.cli.view.error_text import next_step
from elspeth.cli.view.logs import Log
from elspeth.cli.view.status_style import style_of
from elspeth.errors import EXIT_FAILED, EXIT_OK, ElspethError, Temporary
from elspeth.runs import doctor
from elspeth.runs.doctor import Act, Finding, Report, RunReport
from elspeth.runs.lifecycle.driver import changes

LISTED, TOLD = 10, 2
"""Runs in the table; and, where there are more, runs of which all is told: it is to fit a screen."""

_STYLES = {"wrong": "red", "note": "yellow", "ok": "green"}


@click.command(
    "doctor",
    cls=Examples,
    epilog="""
        elspeth doctor
        elspeth doctor --fix
        elspeth doctor --mark-failed mf3k2a9x --reason "the input was wrong"
    """,
)
@click.option("--fix", is_flag=True, help="Mark orphans `interrupted`, and kill the processes left over from them.")
@click.option(
    "--mark-failed",
    metavar="RUN_ID",
    shell_complete=completion.runs(unfinished=True),
    help="Give this run up: it becomes `failed` and cannot be resumed any more.",
)
@click.option(
    "--patience", type=click.FloatRange(min=0), default=60.0, metavar="SECONDS", show_default=True,
    help="How long to watch a heartbeat where nothing else tells whether a run lives.",
)  # fmt: skip
@reason_option
@database_option
@dotenv_option
@json_option
@pass_context
def command(context: CliContext, fix: bool, mark_failed: str | None, patience: float, reason: str | None) -> int:
    """Show every run that is not finished, with what is true of it, and all that would stop a resume.

    Changes nothing unless it is told to. Exits with 0 if nothing is wrong, with 1 if something is.
    """
    if fix and mark_failed:
        raise click.UsageError("give either --fix or --mark-failed RUN_ID")
    log = Log(context.log_format)
    try:
        database = locate(context.database, os.environ, Path.cwd())
    except Temporary as error:  # it is there and cannot be read now: that is what is wrong
        named = context.database or os.environ.get(VARIABLE)
        place = place_of(named) if named else Path()
        return _render(context, Report(place, (Finding.of("database", error),), ()))
    if mark_failed is not None:
        return _gave_up(
            context, doctor.mark_failed(database, mark_failed, reason=reason, patience=patience, notify=log.notify)
        )
    acts: tuple[Act, ...] = ()
    with contextlib.redirect_stdout(sys.stderr):  # plugin files are loaded, and may print
        if fix:
            acts = tuple(doctor.fix(database, reason=reason, patience=patience, notify=log.notify))
        report = doctor.survey_database(database, dotenv=context.dotenv, patience=patience, notify=log.notify)
    return _render(context, replace(report, acts=acts))


def _render(context: CliContext, report: Report) -> int:
    code = EXIT_OK if report.healthy else EXIT_FAILED
    if context.json:
        value = report.to_value()
        for run in value["runs"]:
            run["next_command"] = _typed(run["next_command"], context)
        output.result_json(value | {"exit_code": code})
    else:
        output.result("\n".join(_words(report, context)))
    return code


def _gave_up(context: CliContext, act: Act) -> int:
    if context.json:
        output.result_json({"acts": [act.to_value()], "exit_code": EXIT_OK})
    else:
        output.result(_act(act))
    return EXIT_OK


def _words(report: Report, context: CliContext) -> Iterator[str]:
    yield f"Audit database {report.database}"
    for act in report.acts:
        yield _act(act)
    if any(finding.level != "ok" for finding in report.findings):
        yield ""
        yield from _findings(report.findings, context)
    if report.runs:
        yield ""
        rows = [(run.assessment.run.run_id, run.assessment.run.status, _verdict(run), run.evidence, _place(run))
                for run in report.runs[:LISTED]]  # fmt: skip
        heads = ["run", "status", "verdict", "because", "continues at"]
        yield output.table(heads, rows, styles={"status": style_of, "verdict": style_of})
        if rest := report.runs[LISTED:]:
            kinds = Counter(_verdict(run) for run in rest).most_common()
            listed = ", ".join(f"{number:,} {verdict}" for verdict, number in kinds)
            yield f"and {output.count(len(rest), 'older run')}: {listed}. All of them are told with --json."
    for run in report.runs[: LISTED if len(report.runs) <= LISTED else TOLD]:
        yield ""
        yield f"{run.assessment.run.run_id} is {output.styled(_verdict(run), style_of(_verdict(run)))}"
        for attempt, driver in changes(run.drivers, run.assessment.run.attempt).items():
            yield f"  driver    {f'from attempt {attempt} on: ' if attempt > 1 else ''}{driver}"
        yield from _findings(run.findings, context)
        yield f"  Next: {_typed(run.next_command, context)}"
    yield ""
    yield _sum(report)


def _verdict(run: RunReport) -> str:
    return run.state.replace("_", " ")


def _place(run: RunReport) -> str:
    age = run.age_seconds
    if run.rows is None or age is None:
        return "no checkpoint"
    when = f"{output.seconds(age)} ago" if age >= 0 else "later than this clock"
    return f"row {run.rows:,}, {when}"


def _findings(findings: Iterable[Finding], context: CliContext) -> Iterator[str]:
    findings = list(findings)
    well = list(dict.fromkeys(finding.check for finding in findings))
    troubled = {finding.check for finding in findings if finding.level == "wrong"}
    if in_order := [check for check in well if check not in troubled]:
        yield f"  {output.styled('in order', 'green')}  {', '.join(in_order)}"
    for finding in findings:
        if finding.level == "ok":
            continue
        yield f"  {output.styled(f'{finding.level:<8}', _STYLES[finding.level])}  {finding.check}: {finding.message}"
        for detail in finding.details:
            yield from (f"            {line}" for line in detail.splitlines())
        if finding.next_step:
            yield f"            Next: {_typed(finding.next_step, context)}"


def _act(act: Act) -> str:
    about = f"Run {act.run_id}: " if act.run_id else ""
    return f"{about}{act.message}" + (f": {act.error}" if act.error else "")


def _sum(report: Report) -> str:
    wrong = sum(run.wrong for run in report.runs)
    undone = sum(bool(act.error) for act in report.acts)
    if report.healthy:
        waiting = sum(run.state == "stopped" for run in report.runs)
        rest = f" {output.count(waiting, 'run')} can be resumed." if waiting else ""
        return output.styled("Nothing is wrong.", "green") + rest
    if wrong:
        return output.styled(
            f"{output.count(wrong, 'unfinished run')} {'needs' if wrong == 1 else 'need'} attention.", "red"
        )
    if undone and not any(finding.level == "wrong" for finding in report.findings):
        return output.styled(f"{output.count(undone, 'thing')} could not be done.", "red")
    return output.styled("The audit database needs attention.", "red")


def _typed(step: str, context: CliContext) -> str:
    """A next step, naming the audit database where the command line had to name it."""
    return next_step(ElspethError("", next_step=step), context)
