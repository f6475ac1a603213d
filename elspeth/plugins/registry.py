"""Finds the class behind a plugin name: built in, from a file of the user's, or from an installed package.

Built-in plugins stand in a table of names, so that only what a pipeline uses is imported; packages announce theirs
under the entry point group `elspeth.plugins` (each entry is a plugin class, or a module of them) and are looked at
only when a name is not found otherwise.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from elspeth.errors import ElspethError, SettingsError
from elspeth.located import known_as, located
from elspeth.plugins import contract, options
from elspeth.plugins.failures import last_line, line_in, words

Kind = Literal["source", "transform", "aggregation", "sink"]
PluginClass = type[contract.Plugin]

ENTRY_POINT_GROUP = "elspeth.plugins"

_STATISTICS = "elspeth.plugins.aggregations.statistics"

BUILT_IN: dict[tuple[Kind, str], str] = {
    ("source", "csv"): "elspeth.plugins.sources.csv_source:CsvSource",
    ("source", "json"): "elspeth.plugins.sources.json_source:JsonSource",
    ("source", "text"): "elspeth.plugins.sources.text_source:TextSource",
    ("source", "null"): "elspeth.plugins.sources.null_source:NullSource",
    ("transform", "passthrough"): "elspeth.plugins.transforms.passthrough:Passthrough",
    ("transform", "field_mapper"): "elspeth.plugins.transforms.field_mapper:FieldMapper",
    ("transform", "value_transform"): "elspeth.plugins.transforms.value_transform:ValueTransform",
    ("transform", "type_coerce"): "elspeth.plugins.transforms.type_coerce:TypeCoerce",
    ("transform", "truncate"): "elspeth.plugins.transforms.truncate:Truncate",
    ("transform", "keyword_filter"): "elspeth.plugins.transforms.keyword_filter:KeywordFilter",
    ("transform", "json_explode"): "elspeth.plugins.transforms.json_explode:JsonExplode",
    ("transform", "line_explode"): "elspeth.plugins.transforms.line_explode:LineExplode",
    ("transform", "filter"): "elspeth.plugins.transforms.filter:Filter",
    ("transform", "drop_fields"): "elspeth.plugins.transforms.drop_fields:DropFields",
    ("transform", "llm"): "elspeth.plugins.transforms.llm:Llm",
    ("transform", "http"): "elspeth.plugins.transforms.http:Http",
    ("transform", "lookup"): "elspeth.plugins.transforms.lookup:Lookup",
    ("transform", "deduplicate"): "elspeth.plugins.transforms.deduplicate:Deduplicate",
    ("aggregation", "batch_stats"): "elspeth.plugins.aggregations.batch_stats:BatchStats",
    ("aggregation", "sort"): "elspeth.plugins.aggregations.sort:Sort",
    ("aggregation", "limit"): "elspeth.plugins.aggregations.limit:Limit",
    ("aggregation", "batch_replicate"): "elspeth.plugins.aggregations.batch_replicate:BatchReplicate",
    ("aggregation", "report_assemble"): "elspeth.plugins.aggregations.report_assemble:ReportAssemble",
    ("aggregation", "batch_classifier_metrics"): f"{_STATISTICS}.classifier_metrics:BatchClassifierMetrics",
    ("aggregation", "batch_data_quality_report"): f"{_STATISTICS}.data_quality_report:BatchDataQualityReport",
    ("aggregation", "batch_distribution_profile"): f"{_STATISTICS}.distribution_profile:BatchDistributionProfile",
    ("aggregation", "batch_drift_compare"): f"{_STATISTICS}.drift_compare:BatchDriftCompare",
    ("aggregation", "batch_effect_size"): f"{_STATISTICS}.effect_size:BatchEffectSize",
    ("aggregation", "batch_experiment_compare"): f"{_STATISTICS}.experiment_compare:BatchExperimentCompare",
    ("aggregation", "batch_outlier_annotator"): f"{_STATISTICS}.outlier_annotator:BatchOutlierAnnotator",
    ("aggregation", "batch_paired_preference"): f"{_STATISTICS}.paired_preference:BatchPairedPreference",
    ("aggregation", "batch_threshold_summary"): f"{_STATISTICS}.threshold_summary:BatchThresholdSummary",
    ("aggregation", "batch_top_k"): f"{_STATISTICS}.top_k:BatchTopK",
    ("sink", "csv"): "elspeth.plugins.sinks.csv_sink:CsvSink",
    ("sink", "json"): "elspeth.plugins.sinks.json_sink:JsonSink",
    ("sink", "text"): "elspeth.plugins.sinks.text_sink:TextSink",
    ("sink", "null"): "elspeth.plugins.sinks.null_sink:NullSink",
}

# What each kind must bring along itself: the contract's own versions only raise.
_DUTIES: dict[Kind, tuple[type[contract.Plugin], tuple[str, ...]]] = {
    "source": (contract.Source, ("read",)),
    "transform": (contract.Transform, ("process",)),
    "aggregation": (contract.Aggregation, ("process",)),
    "sink": (contract.Sink, ("inspect", "open", "write", "flush")),
}


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One line of `elspeth plugins list`. `delivery` is None for everything but sinks; `origin` says who brought it."""

    kind: Kind
    name: str
    version: str
    determinism: contract.Determinism
    delivery: contract.Delivery | None
    summary: str
    module: str
    origin: str


