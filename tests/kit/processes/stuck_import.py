"""A child whose module never finishes its import."""

from __future__ import annotations

import time

from actors import Child

time.sleep(3600.0)


class Never(Child):
    """Is never reached."""
