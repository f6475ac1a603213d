"""What tests ask for by name: `outputs_of`, what a run of a trial pipeline leaves behind where nobody disturbs it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests.kit.pipelines.trial import lay, settings
from tests.kit.processes.tree import Tree, outputs

OutputsOf = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def outputs_of(tmp_path_factory: pytest.TempPathFactory) -> OutputsOf:
    """Answers, for so many rows and these options of `trial.settings`, what `tree.outputs` says; each is run once."""

    @cache
    def made(rows: int, **options: Any) -> dict[str, str]:
        folder = lay(tmp_path_factory.mktemp("undisturbed") / "run", rows, settings(**options))
        with Tree.run(folder) as tree:
            assert tree.wait() == 0, tree.log
        return outputs(folder)

    return made
