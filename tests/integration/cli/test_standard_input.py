"""Standard input as a source: kept before the run begins, read from there whatever dies, then gone."""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from tests.kit.compressed import PACK
from tests.kit.processes.running import ELSPETH, elspeth, environment, killed_before_its_end, tree, wait_until
from tests.kit.processes.waiting import PATIENCE_SECONDS

SETTINGS = """\
source:
  plugin: csv
  options: {path: "-", schema: {mode: free, fields: ["id: int"]}}
  on_validation_failure: bad
sinks:
  out: {plugin: csv, options: {path: output/out.csv}}
  bad: {plugin: json, options: {path: output/bad.jsonl}}
default_sink: out
"""
TEXT = b"id,n\n1,a\n2,b\nbad\n3,c\n"
OUT = b"id,n\r\n1,a\r\n2,b\r\n3,c\r\n"
RUN = ("run", "--execute")


def settings(folder: Path, plugin: str = "csv", **options: object) -> None:
    wanted = json.dumps({"path": "-", **options})
    folder.joinpath("pipeline.yaml").write_text(
        f"source: {{plugin: {plugin}, options: {wanted}, on_validation_failure: bad}}\n" + SETTINGS.split("\n", 4)[4]
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipeline.yaml").write_text(SETTINGS)
    return tmp_path


def piped(
    *words: str, given: bytes, cwd: Path, preexec: object = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [ELSPETH, *words], cwd=cwd, env=environment(**variables), input=given, capture_output=True,
        timeout=PATIENCE_SECONDS, preexec_fn=preexec,
    )  # type: ignore[call-overload]  # fmt: skip
    out, err = (stream.decode() for stream in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, out, " ".join(err.split()))


def kept(folder: Path) -> list[Path]:
    place = folder / "state" / "stdin"
    return sorted(place.iterdir()) if place.exists() else []


def killed(folder: Path, point: str, given: bytes = TEXT) -> None:
    done = piped(*RUN, given=given, cwd=folder, CRASH_POINT=f"{point}:1:{folder / 'mark'}")
    assert done.returncode == -9, done.stderr


def killed_at_work(folder: Path, given: bytes = TEXT) -> None:
    """A run that has committed a row, and has more to do."""
    killed_before_its_end(folder, *RUN, given=given)


# -- what comes in -------------------------------------------------------------------------------------------------


def test_what_is_piped_in_is_read_as_a_file_is_and_nothing_of_it_stays(folder: Path) -> None:
    done = piped(*RUN, given=TEXT, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "output/out.csv").read_bytes() == OUT
    assert kept(folder) == []
    assert "Read from standard input, line 3," in elspeth("explain", "--run", "latest", "--row", "1", cwd=folder).stdout
    assert elspeth("verify", "latest", "--outputs", cwd=folder).returncode == 0
    (folder / "in.csv").write_bytes(TEXT)
    (folder / "pipeline.yaml").write_text(SETTINGS.replace('"-"', "in.csv"))
    first = tree(folder / "output")
    assert elspeth(*RUN, "--force-new", cwd=folder).returncode == 0
    assert tree(folder / "output") == first


@pytest.mark.parametrize(
    ("plugin", "options", "given"),
    [
        ("csv", {}, b"id,n\n1,a\n2,b\n"),
        ("csv", {"compression": "gzip"}, PACK[".gz"](b"id,n\n1,a\n") + PACK[".gz"](b"2,b\n")),
        ("csv", {"compression": "xz"}, PACK[".xz"](b"id,n\n1,a\n2,b\n")),
        ("csv", {"compression": "bzip2"}, PACK[".bz2"](b"id,n\n1,a\n2,b\n")),
        ("csv", {"compression": "zstd"}, PACK[".zst"](b"id,n\n1,a\n2,b\n")),
        ("json", {}, b'[{"id": "1", "n": "a"}, {"id": "2", "n": "b"}]'),
        ("json", {"format": "jsonl"}, b'{"id": "1", "n": "a"}\n{"id": "2", "n": "b"}\n'),
        ("json", {"format": "concatenated"}, b'{"id": "1",\n "n": "a"} {"id": "2", "n": "b"}'),
        ("text", {"column": "n"}, b"a\nb\n"),
    ],
)
def test_every_format_comes_by_standard_input(plugin: str, options: dict, given: bytes, folder: Path) -> None:
    settings(folder, plugin, file_field="file", **options)
    done = piped(*RUN, given=given, cwd=folder)
    assert done.returncode == 0, done.stderr
    lines = (folder / "output/out.csv").read_text().splitlines()
    assert lines == (["n,file", "a,-", "b,-"] if plugin == "text" else ["id,n,file", "1,a,-", "2,b,-"])


def test_more_than_a_block_comes_through_a_slow_pipe(folder: Path) -> None:
    given = b"id,n\n" + b"".join(b"%d,%s\n" % (number, b"x" * 90) for number in range(30_000))
    assert len(given) > 2 << 20
    done = piped(*RUN, given=given, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "output/out.csv").read_bytes() == given.replace(b"\n", b"\r\n")


# -- who only looks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("validate",), ("run",), ("run", "-n"), ("graph", "--settings", "pipeline.yaml")])
def test_who_only_looks_takes_nothing_of_it(words: tuple[str, ...], folder: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, TEXT)
    os.close(writing)
    before = tree(folder)
    done = subprocess.run([ELSPETH, *words], cwd=folder, env=environment(), stdin=reading, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert tree(folder) == before
    if words[0] == "run":
        assert b"standard input" in done.stdout
    assert os.read(reading, 1000) == TEXT
    os.close(reading)


def test_a_trial_says_to_give_a_file(folder: Path) -> None:
    (folder / "plugin.py").write_text(
        "from elspeth.plugins.contract import Transform\n\n\nclass Ask(Transform):\n    name = 'ask'\n\n"
        "    def providers(self):\n        return {'p': ['http']}\n\n"
        "    def process(self, row, ctx):\n        return row\n"
    )
    (folder / "pipeline.yaml").write_text(
        SETTINGS + "plugins: [plugin.py]\ntransforms: [{plugin: ask}]\n"
        "providers: {p: {kind: http, base_url: 'http://localhost:1'}}\n"
    )
    done = piped("try", given=TEXT, cwd=folder)
    assert done.returncode == 2
    assert "standard input is taken by a run alone" in done.stderr
    assert "--set source.options.path=FILE" in done.stderr


def test_a_terminal_is_told_to_pipe_something_in(folder: Path) -> None:
    main, side = pty.openpty()
    before = tree(folder)
    done = subprocess.run(
        [ELSPETH, *RUN], cwd=folder, env=environment(), stdin=side, capture_output=True, timeout=PATIENCE_SECONDS
    )
    os.close(main)
    os.close(side)
    assert done.returncode == 2
    assert b"standard input, which is a terminal here" in done.stderr
    assert tree(folder) == before


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "options", "code", "words"),
    [
        (b"", {"on_empty": "refuse"}, 2, "is empty (0 bytes), and its on_empty is refuse"),
        (PACK[".gz"](TEXT), {}, 2, "is compressed with gzip, not text"),
        (TEXT, {"compression": "gzip"}, 2, "is to be gzip, and it begins with"),
        (PACK[".gz"](TEXT)[:-9], {"compression": "gzip"}, 75, "ends in the middle: it is cut off behind"),
        (b"id;n\n1;a\n", {}, 2, "has a header of one field, 'id;n', with ';' in it"),
        (b"id,id\n1,a\n", {}, 2, "its header, in line 1, cannot be used"),
        (b"n\na\n", {"schema": {"mode": "fixed", "fields": ["id: int"]}}, 2, "id"),
    ],
    ids=["empty", "gzip", "no gzip", "cut off", "semicolons", "header", "fields"],
)
def test_what_is_refused_is_kept_and_can_be_given_again(
    given: bytes, options: dict, code: int, words: str, folder: Path
) -> None:
    settings(folder, **options)
    done = piped(*RUN, given=given, cwd=folder)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    (file,) = kept(folder)
    assert f"what came by standard input is kept in {file.relative_to(folder)} until a run is complete" in done.stderr
    assert file.read_bytes() == given
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (folder / "output").exists()
    assert not (folder / "runs/audit.db").exists()
    settings(folder)
    with file.open("rb") as again:
        subprocess.run([ELSPETH, *RUN], cwd=folder, env=environment(), stdin=again, capture_output=True)
    assert piped(*RUN, "--force-new", given=TEXT, cwd=folder).returncode == 0
    assert kept(folder) == []


