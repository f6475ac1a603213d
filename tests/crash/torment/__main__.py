"""Torments runs at random and checks what must hold, for as long as it is told.

    ops/torment --seconds 600
    ops/torment --seed 7 --round 12 --kind damage

It prints each violation as it is found and a tally at the end, and ends with 1 if anything was violated; then the
folders concerned are kept, and each violation names the arguments that repeat its round.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from tests.crash.torment.campaign import KINDS, Campaign


def main() -> int:
    """Answers 1 if anything was violated."""
    parser = argparse.ArgumentParser("ops/torment", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long to begin rounds")
    parser.add_argument("--seed", type=int, help="what decides; by default another one each time")
    parser.add_argument("--round", type=int, help="this round alone")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only rounds of this kind")
    parser.add_argument("--folder", type=Path, help="where to work; by default a new temporary folder")
    asked = parser.parse_args()
    seed = random.randrange(1 << 32) if asked.seed is None else asked.seed
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="elspeth-torment-"))
    print(f"seed {seed}, in {folder}", flush=True)
    campaign = Campaign(folder, seed, asked.kind or tuple(KINDS))
    end = time.monotonic() + asked.seconds
    for number in count() if asked.round is None else [asked.round]:
        if asked.round is None and time.monotonic() > end:
            break
        for found in campaign.round(number):
            print(found, flush=True)
    print(campaign.tally, flush=True)
    return 1 if campaign.tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
