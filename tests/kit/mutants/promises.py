"""Changes that break a promise, each small and easily made: the text that is there, and what takes its place."""

from __future__ import annotations

from dataclasses import dataclass

SINKS = (
    *(f"tests/unit/sinks/test_{name}.py" for name in ("durability", "side_by_side", "locks", "damage", "positions")),
    "tests/unit/sinks",
)
AUDIT = tuple(
    f"tests/unit/audit/test_{name}.py"
    for name in ("signing", "verify", "writer", "order_of_runs", "fencing", "adversary", "database")
)
EXECUTION = ("tests/unit/execution",)
COORDINATOR = (
    "tests/unit/coordinator/attempt/test_shutdown.py",
    *(f"tests/unit/coordinator/machine/test_{name}.py" for name in ("commits", "machine")),
    "tests/unit/coordinator/suspicion/test_blame.py",
)
SOURCES = ("tests/unit/sources",)
RUNS = ("tests/unit/runs/test_locks.py", "tests/integration/runs/test_lock_files.py")
PAYLOADS = ("tests/unit/test_payloads.py",)
DURABLE = ("tests/unit/test_durable.py",)
ELSEWHERE = ("tests/unit/elsewhere", "tests/unit/coordinator/elsewhere/test_keeper.py", "tests/integration/elsewhere")
DATABASES = "tests/integration/runs/test_trouble_with_the_database.py"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of one file: `old` stands there exactly once. `tests` are those that should notice, quickest first."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def _m(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, file, old, new, tests)


FILES = "elspeth/plugins/sinks/files.py"
TABLE = "elspeth/audit/verify/table.py"
LINKS = "elspeth/audit/verify/links.py"
JOURNAL = "elspeth/audit/export/journal.py"
JOIN = "elspeth/execution/join.py"
WAITING = "elspeth/execution/waiting_join.py"
TRANSFORM = "elspeth/execution/transform.py"
SHUTDOWN = "elspeth/coordinator/attempt/shutdown.py"
DATABASE = "elspeth/audit/store/sqlite_file.py"
EXECUTOR = "elspeth/execution/executor.py"
POLICY = "elspeth/runs/lifecycle/start_policy.py"
WRITER = "elspeth/audit/writer.py"
OWNERSHIP = "elspeth/audit/store/commits/ownership.py"
KEEPER = "elspeth/coordinator/elsewhere/keeper.py"

