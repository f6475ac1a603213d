"""One YAML file, its environment and its secrets, checked; every problem with its line."""

from elspeth.settings.compare import CHANGEABLE, apply_set, changes, difference, result_settings, settings_hash
from elspeth.settings.environment import merged as merged_environment
from elspeth.settings.error_recovery import wires
from elspeth.settings.load import Loaded, load, load_stored
from elspeth.settings.model import Settings
from elspeth.settings.problems import Positions, Problem, SettingsProblems, suggest
from elspeth.settings.secrets import is_credential

__all__ = [
    "CHANGEABLE",
    "Loaded",
    "Positions",
    "Problem",
    "Settings",
    "SettingsProblems",
    "apply_set",
    "changes",
    "difference",
    "is_credential",
    "load",
    "load_stored",
    "merged_environment",
    "result_settings",
    "settings_hash",
    "suggest",
    "wires",
]
