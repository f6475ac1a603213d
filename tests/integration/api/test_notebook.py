"""A notebook, in a real kernel: a run is carried out in one, interrupted, resumed, asked and shown."""

from __future__ import annotations

import warnings
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.processes.running import pausing
from tests.kit.processes.waiting import PATIENCE_SECONDS

CELLS = (
    "import elspeth\nfinished = elspeth.run('pipeline.yaml')\nfinished",
    "rows = finished.to_pandas()\nprint(len(rows), finished.counts().rows)",
    "finished.to_polars('outcomes')",
    "import os, signal, pathlib\n"
    "os.chdir('pausing')\n"
    "def stop(progress):\n"
    "    if pathlib.Path('reached').exists():\n"
    "        pathlib.Path('reached').unlink()\n"
    "        os.kill(os.getpid(), signal.SIGINT)\n"
    "try:\n"
    "    elspeth.run('pipeline.yaml', watch=stop, set={'supervisor.shutdown_seconds': 0.5})\n"
    "except elspeth.ElspethError as error:\n"
    "    print(type(error).__name__, error.exit_code)",
    "pathlib.Path('go').touch()\nprint(elspeth.resume('latest').status)",
    "elspeth.run('missing.yaml')",
)


def test_a_notebook_runs_resumes_asks_and_shows(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "run", DECIDING)
    (folder / "pausing").mkdir()
    pausing(folder / "pausing", 20)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that are not ours
        client = NotebookClient(
            notebook,
            timeout=int(PATIENCE_SECONDS),
            startup_timeout=int(PATIENCE_SECONDS),
            allow_errors=True,
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute()
    shown, counted, frame, stopped, resumed, refused = (cell.outputs for cell in notebook.cells)
    (report,) = [output.data["text/html"] for output in shown if output.output_type == "execute_result"]
    assert report.startswith('<iframe sandbox="allow-scripts"')
    assert "Elspeth run" in report
    (text,) = [output.text for output in counted if output.output_type == "stream"]
    assert len(set(text.split())) == 1
    assert "quarantined" in frame[-1].data["text/plain"]
    assert "Interrupted 130" in "".join(output.text for output in stopped if output.output_type == "stream")
    assert "completed" in "".join(output.text for output in resumed if output.output_type == "stream")
    (error,) = [output for output in refused if output.output_type == "error"]
    assert error.ename in ("SettingsProblems", "SettingsError")
    assert "missing.yaml" in error.evalue
