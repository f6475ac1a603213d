"""From a file, or from what was stored with a run, to checked settings: every problem in one go."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from elspeth.concealment import Concealment
from elspeth.errors import SettingsError
from elspeth.settings import (
    accepted,
    cluster,
    effective,
    environment,
    file,
    language_models,
    normalize,
    secrets,
    service_warnings,
)
from elspeth.settings.check import at, check, plain
from elspeth.settings.compare import DATABASE, SECRETS, SOMEWHERE, apply_set
from elspeth.settings.document import parse, scalar, storable
from elspeth.settings.environment import Expanded, ExpansionError, VariableReference
from elspeth.settings.error_recovery import remaining
from elspeth.settings.model import Settings
from elspeth.settings.overrides import Override, in_environment, place, variable_for
from elspeth.settings.problems import KeyPath, Positions, Problem, SettingsProblems, dotted, suggest

STORED = "stored settings"

_TRUE = ("true", "1", "yes")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Checked settings with all that belongs to them.

    `settings` holds the real values, credentials included: it goes to the processes that need it, never into a record.
    `document` is what is recorded: the value of every option, defaults included, variables filled in, credentials
    replaced by their reference, plain JSON data.
    `credentials` maps each secret value, and each text with one in it, to what stands for it in
    records. `path` is None for a stored document. `passed_on` are the variables that go along to nodes of a cluster, as
    far as they are set.
    """

    settings: Settings = field(repr=False)
    document: dict[str, Any]
    warnings: tuple[Problem, ...]
    positions: Positions = field(repr=False)
    path: Path | None
    credentials: Mapping[str, str] = field(repr=False)
    passed_on: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def settings_json(self) -> str:
        """The document as JSON text, as `load_stored` reads it."""
        return json.dumps(self.document, ensure_ascii=False)

    def conceal(self, value: Any) -> Any:
        """A copy of any plain value, such as a plugin's options or a message, without the credentials in it."""
        return secrets.conceal(value, self.credentials)

    @property
    def concealment(self) -> Concealment:
        """What keeps the credentials out of errors, logs and evidence, in whatever form they appear there."""
        return Concealment(self.credentials)


Further = Callable[[Settings, Positions], object]
"""A check beyond the settings' own, such as building the graph; it raises `SettingsProblems`."""


def load(
    path: Path,
    *,
    environ: Mapping[str, str] = os.environ,
    dotenv: bool | Path = True,
    overrides: Sequence[str] = (),
    further: Further | None = None,
) -> Loaded:
    """Read and check a settings file.

    `environ` fills in `${VAR}` and may override keys (`ELSPETH_SECTION__KEY`); with `dotenv` a file `.env` in the
    working directory adds to it, or the file that it names. `overrides` are `SECTION.KEY=VALUE` from the command line,
    and win over both.
    `further` checks are made as far as the settings can be understood, so that their problems come in the same go.
    Raises `SettingsProblems` with everything that is wrong.
    """
    name = str(path)
    text = file.read(path)
    work = _Work(name)
    work.environ = _environment(environ, dotenv)
    document = parse(text, name)
    work.problems += document.problems
    work.warnings += document.warnings
    work.lines = document.lines
    if not isinstance(document.data, dict):
        if not work.problems:
            what = "is empty" if document.data is None else "is no mapping of keys"
            work.problems.append(Problem(name, None, "", what, allowed="source, sinks, default_sink, ..."))
        raise SettingsProblems(work.problems)
    data: dict[str, Any] = work.expanded(document.data, ())
    work.problems += normalize.normalise(data, work.positions, work.lines)
    for override in in_environment(work.environ):
        work.override(data, override)
    for assignment in overrides:
        key, equals, value = assignment.partition("=")
        if not equals:
            work.problems.append(Problem(f"--set {key}", None, "", "has no value", allowed="SECTION.KEY=VALUE"))
            continue
        work.override(data, Override(f"--set {key}", tuple(key.strip().split(".")), value))
    work.problems += language_models.rewrite(data, work.positions, work.lines)
    taken = accepted.take_out(data, work.positions)
    work.problems += taken.problems
    work.warnings += taken.warnings
    work.take_out(data)
    return work.finish(data, path, secrets.find(data), [], further)


