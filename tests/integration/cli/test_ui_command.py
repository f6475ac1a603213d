"""`elspeth ui`: the page of a database, live; whoever may not see it is refused, and no run is touched."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from elspeth.audit import dialect
from elspeth.runs.views.ui import looks
from elspeth.runs.views.ui.access import Access
from elspeth.runs.views.ui.looks import Seen
from elspeth.runs.views.ui.questions import Questions
from elspeth.runs.views.ui.server import Limits, Server
from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.processes.held import held_run, make
from tests.kit.processes.running import ELSPETH, elspeth, environment
from tests.kit.processes.serving import Serving, serving
from tests.kit.processes.waiting import PATIENCE_SECONDS, wait_until


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of forks, merges and errors."""
    folder = tmp_path_factory.mktemp("ran") / "run"
    lay_out(folder, DECIDING)
    assert elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=folder).returncode == 0
    return folder


@pytest.fixture(scope="module")
def server(ran: Path) -> Iterator[Serving]:
    with serving(ran) as found:
        yield found


def until(events: Iterator[tuple[str, Any]], state: str) -> dict[str, Any]:
    """The first value of the run in this state."""
    for kind, value in events:
        if kind == "run" and state in (value["verdict"]["state"], value["verdict"]["status"]):
            return dict(value)
    raise AssertionError("the stream ended")