@dataclass(frozen=True, slots=True)
class _Found:
    plugin: PluginClass
    origin: str


# What was loaded beside the built-in plugins; like `sys.modules`, one per process.
_from_files: dict[tuple[Kind, str], _Found] = {}
_texts: dict[str, bytes] = {}

_MODULE_PREFIX = "elspeth_plugin_"


def find(kind: Kind, name: str) -> PluginClass:
    """The class of the plugin of this kind and name.

    Raises `SettingsError` for an unknown name (with the known ones), and for a class that breaks the contract.
    """
    key = (kind, name)
    if key in BUILT_IN:
        return _import_built_in(key)
    if key in _from_files:
        return _from_files[key].plugin
    from_packages, broken = _load_packages()
    if key in from_packages:
        return from_packages[key].plugin
    raise _unknown(kind, name, {*BUILT_IN, *_from_files, *from_packages}, broken)


def available() -> list[PluginInfo]:
    """Every plugin that can be named in settings now, by kind and name. Imports all of them."""
    found = {key: _Found(_import_built_in(key), "built in") for key in BUILT_IN}
    found |= {key: value for key, value in _load_packages()[0].items() if key not in found}
    found |= _from_files
    order = list(_DUTIES)
    return [
        _info(kind, name, found[kind, name]) for kind, name in sorted(found, key=lambda k: (order.index(k[0]), k[1]))
    ]


def load_files(paths: Sequence[Path], *, named_in: str = "`plugins` in the settings") -> None:
    """Load these plugin files; one that was loaded before is left alone. `named_in` says where they were named.

    Raises `SettingsError` naming file and line if a file cannot be read or run, holds no plugin, or uses a taken name.
    """
    for path in paths:
        resolved = Path(os.path.realpath(located(path)))  # Path.resolve raises where links lead in a circle
        module_name = _module_name(Path(known_as(resolved)))
        if module_name in sys.modules:
            continue
        try:
            _register(path, list(_plugin_classes(_run_file(path, resolved, module_name, named_in))))
        except SettingsError:
            # A file that failed leaves nothing behind, so that a second try says the same.
            sys.modules.pop(module_name, None)
            raise


def file_hash(path: Path) -> str | None:
    """SHA-256 (hex) of the text of this plugin file as it was loaded; None if it was not."""
    text = _texts.get(_module_name(Path(os.path.realpath(path))))
    return hashlib.sha256(text).hexdigest() if text is not None else None


@contextmanager
def apart() -> Iterator[None]:
    """What is loaded from files inside is forgotten at the end: pipelines with plugins of one name can be looked at
    one after the other.
    """
    found, texts, modules = dict(_from_files), dict(_texts), set(sys.modules)
    try:
        yield
    finally:
        for held, before in ((_from_files, found), (_texts, texts)):
            held.clear()
            held.update(before)  # type: ignore[arg-type]
        for name in sys.modules.keys() - modules:
            if name.startswith(_MODULE_PREFIX):
                del sys.modules[name]