def load_stored(
    settings_json: str,
    environ: Mapping[str, str] = os.environ,
    overrides: Sequence[str] = (),
    *,
    dotenv: bool | Path = True,
) -> Loaded:
    """Check the settings that were stored with a run; credentials are taken from the environment again.

    Nothing else of the environment counts, and of the URL of the audit database nothing at all: the settings were found
    in it, so who reads them knows where it is. `overrides` may change what cannot change results (`apply_set`).
    Raises `SettingsProblems` if a credential's variable is not set, and `SettingsError` for what may not be set.
    """
    try:
        stored = json.loads(settings_json)
        entries = [
            (tuple(entry["path"]), entry["reference"], entry["fingerprint"]) for entry in stored.get(SECRETS, [])
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SettingsError(
            "The settings stored with this run cannot be read", next_step="elspeth verify RUN_ID"
        ) from None
    document = apply_set(stored, overrides)
    stored = effective.as_stored(document)
    known = stored.pop(SECRETS, [])
    work = _Work(STORED)
    work.environ = _environment(environ, dotenv)
    found = []
    for key, reference, fingerprint in entries:
        if key == DATABASE:
            at(stored, key[:-1])[key[-1]] = SOMEWHERE
            continue
        value = work.retaken(key, reference)
        if value is None:
            continue
        at(stored, key[:-1])[key[-1]] = value
        found.append(secrets.Secret(key, reference, secrets.pieces(value), literal=False))
        if secrets.fingerprint(value, work.environ) != fingerprint:
            work.warnings.append(Problem(STORED, None, dotted(key), "this credential, or ELSPETH_FINGERPRINT_KEY, is "
                                         "another one than when the run started", found=reference))  # fmt: skip
    # What is compared and hashed is the document as it was stored, not what is filled into it.
    return replace(work.finish(stored, None, found, known), document=document)


def stored_variables(settings_json: str) -> tuple[str, ...]:
    """The variables of the environment from which `load_stored` takes the credentials of these settings."""
    found = []
    for entry in json.loads(settings_json).get(SECRETS, []):
        if tuple(entry["path"]) == DATABASE:
            continue
        if secrets.REDACTED in entry["reference"]:
            found.append(variable_for(tuple(entry["path"])))
        found += _VARIABLE.findall(entry["reference"])
    return tuple(found)


def credential_variables(path: Path) -> tuple[str, ...]:
    """The variables of a settings file that are named as credentials are, as far as the file can be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ()  # whoever loads it says why
    return tuple(name for name in _VARIABLE.findall(text) if secrets.is_credential(name))


class NotKnown(str):
    """A text that could not be filled in, as it stands, until it is where it belongs."""

    __slots__ = ()


class _Work:
    """What gathers while a document is made ready."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.environ: Mapping[str, str] = {}
        self.lines: dict[KeyPath, int] = {}
        self.origins: dict[KeyPath, str] = {}
        self.texts: dict[KeyPath, str] = {}
        self.unknown: set[KeyPath] = set()
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    @property
    def positions(self) -> Positions:
        return Positions(self.file, self.lines, self.origins, self.unknown)

    def expanded(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            return {key: self.expanded(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.expanded(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        try:
            text = environment.expand(value, self.environ)
            if not storable(text):
                raise ExpansionError("a variable in this text holds bytes that are no UTF-8")
            return text
        except ExpansionError as error:
            allowed = f"set it, or give a default: ${{{error.variable}:-...}}" if error.variable else ""
            guess = suggest(error.variable, self.environ) if error.variable else ""
            self.problems.append(self.positions.problem(path, str(error), allowed=allowed, suggestion=guess))
            self.unknown.add(path)
            return NotKnown(value)

    def override(self, data: dict[str, Any], override: Override) -> None:
        """Put one value in place; a problem names the variable or option if there is no such place."""
        if override.variable is not None and not override.text:
            return  # set but empty counts as not set, as in `${VAR:-...}`
        path, fits = place(data, override.keys)
        if not fits:
            what = f"there is no {dotted(override.keys)} in these settings"
            self.problems.append(Problem(override.origin, None, dotted(path), what))
            return
        text: str = override.text
        if not storable(text):
            self.problems.append(Problem(override.origin, None, dotted(path), "holds bytes that are no UTF-8"))
            return
        value: Any = text
        if override.variable is not None:
            value = Expanded((VariableReference(override.variable, text),))
        elif "${" in text:
            self.origins[path] = override.origin
            value = self.expanded(text, path)
        if not isinstance(value, Expanded) or override.variable is not None:
            read = scalar(text)
            if not secrets.is_credential(str(path[-1])) and (not isinstance(read, str) or text[:1] in ("'", '"')):
                value = read
                self.texts[path] = text
        holder: Any = data
        for depth, part in enumerate(path[:-1]):
            if isinstance(holder, dict) and holder.get(str(part)) is None:
                holder[str(part)] = {}
                self.origins[path[: depth + 1]] = override.origin
            holder = holder[part]
        holder[path[-1]] = value
        self.origins[path] = override.origin

    def take_out(self, data: Any, path: KeyPath = ()) -> None:
        """Let nothing stand in place of what is not known, and keep where that is by now: keys may have moved."""
        for key, value in list(data.items() if isinstance(data, dict) else enumerate(data)):
            if isinstance(value, NotKnown):
                data[key] = None
                self.unknown.add((*path, key))
            elif isinstance(value, dict | list):
                self.take_out(value, (*path, key))

    def retaken(self, key: KeyPath, reference: str) -> Expanded | None:
        """The credential that was stored as `reference`, from the environment."""
        variable = variable_for(key)
        template = f"${{{variable}}}" if secrets.REDACTED in reference else reference
        try:
            value = environment.expand(template, self.environ)
        except ExpansionError as error:
            why = "this credential stood in the file itself and is not stored; " if template != reference else ""
            self.problems.append(Problem(STORED, None, dotted(key), f"{why}{error}", allowed=f"set {error.variable}"))
            return None
        return value if isinstance(value, Expanded) else None

    def finish(
        self,
        data: dict[str, Any],
        path: Path | None,
        found: list[secrets.Secret],
        known: list[dict[str, Any]],
        further: Further | None = None,
    ) -> Loaded:
        """Check what has gathered, and raise if anything is wrong with it."""
        credentials = {value: stand_in for secret in found for value, stand_in in secret.values.items()}
        credentials.update((str(at(data, secret.path)), secret.reference) for secret in found)
        self._refuse_literals(found)
        settings, problems = check(data, self.positions, self.texts)
        self._add(problems)
        if settings is not None:
            self._add(cluster.missing(settings.cluster, self.positions, self.environ))
            if path is not None:  # a run that was started may be looked at where nothing of it is set
                self._add(cluster.unset(settings.cluster, self.positions, self.environ))
        understood = settings or remaining(data, self.lines, self.unknown)
        if further is not None and understood is not None:
            try:
                further(understood, self.positions)
            except SettingsProblems as more:
                self._add(more.problems)
        if self.problems or settings is None:
            raise SettingsProblems(dict.fromkeys(concealed(self.problems, credentials)))
        self._warn(settings)
        document = effective.complete(plain(data), settings)
        for secret in found:
            at(document, secret.path[:-1])[secret.path[-1]] = secret.reference
        listed = known or [
            {
                "path": list(secret.path),
                "reference": secret.reference,
                "fingerprint": secrets.fingerprint(str(at(data, secret.path)), self.environ),
            }
            for secret in found
        ]
        if listed:
            document[SECRETS] = listed
        warnings = tuple(concealed(self.warnings, credentials))
        names = settings.cluster.runtime.env if settings.cluster is not None else ()
        passed_on = {name: self.environ[name] for name in names if name in self.environ}
        return Loaded(settings, document, warnings, self.positions, path, credentials, passed_on)

    def _add(self, problems: Iterable[Problem]) -> None:
        # One thing wrong is told once, by whoever finds it first.
        reported = {problem.key for problem in self.problems}
        self.problems += [problem for problem in problems if problem.key not in reported]

    def _refuse_literals(self, found: Iterable[secrets.Secret]) -> None:
        allowed = self.environ.get(secrets.ALLOW_RAW, "").lower() in _TRUE
        for secret in found:
            if not secret.literal:
                continue
            message = "a credential must not stand here itself"
            problem = self.positions.problem(secret.path, message, found="a value that is not shown",
                                             allowed=f"${{VARIABLE}}, or {secrets.ALLOW_RAW}=true")  # fmt: skip
            (self.warnings if allowed else self.problems).append(problem)

    def _warn(self, settings: Settings) -> None:
        self.warnings += service_warnings.warnings(settings, self.positions)
        if settings.telemetry.otlp is not None and find_spec("opentelemetry") is None:
            what = "spans need the extra otlp: pip install 'elspeth[otlp]'; without it a run says so and goes on"
            self.warnings.append(self.positions.problem(("telemetry", "otlp"), what))
        if not settings.checkpoint.enabled:
            what = "without checkpoints a run cannot be resumed"
            self.warnings.append(self.positions.problem(("checkpoint", "enabled"), what))


def concealed(problems: Iterable[Problem], credentials: Mapping[str, str]) -> list[Problem]:
    """The problems, saying nothing of the credentials: plugins may put options into what they say."""
    concealment = Concealment(credentials)

    def text(value: str) -> str:
        return concealment.text(str(secrets.conceal(value, credentials)))

    return [
        Problem(
            each.file, each.line, each.key, text(each.message), text(each.found), text(each.allowed), each.suggestion
        )
        for each in problems
    ]


def filled_in(text: str, environ: Mapping[str, str], dotenv: bool | Path) -> str:
    """A text of the command line with its variables filled in. Raises `SettingsError`."""
    try:
        return environment.expand(text, _environment(environ, dotenv))
    except ExpansionError as error:
        raise SettingsError(f"{text}: {error}", next_step=f"set {error.variable}" if error.variable else "") from None


def _environment(environ: Mapping[str, str], dotenv: bool | Path) -> dict[str, str]:
    usual = Path(".env")
    file = dotenv if isinstance(dotenv, Path) else usual if dotenv and usual.exists() else None
    try:
        return environment.merged(environ, file)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"
        allowed = "--no-dotenv" if file == usual else ""
        raise SettingsProblems([Problem(str(file), None, "", f"cannot be read: {why}", allowed=allowed)]) from None
