"""How a worker on another machine settles in the folder that it was started in."""

from __future__ import annotations

import os
from pathlib import Path

from elspeth import located
from elspeth.concealment import Concealment
from elspeth.errors import Temporary
from elspeth.roles.baggage import ROOT, STATE, lay_out
from elspeth.roles.elsewhere.files import forbid
from elspeth.roles.plan import Plan


def settle(plan: Plan, concealment: Concealment) -> Concealment:
    """Lay out what came along, and work where the head machine's working directory is then.

    Answers what takes the place of copies out of texts: there stand the paths that the run knows. Raises `Temporary`.
    """
    assert plan.baggage is not None
    folder = Path.cwd()
    root = folder / ROOT
    try:
        copies = lay_out(plan.baggage, folder, plan.working_directory)
        os.chdir(root / plan.working_directory.lstrip("/"))
    except OSError as error:
        raise Temporary(
            f"what came along cannot be laid out in {folder}: {error.strerror or error}",
            next_step=f"see to the disk of that machine, then: elspeth resume {plan.run_id}",
        ) from error
    located.elsewhere(root, {**copies, plan.state_directory: folder / STATE})
    forbid(path for path in copies if path.startswith("/"))
    return Concealment({**concealment.secrets, str(root): ""})
