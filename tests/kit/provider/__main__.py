"""`python -m tests.kit.provider --log FILE`: the fake provider as a process of its own; prints its address first."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from tests.kit.provider.server import FakeProvider


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--log", type=Path)
    words.add_argument("--port", type=int, default=0)
    words.add_argument("--seconds", type=float, default=0.0)
    words.add_argument("--lognormal", action="store_true", help="answers take --seconds in the median")
    words.add_argument("--per-minute", type=int)
    words.add_argument("--honours-keys", action="store_true")
    words.add_argument("--fault", action="append", default=[])
    given = words.parse_args()
    chance = random.Random(1)
    seconds = (lambda _: given.seconds * chance.lognormvariate(0, 0.5)) if given.lognormal else given.seconds
    with FakeProvider(log=given.log, port=given.port, seconds=seconds, per_minute=given.per_minute,
                      honours_keys=given.honours_keys, faults=given.fault) as provider:  # fmt: skip
        sys.stdout.write(f"{provider.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
