"""How threads of numeric libraries share cores with other work. Imported before any of these libraries is."""

from __future__ import annotations

import os

YIELDING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""For the environment: threads sleep at a barrier instead of spinning.

Beside other work on the same cores a spinning thread keeps the one it waits for from running: pretraining was six times
slower (3 threads on 4 busy cores, 292 against 1,819 rows/s), and an answer for 100 rows took 2,200 ms by HTTP against 92
(`OMP_WAIT_POLICY=ACTIVE rootstock serve` with three busy processes beside it on 4 cores; one row 525 ms against 35).
"""


def yield_at_barriers() -> None:
    """Set it for this process, as far as whoever started it has not; libraries that are loaded do not hear of it."""
    for name, value in YIELDING.items():
        os.environ.setdefault(name, value)