PROMISES = (
    # What a power cut takes: each sync, and its order.
    _m("an output is not synced", FILES, "begin(partial(os.fdatasync, self._fd))", "begin(partial(os.fstat, self._fd))",
       *SINKS),
    _m("an output alone is not synced", FILES, "self._await(partial(os.fdatasync, self._fd))", "pass", *SINKS),
    _m("a cut is not synced", FILES, "os.ftruncate(self._fd, size)\n            # A cut is not made durable by what is "
       "written behind it: there may come nothing, as in the attempt before.\n            self._unsynced = True",
       "os.ftruncate(self._fd, size)", *SINKS),
    _m("a failed sync is tried again", FILES, 'self._lost = temporary(self.path, "write", error)\n            raise '
       "self._lost from error", 'raise temporary(self.path, "write", error) from error', *SINKS),
    _m("a take-over's copy is not synced", FILES, "                os.fsync(self._fd)\n", "", *SINKS),
    _m("a take-over's name is not synced", FILES, "        sync_folder(self._target.parent)\n", "", *SINKS),
    _m("the way to an output is not synced", FILES, "        sync_names(self._target.parent)\n", "", *SINKS),
    _m("a partial write's hash is that of all of it", FILES, "self._hash.update(view[:done])", "self._hash.update(view)",
       *SINKS),
    _m("ownership is not proved before a cut", "elspeth/plugins/sinks/positioned.py",
       "                self.prove()\n", "", *SINKS),
    _m("a take-over does not prove ownership", FILES, "                prove()\n", "", *SINKS),
    _m("an output that grew is not noticed", FILES, "if held.st_size != self._size:", "if held.st_size < self._size:",
       *SINKS),
    _m("a tail is cut without a copy", FILES, "cuts = self._keep_tail(self._fd, position)", "cuts: list[Cut] = []", *SINKS),
    _m("a cut copy is not synced", "elspeth/plugins/sinks/truncations.py", "        os.fsync(copy)\n", "        pass\n",
       *SINKS),
    _m("a cut copy's name is not synced", "elspeth/plugins/sinks/truncations.py", "    sync_folder(folder)\n", "", *SINKS),
    _m("a payload's content is not synced", "elspeth/payloads.py", "partial(os.fsync, fd) for fd", "partial(os.fstat, fd) for fd",
       *PAYLOADS),
    _m("a payload's name is not synced", "elspeth/payloads.py",
       "            together(partial(sync_folder, folder) for folder in sorted(folders))\n", "", *PAYLOADS),
    _m("a commit goes before the names of its payloads", "elspeth/roles/audit.py",
       "        self._payloads.sync_names(references(sent))\n        self._write(records, status, sent)\n",
       "        self._write(records, status, sent)\n        self._payloads.sync_names(references(sent))\n",
       "tests/unit/audit/test_audit_role.py"),
    _m("payloads of a node are not seen by who commits", "elspeth/audit/store/commits/record_frames.py",
       "for table, columns in REFERENCES.items()", 'for table, columns in REFERENCES.items() if table == "rows"',
       "tests/unit/audit/test_audit_role.py"),
    _m("the way to the payloads is not synced", "elspeth/payloads.py", "                sync_names(self.base)\n",
       "                pass\n", *PAYLOADS),
    _m("a worker sends before its payloads are on disk", "elspeth/roles/worker.py",
       "        self._factory.payloads().write_out()\n        return items", "        return items",
       "tests/crash/test_power_cuts.py::test_what_a_power_cut_leaves_holds_and_is_carried_on[payloads]"),
    _m("a stage sends before its payloads are on disk", "elspeth/roles/stage.py", "        self._payloads.write_out()\n", "",
       "tests/crash/test_power_cuts.py::test_what_a_power_cut_leaves_holds_and_is_carried_on[aggregation]"),
    _m("a kept file is not synced", "elspeth/durable.py", "put(path, content, mode, sync=os.fsync)",
       "put(path, content, mode)", *DURABLE),
    _m("a kept file's name is not synced", "elspeth/durable.py", "sync=os.fsync)\n    sync_folder(path.parent)\n",
       "sync=os.fsync)\n", *DURABLE),
    _m("the journal's end is not looked at when it is opened", JOURNAL, "gone = self._renew(connection, last)",
       "gone = False", "tests/unit/audit/test_journal.py"),
    _m("the journal's name is not synced", JOURNAL, "            sync_names(path.parent)\n", "",
       "tests/unit/audit/test_journal.py"),
    _m("an export's files are not synced", "elspeth/audit/export/folder.py", "        os.fsync(self._out.fileno())\n", "",
       *DURABLE),
    _m("a deleted rollback journal may come back", DATABASE,
       'connection.execute("PRAGMA synchronous = EXTRA")\n            connection.execute("PRAGMA cache',
       'connection.execute("PRAGMA synchronous = NORMAL")\n            connection.execute("PRAGMA cache',
       "tests/unit/audit/test_database.py"),
    _m("a hot journal refuses every reader", DATABASE, "if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:",
       "if True:", "tests/unit/audit/test_database.py", "tests/crash/test_database_modes.py"),
    _m("what a purge removes may come back", "elspeth/runs/operate/purge.py",
       "    together(partial(sync_folder, folder) for folder in sorted(folders))\n", "", *DURABLE),
    _m("a lock is not synced", "elspeth/runs/liveness/locks.py", "    os.fsync(descriptor)\n", "", *RUNS),
    # What verify must find.
    _m("row data erased with its marks holds without a purge", TABLE, "running.agrees(commit_no < self._purged_before)",
       "running.agrees(True)", *AUDIT),
    _m("a run may follow any commit", LINKS, "        if digest not in owners:", "        if False:", *AUDIT),
    _m("two runs may follow one", LINKS, "        if owner[0] in seen:", "        if False:", *AUDIT),
    _m("two runs may be the first", LINKS, "    if len(first) > 1:", "    if len(first) > 2:", *AUDIT),
    _m("a commit may be missing", LINKS, "        if number != expected:", "        if number < expected:", *AUDIT),
    _m("an unsigned commit passes", LINKS, "layout is None or layout.signs_every_commit else None",
       "False else None", *AUDIT),
    _m("a signature covers no number", "elspeth/audit/chain/signing.py", 'f"{run_id}/{commit_no}/{digest}"',
       'f"{run_id}/{digest}"', *AUDIT),
    _m("a signature covers no run", "elspeth/audit/chain/signing.py", 'f"{run_id}/{commit_no}/{digest}"',
       'f"{commit_no}/{digest}"', *AUDIT),
    _m("a signature of another form", "elspeth/audit/chain/signing.py", "hashlib.sha256).hexdigest()\n\n\ndef is_signed",
       "hashlib.sha512).hexdigest()\n\n\ndef is_signed", *AUDIT),
    _m("a run without an end passes with a key", LINKS, "    if not ended:", "    if False:", *AUDIT),
    # Who drives a run.
    _m("an attempt that was taken over commits", OWNERSHIP, "        if owner != attempt:", "        if owner < attempt:", *AUDIT),
    _m("a run that ended is committed to", OWNERSHIP, '        if status != "running":\n            raise TakenOver',
       '        if status == "never":\n            raise TakenOver', *AUDIT),
    _m("two resumes begin", WRITER, "            if found != expected_attempt:", "            if found < expected_attempt:",
       *AUDIT),
    _m("a living run is purged", "elspeth/audit/operator_actions.py", "if purge and not self._owners.finished(run_id, status):",
       "if False:", *AUDIT),
    _m("a suspicion is acknowledged before it is committed", "elspeth/roles/audit.py",
       "                    self._write({})\n                    self.send(m.Noted(message.token))",
       "                    self.send(m.Noted(message.token))", "tests/unit/audit/test_audit_role.py"),
    _m("durable is said before the commit", "elspeth/roles/audit.py",
       '        self._write(records, status, sent)\n        crash_point("audit.before_durable")\n        self.send(m.Durable(upto))',
       '        self.send(m.Durable(upto))\n        self._write(records, status, sent)', "tests/unit/audit/test_audit_role.py"),
    _m("an orderly stop gives up at once", SHUTDOWN, "            return self._enter(Phase.DRAINING, now + DRAIN_SHARE * "
       "self._stop_seconds)", "            return self._give_up(reason, now)", *COORDINATOR),
    _m("an orderly stop never ends", SHUTDOWN, "self.phase == Phase.DRAINING and now > self._deadline",
       "self.phase == Phase.DRAINING and now < self._deadline", *COORDINATOR),
    _m("a second signal does not hurry", SHUTDOWN, "        if self.phase == Phase.DRAINING:\n            return self._give_up",
       "        if self.phase == Phase.CLOSED:\n            return self._give_up", *COORDINATOR),
    # What runs on its own decides.
    _m("a changed source is taken for done", POLICY, "return all(_digest(Path(str(one.path))) == "
       "one.content_hash for one in inputs if one.node_id not in sets)", "return True", DATABASES),
    _m("fewer inputs than sources are taken for done", POLICY, 'if len(inputs) < len(pipeline.graph.of_kind("source")):',
       "if False:", DATABASES),
    _m("a last line without an end may grow", "elspeth/roles/audit.py", "            if more > 0:", "            if more < 0:",
       "tests/unit/audit/test_audit_role.py", "tests/integration/cli/test_growing_inputs.py"),
    _m("a last line without an end may grow while it is read", "elspeth/plugins/sources/one_file.py",
       "if more > 0 and self._unfinished:", "if False:", *SOURCES),
    _m("a replaced source proves nothing", "elspeth/plugins/sources/one_file.py", "self._prefix.verify(cursor, proof)", "return",
       *SOURCES),
    # What is on record about rows.
    _m("no divert event for a refused row", EXECUTOR, '        recorder.route(state_id, target.edge, "divert", None)\n', "",
       *EXECUTION),
    _m("out of memory is a refused row", TRANSFORM, "            except MemoryError:\n                raise", "            "
       "except MemoryError as error:\n                refused = Refused.of(error)", *EXECUTION),
    _m("out of memory is a refused batch", "elspeth/execution/aggregate.py", "            except MemoryError:\n"
       "                raise\n", "", *EXECUTION),
    _m("a plugin that keeps its rows changes them", TRANSFORM, "given = token.data if self._shares_nothing else "
       "copy_data(token.data)", "given = token.data", *EXECUTION),
    _m("a plugin that keeps its answers changes them", TRANSFORM, "                    result = copy_data(result)\n",
       "                    pass\n", *EXECUTION),
    _m("a batch's plugin that keeps its rows changes them", "elspeth/execution/aggregate.py",
       "token.data if self._shares_nothing else copy_data(token.data) for", "token.data for", *EXECUTION),
    _m("a retry's wait is taken for a hang", EXECUTOR, "            context.progress()\n", "", *EXECUTION),
    _m("a retry does not wait", EXECUTOR, "self.retry.delay(failures)", "0", *EXECUTION),
    _m("retries wait the same each time", "elspeth/execution/retry.py", " ** (failures - 1)", "", *EXECUTION),
    _m("retries wait for ever longer", "elspeth/execution/retry.py", "min(self.max_delay_seconds, ", "max(0.0, ", *EXECUTION),
    _m("one try more than granted", TRANSFORM, "if failures < executor.retry.max_attempts:", "if failures <= "
       "executor.retry.max_attempts:", *EXECUTION),
    _m("a nested fork meets at the wrong level", JOIN, "for at in range(len(token.fork) - 1, -1, -1):",
       "for at in range(len(token.fork)):", *EXECUTION),
    _m("a nested fork's way is forgotten", JOIN, "        token.fork = token.fork[: at + 1]\n",
       "", *EXECUTION),
    _m("after a restart the order of arrival is that of ids", WAITING, "in sorted(found, key=lambda item: item[0]):",
       "in sorted(found, key=lambda item: item[1]):", *EXECUTION),
    _m("arrivals are not counted on after a restart", WAITING, '        self._arrivals = state["arrivals"]\n', "", *EXECUTION),
    _m("decided joins beyond the limit are forgotten", WAITING,
       "return join_id <= self._recorded and self._archive is not None and self._archive.decided(join_id)", "return False",
       *EXECUTION),
    _m("members come in the order of their ids", "elspeth/audit/batch_store.py", "batch_id = ? ORDER BY ordinal", "batch_id = ? ORDER BY token_id",
       "tests/unit/audit/test_batch_store.py", *EXECUTION),
    _m("shorter secrets are looked for first", "elspeth/concealment.py", "sorted(forms, key=len, reverse=True)",
       "sorted(forms, key=len)", "tests/unit/text/test_concealment.py"),
    _m("a secret of four letters is shown", "elspeth/concealment.py", "if len(secret) >= WORD_LENGTH:",
       "if len(secret) > WORD_LENGTH:", "tests/unit/text/test_concealment.py"),
    _m("a silent child with work is no hung one", "actors/hang_detector.py", "        elif vitals.suspicious:", "        elif False:",
       "tests/unit/actors/test_hang_detector.py"),
    _m("a child that hangs while it starts is waited for", "actors/places/local/health.py", " or state is State.STARTING", "",
       "tests/unit/actors/test_health.py"),
    _m("a child that hangs in an import is waited for", "actors/places/local/child_main.py",
       "        self._page.words[BUSY] = 1", "        self._page.words[BUSY] = 0", "tests/unit/actors",
       "tests/integration/actors/test_watching.py"),
    _m("an orderly stop ends before what was released is committed", "elspeth/coordinator/machine/machine.py",
       "(self._stopping and not dispatcher.pending and not pipeline.micro_batches)", "(self._stopping and not dispatcher.pending)",
       *COORDINATOR),
    _m("an orderly stop ends at no split point", "elspeth/coordinator/machine/dispatcher.py",
       "if at_split_point and not chunk_slice.done and chunk_slice.worker is None:",
       "if not chunk_slice.done and chunk_slice.worker is None:", *COORDINATOR),
    _m("a commit goes before the outputs are on disk", "elspeth/coordinator/machine/commit_pipeline.py",
       "if self._audit_next <= barrier.no or barrier.positions is None:", "if self._audit_next <= barrier.no:", *COORDINATOR),
    _m("a commit goes without the state of a stage", "elspeth/coordinator/machine/commit_pipeline.py",
       "if len(barrier.states) < len(self.consumers) - 1:", "if False:", *COORDINATOR),
    _m("a commit goes before the records of its rows", "elspeth/coordinator/machine/commit_pipeline.py",
       "if self._audit_next <= barrier.no or barrier.positions is None:", "if barrier.positions is None:", *COORDINATOR),
    _m("slices are released as they are decided", "elspeth/coordinator/machine/backlog.py",
       "        if self.slices and self.slices[0].done:\n            self._count(self.slices[0], -1, 0)\n"
       "            return self.slices.pop(0)",
       "        for at, one in enumerate(self.slices):\n            if one.done:\n                self._count(one, -1, 0)\n"
       "                return self.slices.pop(at)",
       *COORDINATOR),
    _m("calls and operators' actions are not verified", "elspeth/audit/verify/parts.py",
       "for table in FIXED if not (removed and table in ABOUT_ROWS)]",
       "for table in FIXED if table not in (\"calls\", \"operator_actions\")]",
       *AUDIT, "tests/integration/cli/evidence"),
    _m("outputs are answered for before they are on disk", "elspeth/roles/sink.py",
       "            positions[output.node.id] = output.flush()", "            positions[output.node.id] = {}", *SINKS),
    # Of workers on other machines: what they make is kept before anybody acts on it, and they are told what they need.
    _m("an entry of a worker elsewhere is answered before it is on disk", KEEPER, "file.sync(end)", "file.size", *ELSEWHERE),
    _m("what mentions a payload does not wait for it", KEEPER, "if keep is None and not self._held[event.name]:",
       "if keep is None:", *ELSEWHERE),
    _m("a payload of a worker elsewhere is not written out", KEEPER, "self._payloads.write_out()", "pass", *ELSEWHERE),
    _m("what mentions a lost payload is acted on", KEEPER, "(self._failed is None or isinstance(event, ChildDown))", "True",
       *ELSEWHERE),
    _m("a death overtakes what was journalled", KEEPER, "isinstance(event, ChildDown) and event.name in self._known",
       "isinstance(event, ChildDown) and self._held[event.name]", *ELSEWHERE),
    _m("a call elsewhere does not wait for its intent", "elspeth/roles/elsewhere/journal.py",
       "        question.answered.wait()\n", "        question.answered.wait(0.01)\n", *ELSEWHERE),
    _m("a payload that was never sent is taken for known", "elspeth/roles/elsewhere/payloads.py",
       "            if self._waiting:\n                self._send()", "            pass", *ELSEWHERE),
    _m("every credential travels", "elspeth/runs/lifecycle/travel.py", " if msgspec.json.encode(secret)[1:-1] in text", "",
       *ELSEWHERE),
    _m("the database travels", "elspeth/runs/lifecycle/travel.py", 'database="", ', "", *ELSEWHERE),
    _m("a row is blamed for a file that is at home", "elspeth/roles/elsewhere/files.py",
       "            missing = _missing(error)", "            missing = None", *ELSEWHERE),
    _m("plugin files travel as they are by now", "elspeth/runs/lifecycle/travel.py",
       "registry.file_hash(Path(file)) or reference_hash(Path(real))", "reference_hash(Path(real))", *ELSEWHERE),
    _m("a copy is called what it is called there", "elspeth/roles/elsewhere/settling.py",
       "Concealment({**concealment.secrets, str(root): \"\"})", "concealment", "tests/integration/elsewhere"),
    _m("a file in the way on a node is read", "elspeth/roles/elsewhere/settling.py",
       "    forbid(path for path in copies if path.startswith(\"/\"))\n", "", "tests/integration/elsewhere"),
)  # fmt: skip
