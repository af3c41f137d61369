"""How threads of numeric libraries share cores with other work. Imported before any of these libraries is."""

from __future__ import annotations

YIELDING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""For the environment: threads sleep at a barrier instead of spinning.

Beside other work on the same cores a spinning thread keeps the one it waits for from running: pretraining was six times
slower (3 threads on 4 busy cores, 292 against 1,819 rows/s), predicting 100 rows sixteen times (4 threads, 349 to 689
against 21 to 30 ms) and, on four idle cores, fourteen times (171 against 12 ms).
"""