def test_the_token_of_the_address_becomes_a_cookie_and_the_page_may_load_nothing_from_elsewhere(
    server: Serving,
) -> None:
    entrance = server.get(f"/?token={server.token}", token="")
    assert (entrance.status, entrance.headers["location"]) == (303, "/")
    assert re.fullmatch(r"elspeth-[0-9a-f]{8}=\S+; HttpOnly; SameSite=Strict; Path=/", entrance.headers["set-cookie"])
    page = server.get("/")
    assert page.status == 200
    assert server.token.encode() not in page.body
    policy = page.headers["content-security-policy"]
    for rule in ("default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "form-action 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert len(re.findall("'sha256-", policy)) == 3
    assert "innerHTML" not in page.body.decode()
    for answer in (entrance, page, server.get("/nothing"), server.get("/", token="")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_the_value_is_that_of_the_report_and_the_runs_are_those_of_runs(server: Serving, ran: Path) -> None:
    assert elspeth("report", "latest", "-o", "run.html", cwd=ran).returncode == 0
    page = (ran / "run.html").read_text()
    reported = json.loads(re.findall(r'id="value">(.*?)</script>', page, re.S)[0])
    listed = json.loads(elspeth("runs", "--json", cwd=ran).stdout)
    with server.watching() as events:
        found = dict(next(events) for _ in range(2))
    assert {**found["run"], "made_at": ""} == {**reported, "made_at": ""}
    assert found["runs"] == {**listed, "more": False}


def test_a_story_is_told_as_explain_tells_it_by_number_id_token_and_field(server: Serving, ran: Path) -> None:
    told = elspeth("explain", "--run", "latest", "--row", "3", cwd=ran).stdout.splitlines()
    by_number = server.story("3")
    assert (by_number["lines"], by_number["row"], by_number["more"]) == (told, 3, 0)
    run = by_number["run_id"]
    assert server.story(f"{run}-000000003") == by_number
    assert server.story("id=3", run) == by_number
    data = json.loads(elspeth("explain", "--run", "latest", "--row", "3", "--json", cwd=ran).stdout)
    token = data["tokens"]["becomes"][0]["token"] if data["tokens"]["becomes"] else data["tokens"]["token"]
    shown = elspeth("explain", "--run", "latest", "--token", token, cwd=ran).stdout.splitlines()
    assert server.story(token)["lines"] in (shown, told)


def test_a_search_that_finds_many_lists_them_and_one_that_finds_nothing_says_so(server: Serving) -> None:
    assert server.story("id=no such")["found"] == 0
    for asked, sentence in (("999999", "no row"), ("what", "names no row"), ("=x", "says nothing about a field")):
        assert sentence in server.story(asked)["trouble"], asked
    assert "Run not found" in server.story("1", "nosuchrun")["trouble"]
    with server.watching("nosuchrun") as events:
        assert "Run not found" in dict(next(events) for _ in range(2))["trouble"]["message"]


def test_a_look_or_a_question_that_takes_too_long_is_given_up(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect, "STEPS", 1)
    database = ran / "runs" / "audit.db"
    looker = looks.Looker(database)
    assert looker.look("latest", None, patient=False).message.startswith(b"event: run\n")
    looker.close()
    assert b"was given up" in looker.look("latest", None, patient=False).message
    with ThreadPoolExecutor(1) as thread:
        answers = Questions(database, str, thread), Questions(database, str, thread, seconds=-1.0)
        told, late = (json.loads(asyncio.run(each.answer("latest", "id=3"))) for each in answers)
        assert told["row"] == 3
        assert "took too long and was given up" in late["trouble"]


BAD = {
    "no token": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 403),
    "no token for events": (b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n", 403),
    "a wrong token": (b"GET /?token=x HTTP/1.1\r\nHost: localhost\r\n\r\n", 403),
    "another host": (b"GET /?token=TOKEN HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
    "no host": (b"GET /?token=TOKEN HTTP/1.1\r\n\r\n", 403),
    "POST": (b"POST /?token=TOKEN HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 405),
    "a long body": (b"PUT / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"x" * 300_000, 405),
    "DELETE": (b"DELETE /?token=TOKEN HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    "a way up": (b"GET /../../etc/passwd?token=TOKEN HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    "a way up, encoded": (b"GET /%2e%2e%2f%2e%2e/etc/passwd?token=TOKEN HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    "the database": (b"GET /runs/audit.db?token=TOKEN HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    "two slashes": (b"GET //events?token=TOKEN HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    "a null byte": (b"GET /\x00?token=TOKEN HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "a run that is a path": (b"GET /events?run=../x&token=TOKEN HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "a run that is a query": (b"GET /story?run=%27or%201&token=TOKEN HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "an overlong line": (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
    "an overlong header": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n", 431),
    "a header without end": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000, 431),
    "a proxy's request": (b"GET http://localhost/?token=TOKEN HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "a tunnel": (b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "garbage": (os.urandom(64).replace(b"\r", b"x") + b"\r\n\r\n", 400),
    "half a request": (b"GET / HT", 0),
    "nothing": (b"", 0),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_request_is_refused_and_the_server_goes_on(server: Serving, kind: str) -> None:
    request, status = BAD[kind]
    with server.connect() as connection:
        try:
            connection.sendall(request.replace(b"TOKEN", server.token.encode()))
            if status == 0:
                connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(1 << 16)
        except ConnectionError:
            assert status == 431  # what is too long is cut off, perhaps before its answer is read
            answer = b"HTTP/1.1 431 "
    assert answer.startswith(f"HTTP/1.1 {status} ".encode() if status else b"")
    assert bool(answer) == bool(status)
    assert server.token.encode() not in answer
    assert b"audit.db" not in answer
    assert server.get("/").status == 200


def test_ten_thousand_requests_are_answered_one_after_the_other(server: Serving) -> None:
    before = psutil.Process(server.process.pid)
    good, bad = server.request("/favicon.ico"), server.request("/", token="wrong")

    def some(number: int) -> set[int]:
        return {server.send(bad if at % 2 else good).status for at in range(number)}

    some(100)
    files, threads = before.num_fds(), before.num_threads()
    with ThreadPoolExecutor(10) as pool:
        assert set().union(*pool.map(some, [1000] * 10)) == {204, 403}
    wait_until(lambda: before.num_fds() <= files + 2, "every connection is closed")
    assert before.num_threads() == threads
    assert server.get("/").status == 200


def test_more_connections_than_it_takes_are_closed_and_it_goes_on(server: Serving) -> None:
    with ExitStack() as stack:
        many = [stack.enter_context(server.connect()) for _ in range(300)]
        closed = [each for each in many[200:] if _is_closed(each)]
        assert closed
    wait_until(lambda: server.get("/").status == 200, "there is room again")


def _is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.5)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_who_sends_or_reads_too_slowly_is_left_and_the_others_are_served(tmp_path: Path) -> None:
    # So long that a machine which does ten things at once is not taken for a slow reader.
    limits = Limits(head_seconds=5.0, reading_seconds=5.0, least_seconds=0.0)
    access = Access("127.0.0.1")
    server = Server(tmp_path / "no.db", access, lambda story: "", limits)
    made = 0

    def look(topic: str, known: Seen | None, *, patient: bool) -> Seen:
        nonlocal made
        made += 1
        return Seen(made, None, b"data: %d %s\n\n" % (made, b"x" * 1_000_000))

    server._looker.look = look  # type: ignore[method-assign]

    async def play() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            stopped = asyncio.Event()
            serving = asyncio.create_task(server.serve(listener, stopped))
            port = listener.getsockname()[1]
            head = f"GET /events?token={access.token} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            slow_reader, slow_out = await asyncio.open_connection("127.0.0.1", port, limit=1)
            slow_out.write(head)
            quick_reader, quick_out = await asyncio.open_connection("127.0.0.1", port)
            quick_out.write(head)
            drip_reader, drip_out = await asyncio.open_connection("127.0.0.1", port)
            drip_out.write(b"GET / HTTP/1.1\r\nHost: lo")
            dripping = asyncio.create_task(drip_reader.read())
            # Who reads is sent more and more, until those who read nothing and send half have been left.
            while not dripping.done() or len(server._connections) > 1:
                assert await quick_reader.read(1 << 20)
            assert dripping.result().startswith(b"HTTP/1.1 408 ")
            assert made > 1
            assert await quick_reader.read(1 << 20)
            stopped.set()
            await serving
            for out in (slow_out, quick_out, drip_out):
                out.close()
            assert slow_reader is not None

    asyncio.run(play())


def test_one_page_follows_a_run_through_its_kill_and_its_resume(tmp_path: Path) -> None:
    settings = make(tmp_path)
    with ExitStack() as stack:
        process, run_id = stack.enter_context(held_run(settings))
        server = stack.enter_context(serving(tmp_path))
        events = stack.enter_context(server.watching())
        alive = until(events, "alive")
        assert (alive["run"]["run_id"], alive["verdict"]["rows"] > 0) == (run_id, True)
        process.kill()
        orphan = until(events, "orphaned")
        assert orphan["verdict"]["next_command"] == f"elspeth resume {run_id}"
        (tmp_path / "go").touch()
        resumed = elspeth("resume", run_id, cwd=tmp_path)
        assert resumed.returncode == 0, resumed.stderr
        whole = until(events, "completed")
        assert (whole["run"]["run_id"], whole["run"]["attempts"], whole["verdict"]["rows"]) == (run_id, 2, 3000)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")  # the marks of readers
    }


def test_what_is_shown_is_only_read(ran: Path) -> None:
    before = contents(ran), sorted(ran.rglob("*"))
    with serving(ran) as server, server.watching() as events:
        until(events, "completed")
        server.story("id=3")
        for request, status in BAD.values():
            assert not status or server.send(request.replace(b"TOKEN", server.token.encode())).status in (0, status)
    assert (contents(ran), sorted(ran.rglob("*"))) == before


def test_twenty_viewers_take_less_than_a_fiftieth_of_what_the_run_takes(tmp_path: Path) -> None:
    """Processor time of the server, beside that of all processes of the run, while twenty watch it."""
    watched, small = tmp_path / "watched", make(tmp_path / "small")
    (small.parent / "go").touch()
    assert elspeth("run", small.name, "--execute", cwd=small.parent).returncode == 0
    lay_out(watched, DECIDING)
    rows = (f"{at},{at * 7 % 2000},note {at}\n" for at in range(40_000))
    (watched / "input.csv").write_text("id,amount,note\n" + "".join(rows))
    database = f"sqlite:///{small.parent / 'runs' / 'audit.db'}"
    with serving(watched, ELSPETH_LANDSCAPE__URL=database) as server, ExitStack() as stack:
        views = [stack.enter_context(server.watching()) for _ in range(20)]
        for events in views:
            until(events, "completed")
        times, began = psutil.Process(server.process.pid).cpu_times, time.monotonic()
        before, others = times(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = elspeth(
            "run", "--settings", "pipeline.yaml", "--execute", cwd=watched, ELSPETH_LANDSCAPE__URL=database
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        after, then, lasted = resource.getrusage(resource.RUSAGE_CHILDREN), times(), time.monotonic() - began
        for events in views:
            until(events, "completed")
    spent = then.user + then.system - before.user - before.system
    taken = after.ru_utime + after.ru_stime - others.ru_utime - others.ru_stime
    # Where others take the processors the run lasts longer, and is looked at more often, without taking more itself.
    assert spent < 0.02 * max(taken, lasted), f"server {spent:.3f} s, run {taken:.3f} s in {lasted:.3f} s"


def test_a_port_that_is_taken_is_one_sentence(ran: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = elspeth("ui", "--port", port, cwd=ran)
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr.splitlines()[0] == f"Error: port {port} of 127.0.0.1 is in use by another program"


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "nowhere.invalid"])
def test_a_place_that_is_not_here_is_bad_usage(ran: Path, host: str) -> None:
    done = elspeth("ui", "--host", host, "--port", "0", cwd=ran)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert host in done.stderr


def test_without_a_database_nothing_is_served(tmp_path: Path) -> None:
    done = elspeth("ui", "--port", "0", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no audit database found" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_in_order_though_somebody_watches(ran: Path, number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [ELSPETH, "ui", "--port", "0", "--json"], cwd=ran, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    text = next(lines)
    while not text.rstrip().endswith("}"):
        text += next(lines)
    server = Serving(process, json.loads(text)["address"])
    with server.watching() as events:
        next(events)
        process.send_signal(number)
        rest, said = process.communicate(timeout=PATIENCE_SECONDS)
        assert list(events) is not None  # the stream ends
    assert process.returncode == code, said
    assert said.strip().endswith(f"Stopped: stopped by {number.name}")
    assert "Traceback" not in said + rest


def test_a_signal_that_comes_while_it_starts_ends_it_in_the_same_words(ran: Path) -> None:
    script = (
        "import os, signal, sys; from elspeth.cli import app\n"
        "from asyncio.selector_events import BaseSelectorEventLoop as Loop; made = Loop._make_self_pipe\n"
        "def struck(self):\n"
        "    os.kill(os.getpid(), signal.SIGTERM); made(self)\n"
        "Loop._make_self_pipe = struck\n"
        "sys.argv[1:] = ['ui', '--port', '0']; app.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ran, capture_output=True, text=True, env=environment(), check=False,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 143
    assert done.stderr.splitlines()[-1] == "Stopped: stopped by SIGTERM"
    assert "Error" not in done.stderr


def test_a_browser_is_opened_on_request_only_with_a_token_that_is_good_for_once(ran: Path, tmp_path: Path) -> None:
    opener = tmp_path / "browser"
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/part && mv {tmp_path}/part {tmp_path}/opened\n')
    opener.chmod(opener.stat().st_mode | stat.S_IXUSR)
    with serving(ran, BROWSER=f"{opener} %s") as server:
        assert server.get("/").status == 200
    assert not (tmp_path / "opened").exists()
    with serving(ran, "--open", BROWSER=f"{opener} %s") as server:
        wait_until((tmp_path / "opened").exists, "a browser was opened")
        opened = (tmp_path / "opened").read_text().strip()
        once = opened.partition("token=")[2]
        assert opened.startswith(f"http://127.0.0.1:{server.port}/?token=")
        assert once != server.token
        assert [server.get(f"/?token={once}", token="").status for _ in range(2)] == [303, 403]


def test_others_are_told_of_when_they_can_reach_it(ran: Path) -> None:
    with serving(ran, "--host", "0.0.0.0") as server:
        assert server.host == "127.0.0.1"
        assert server.get("/").status == 200
        assert server.get("/", host=f"{socket.gethostname()}:{server.port}").status == 200
        assert server.get("/", host="evil.example").status == 403
