"""What holds for every test."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

from tests.kit.postgres.fixtures import _shared_server, postgres, postgres_server  # noqa: F401

# Who starts the tests in the background of a shell starts them with SIGINT ignored, `nohup` with SIGHUP ignored, and so
# every program they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Examples depend on nothing but the test: what fails here fails everywhere, and nothing because a machine is busy.
# New ones are looked for with HYPOTHESIS_PROFILE=search, which remembers what failed.
_common = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", _common, derandomize=True, database=None)
settings.register_profile("search", _common, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
