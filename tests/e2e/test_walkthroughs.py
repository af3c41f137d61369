"""The walk-throughs of docs/ run as they stand: on small tables of the same shape, and on the real ones where they are."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.client.live import LiveService, live_service
from tests.documents import DOCS, run_blocks

NEW_SNAPSHOT = DOCS / "walkthroughs" / "new-snapshot.md"
NUM_BOOKINGS = 900


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveService]:
    with live_service(tmp_path / "home") as running:
        monkeypatch.setenv("ROOTSTOCK_URL", running.url)
        monkeypatch.setenv("ROOTSTOCK_KEY", running.key)
        yield running


def bookings(num_rows: int) -> pl.DataFrame:
    """Like the real table: sorted by hotel, three targets, and three columns that give one of them away."""
    draw = random.Random(11)
    rows = []
    for row in range(num_rows):
        hotel = "Resort Hotel" if row < num_rows // 2 else "City Hotel"
        lead, guests = int(draw.expovariate(1 / 90)), draw.randint(1, 4)
        segment = draw.choices(["Online TA", "Direct", "Groups"], [6, 2, 1 + lead / 60])[0]
        canceled = int(draw.random() < min(0.9, 0.1 + lead / 250 + 0.3 * (segment == "Groups")))
        rows.append(
            {
                "hotel": hotel,
                "is_canceled": canceled,
                "lead_time": lead,
                "arrival_date_month": draw.choice(["May", "June", "July", "August"]),
                "adults": guests,
                "market_segment": segment,
                "deposit_type": "Non Refund" if canceled and draw.random() < 0.3 else "No Deposit",
                "assigned_room_type": draw.choice("ABC"),
                "adr": round(40.0 + 25.0 * guests + 20.0 * (hotel == "City Hotel") + draw.gauss(0, 8), 2),
                "reservation_status": "Canceled" if canceled else "Check-Out",
                "reservation_status_date": f"2016-0{1 + row % 9}-11",
            }
        )
    return pl.DataFrame(rows)


def check_new_snapshot(namespace: dict[str, object], printed: str) -> None:
    client, refit = namespace["client"], namespace["refit"]
    result = refit.result  # type: ignore[attr-defined]
    assert (result["encoder"], result["snapshot"]) == (2, 2)
    assert len(result["views"]) == 1
    for row in result["summary"]:
        assert (row["champion"], row["version"]) == (1, 2)
        assert row["on"] in {"holdout", "out_of_fold"}
        assert row["low"] <= row["difference"] <= row["high"]
        assert row["sentence"] in printed
        # What the job moved was taken back.
        assert client.alias("bookings", row["target"])["version"] == 1  # type: ignore[attr-defined]
    assert client.table("bookings")["active_encoder"] == 1  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.usefixtures("live")
def test__new_snapshot__on_a_small_table__runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tables").mkdir()
    bookings(NUM_BOOKINGS).write_parquet(tmp_path / "tables" / "hotel_bookings.parquet")
    monkeypatch.setenv("DATA", str(tmp_path))
    monkeypatch.setenv("SECONDS", "1")
    check_new_snapshot(run_blocks(NEW_SNAPSHOT), capsys.readouterr().out)


@pytest.mark.realdata
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("live")
def test__new_snapshot__on_the_real_table__runs_as_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (Path(os.environ.get("DATA", "/nowhere")) / "tables" / "hotel_bookings.parquet").exists():
        pytest.skip("no real tables: set DATA=dir to a folder with tables/hotel_bookings.parquet")
    monkeypatch.setenv("SECONDS", os.environ.get("SECONDS", "5"))
    namespace = run_blocks(NEW_SNAPSHOT)
    printed = capsys.readouterr().out
    with capsys.disabled():
        sys.stdout.write(f"\n{printed}")
    check_new_snapshot(namespace, printed)