def build(cls: PluginClass, raw_options: dict[str, Any], where: str) -> contract.Plugin:
    """A plugin object with checked options. `where` names its place in the settings, for messages.

    Raises `elspeth.plugins.options.OptionProblems`, which lists every problem of the options, and `SettingsError` where
    the plugin's own `__init__` fails or would end the program.
    """
    checked = options.check(cls, raw_options, where)
    try:
        return cls(checked)
    except ElspethError:
        raise
    except (Exception, SystemExit) as error:
        line = last_line(error)
        raise SettingsError(
            f"The plugin {cls.name} failed when it was made: {type(error).__name__}: {words(error)}",
            details=[f"at {line}"] if line else [],
            next_step="Correct its __init__, or the options it was given.",
        ) from error


def kind_of(cls: PluginClass) -> Kind:
    """The kind of a plugin class. Raises `SettingsError` if it derives from none of the four."""
    for kind, (base, _) in _DUTIES.items():
        if issubclass(cls, base):
            return kind
    raise SettingsError(f"The plugin class {cls.__name__} derives from none of Source, Transform, Aggregation, Sink.")


def source_hash(cls: PluginClass) -> str:
    """SHA-256 (hex) of the source text of the module that defines the class, and of those that define its bases.

    Modules of the contract do not count. Code that has no source text is known by its module, name and version alone.
    """
    digest = hashlib.sha256()
    seen: set[str] = set()
    for base in cls.__mro__:
        if not issubclass(base, contract.Plugin) or base.__module__ in {contract.__name__, *seen}:
            continue
        seen.add(base.__module__)
        digest.update(_text_of(base))
    return digest.hexdigest()


def _text_of(cls: PluginClass) -> bytes:
    if cls.__module__ not in _texts:
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        path = Path(file) if file else None
        if path is None or path.suffix != ".py" or not path.is_file():
            return f"{cls.__module__}:{cls.__qualname__}:{cls.version}".encode()
        _texts[cls.__module__] = path.read_bytes()
    return _texts[cls.__module__]


def _import_built_in(key: tuple[Kind, str]) -> PluginClass:
    module, _, attribute = BUILT_IN[key].partition(":")
    cls: PluginClass = getattr(importlib.import_module(module), attribute)
    return cls


def _module_name(resolved: Path) -> str:
    # The path is part of the name: two files called checks.py in two folders are two modules.
    stem = "".join(c if c.isalnum() else "_" for c in resolved.stem)
    return f"{_MODULE_PREFIX}{stem}_{hashlib.sha256(str(resolved).encode()).hexdigest()[:8]}"


def _register(path: Path, classes: list[PluginClass]) -> None:
    found: dict[tuple[Kind, str], _Found] = {}
    for plugin in classes:
        check_contract(plugin, f"plugin file {path}")
        key = (kind_of(plugin), plugin.name)
        if key in BUILT_IN or key in _from_files or key in found:
            other = "built in" if key in BUILT_IN else (_from_files | found)[key].origin
            raise SettingsError(
                f"The plugin file {path} defines the {key[0]} {key[1]!r}, but there is one already ({other}).",
                next_step=f"Give {plugin.__name__} another `name`.",
            )
        found[key] = _Found(plugin, f"file {path}")
    if not found:
        raise SettingsError(
            f"The plugin file {path} holds no plugin.",
            next_step="Give it a class with a `name` that derives from Source, Transform, Aggregation or Sink.",
        )
    _from_files.update(found)