def test_an_empty_one_is_said(folder: Path) -> None:
    done = piped(*RUN, given=b"", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "its file standard input is empty (0 bytes)" in done.stderr


def test_what_cannot_be_read_to_its_end_is_a_sentence(folder: Path) -> None:
    handle = os.open("/proc/self/mem", os.O_RDONLY)  # nothing is mapped at its beginning: EIO
    done = subprocess.run([ELSPETH, *RUN], cwd=folder, env=environment(), stdin=handle, capture_output=True)
    os.close(handle)
    assert done.returncode == 75
    assert b"standard input could not be read to its end" in done.stderr
    assert kept(folder) == []
    assert not list((folder / "runs").rglob("*.*"))


def test_what_cannot_be_kept_for_want_of_room_is_not_kept_in_part(folder: Path) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    given = b"id,n\n" + b"1,%s\n" % (b"x" * 70) * 40_000
    done = piped(*RUN, given=given, cwd=folder, preexec=small_files)
    assert done.returncode == 75, done.stderr
    assert "standard input could not be kept in state/stdin/" in done.stderr
    assert "nothing of it is kept" in done.stderr
    assert kept(folder) == []
    assert not (folder / "output").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SETTINGS.replace('"-"', '["-", in.csv]'), "standard input, stands alone"),
        (SETTINGS.replace('"-"', "./-"), "a file called `-` is given with the name of its folder"),
        (
            "sources:\n  a: {plugin: text, options: {path: '-'}}\n  b: {plugin: text, options: {path: '-'}}\n"
            "sinks: {out: {plugin: text, options: {path: out.txt, field: text}}}\ndefault_sink: out\n",
            "both read standard input, which can be read once",
        ),
        (SETTINGS.replace("output/out.csv", "state/stdin/mine"), "lies in the folder of what came by standard input"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(text: str, words: str, folder: Path) -> None:
    (folder / "pipeline.yaml").write_text(text)
    (folder / "in.csv").write_bytes(TEXT)
    done = piped("validate", given=b"", cwd=folder)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_file_of_that_name_is_no_output_and_no_input(folder: Path) -> None:
    (folder / "-").write_text("somebody's\n")
    assert piped(*RUN, given=TEXT, cwd=folder).returncode == 0
    assert (folder / "-").read_text() == "somebody's\n"


# -- what dies -----------------------------------------------------------------------------------------------------


def test_a_resume_reads_what_was_kept_and_says_so(folder: Path) -> None:
    killed_at_work(folder)
    (file,) = kept(folder)
    assert file.read_bytes() == TEXT
    doctor = json.loads(elspeth("doctor", "--json", cwd=folder).stdout)
    assert "source source: what was read of it is unchanged" in json.dumps(doctor)
    done = piped("resume", "latest", given=b"id,n\n9,z\n", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "standard input is not read: the run goes on with what it kept of it" in done.stderr
    assert (folder / "output/out.csv").read_bytes() == OUT
    assert kept(folder) == []


@pytest.mark.parametrize("how", ["gone", "shorter", "longer", "other"])
def test_what_was_kept_and_is_not_what_it_was_is_exit_7(how: str, folder: Path) -> None:
    killed_at_work(folder)
    (file,) = kept(folder)
    change = {
        "gone": file.unlink, "shorter": lambda: file.write_bytes(TEXT[:-3]),
        "longer": lambda: file.write_bytes(TEXT + b"4,d\n"), "other": lambda: file.write_bytes(TEXT[:-1] + b"2"),
    }[how]  # fmt: skip
    if how == "other":
        file.write_bytes(b"id,n\n1,A" + TEXT[8:])
    else:
        change()
    before = tree(folder / "output")
    for words in (("resume", "latest"), ("doctor",)):
        done = elspeth(*words, cwd=folder)
        assert str(file.relative_to(folder)) in " ".join((done.stderr + done.stdout).split())
        assert done.returncode == (7 if words[0] == "resume" else 1)
    assert tree(folder / "output") == before


def test_a_death_before_the_run_began_leaves_what_came_and_doctor_tells(folder: Path) -> None:
    assert piped(*RUN, given=TEXT, cwd=folder).returncode == 0
    killed(folder, "stdin.after_named", b"id,n\n7,g\n")
    (file,) = kept(folder)
    assert f"{file} holds 9 bytes that no run will read any more" in elspeth("doctor", cwd=folder, COLUMNS="300").stdout
    with file.open("rb") as again:
        done = subprocess.run([ELSPETH, *RUN], cwd=folder, env=environment(), stdin=again, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (folder / "output/out.csv").read_bytes() == b"id,n\r\n7,g\r\n"
    assert kept(folder) == []


def test_what_another_database_or_a_living_run_keeps_is_left_alone(folder: Path) -> None:
    killed_at_work(folder)  # unfinished, to be resumed
    (mine,) = kept(folder)
    (folder / "other.yaml").write_text(
        SETTINGS.replace("output/", "elsewhere/") + "landscape: {url: 'sqlite:///./other/audit.db'}\n"
    )
    done = piped("run", "other.yaml", "--execute", given=TEXT, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert kept(folder) == [mine]
    assert elspeth("resume", mine.name, cwd=folder).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_it_while_it_waits_for_more_leaves_nothing(number: signal.Signals, folder: Path) -> None:
    process = subprocess.Popen(
        [ELSPETH, *RUN], cwd=folder, env=environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write("id,n\n1,a\n")
    process.stdin.flush()
    wait_until(lambda: any(path.stat().st_size for path in kept(folder)), process)
    process.send_signal(number)
    process.stdin.close()
    process.stdin = None
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 128 + number
    assert kept(folder) == []
    assert not list((folder / "runs").rglob("*.*"))


def test_a_run_that_is_given_up_loses_what_it_kept(folder: Path) -> None:
    killed_at_work(folder)
    (first,) = kept(folder)
    assert piped(*RUN, given=TEXT, cwd=folder).returncode == 3
    assert kept(folder) == [first]
    assert piped(*RUN, "--force-new", given=TEXT, cwd=folder).returncode == 0
    assert kept(folder) == []


def test_a_purge_takes_it_too(folder: Path) -> None:
    killed_at_work(folder)
    (file,) = kept(folder)
    assert elspeth("doctor", "--mark-failed", file.name, "--reason", "given up", cwd=folder).returncode == 0
    assert elspeth("purge", "--run", file.name, cwd=folder).returncode == 0
    assert kept(folder) == []


def test_auto_resume_leaves_a_completed_run_alone_while_the_same_or_nothing_comes(folder: Path) -> None:
    again = (*RUN, "--auto-resume")
    assert piped(*again, given=TEXT, cwd=folder).returncode == 0
    for given in (TEXT, b""):
        done = piped(*again, given=given, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert "Nothing was done" in done.stdout
        assert kept(folder) == []
    assert (folder / "output/out.csv").read_bytes() == OUT
    assert "Nothing was done" not in piped(*again, given=TEXT.replace(b"a", b"A"), cwd=folder).stdout
    assert (folder / "output/out.csv").read_bytes() == OUT.replace(b"a", b"A")
    (folder / "mark").unlink(missing_ok=True)
    killed_at_work(folder, TEXT + b"4,d\n")
    done = piped(*again, given=b"", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "output/out.csv").read_bytes() == OUT + b"4,d\r\n"