def _run_file(path: Path, resolved: Path, module_name: str, named_in: str) -> ModuleType:
    try:
        text = resolved.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"The plugin file {path} cannot be read: {error.strerror}.",
            details=[f"looked for {resolved}"],
            next_step=f"Correct {named_in}; paths are relative to the working directory.",
        ) from error
    module = ModuleType(module_name)
    module.__file__ = str(resolved)
    sys.modules[module_name] = module
    try:
        exec(compile(text, str(resolved), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        line = line_in(error, str(resolved))
        place = f" at line {line}" if line else ""
        raise SettingsError(
            f"The plugin file {path} failed{place}: {type(error).__name__}: {words(error)}",
            next_step=f"Correct {path} and run the command again.",
        ) from error
    # The text that was run is the text that is recorded, even if the file is saved again a moment later.
    _texts[module_name] = text
    return module


def _plugin_classes(module: ModuleType) -> Iterator[PluginClass]:
    for value in vars(module).values():
        if not isinstance(value, type) or not issubclass(value, contract.Plugin):
            continue
        # Bases without a name, private classes and what the module merely imported are no plugins of its own.
        if value.__module__ == module.__name__ and not value.__name__.startswith("_") and hasattr(value, "name"):
            yield value


def check_contract(cls: PluginClass, origin: str) -> None:
    """Raise `SettingsError` if the class cannot be a plugin; `origin` says where it came from."""
    kind = kind_of(cls)
    base, duties = _DUTIES[kind]
    problems = [
        f"it does not define {duty}()" for duty in duties if getattr(cls, duty) is getattr(base, duty)
    ]  # fmt: skip
    if not isinstance(cls.name, str) or not cls.name:
        problems.append(f"its `name` is {cls.name!r}, not a text")
    if not (isinstance(cls.Options, type) and issubclass(cls.Options, contract.PluginOptions)):
        problems.append("its `Options` is no class that derives from PluginOptions")
    if cls.determinism not in ("deterministic", "nondeterministic"):
        problems.append(f"its `determinism` is {cls.determinism!r}, not 'deterministic' or 'nondeterministic'")
    if issubclass(cls, contract.Sink) and cls.delivery not in ("exactly_once", "at_least_once"):
        problems.append(f"its `delivery` is {cls.delivery!r}, not 'exactly_once' or 'at_least_once'")
    if problems:
        raise SettingsError(f"The {kind} class {cls.__name__} ({origin}) breaks the plugin contract.", details=problems)
    if cls.api_version > contract.API_VERSION:
        raise SettingsError(
            f"The {kind} {cls.name!r} ({origin}) is made for plugin API version {cls.api_version}; "
            f"this Elspeth offers version {contract.API_VERSION}.",
            next_step="Install a newer Elspeth, or an older version of the plugin.",
        )


def _load_packages() -> tuple[dict[tuple[Kind, str], _Found], list[str]]:
    """Plugins of installed packages, and a sentence per entry that could not be used."""
    found: dict[tuple[Kind, str], _Found] = {}
    broken: list[str] = []
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        origin = _package(entry)
        try:
            value = entry.load()
            classes = list(_plugin_classes(value)) if isinstance(value, ModuleType) else [value]
            for plugin in classes:
                if not (isinstance(plugin, type) and issubclass(plugin, contract.Plugin)):
                    broken.append(f"{origin}: {entry.value} is neither a plugin class nor a module")
                    continue
                check_contract(plugin, origin)
                found.setdefault((kind_of(plugin), plugin.name), _Found(plugin, origin))
        except SettingsError as error:
            broken.append(error.message)
        except Exception as error:  # noqa: BLE001 - somebody else's package; told when a name is missing
            broken.append(f"{origin}: {entry.value} cannot be imported: {type(error).__name__}: {error}")
    return found, broken


def _package(entry: EntryPoint) -> str:
    return f"package {entry.dist.name} {entry.dist.version}" if entry.dist else f"entry point {entry.name}"


_NOT_YET: dict[tuple[Kind, str], str] = {
    ("sink", "database"): "writes into a database; this Elspeth writes files only",
}
"""Plugins that files of this format name, and why there are none of that name."""


def _unknown(kind: Kind, name: str, known: set[tuple[Kind, str]], broken: list[str]) -> SettingsError:
    if (kind, name) in _NOT_YET:
        return SettingsError(f"The {kind} {name!r} {_NOT_YET[kind, name]}.")
    names = sorted(n for k, n in known if k == kind)
    message = f"There is no {kind} called {name!r}."
    others = sorted(k for k, n in known if n == name)
    close = difflib.get_close_matches(name, names, n=1)
    if others:
        message += f" {name!r} is a {' and a '.join(others)}."
    elif close:
        message += f" Did you mean {close[0]!r}?"
    return SettingsError(
        message,
        details=[f"known {kind}s: {', '.join(names)}", *(f"not usable: {sentence}" for sentence in broken)],
        next_step="`elspeth plugins list` shows all; `plugins: [FILE]` in the settings adds your own.",
    )


def _info(kind: Kind, name: str, found: _Found) -> PluginInfo:
    cls = found.plugin
    return PluginInfo(
        kind=kind,
        name=name,
        version=cls.version,
        determinism=cls.determinism,
        delivery=cls.delivery if issubclass(cls, contract.Sink) else None,
        summary=summary(cls),
        module=cls.__module__,
        origin=found.origin,
    )


def summary(cls: PluginClass) -> str:
    """The first line of the class's docstring, or nothing."""
    return (cls.__doc__ or "").strip().partition("\n")[0]
