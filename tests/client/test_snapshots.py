"""A table that grows while it serves: heads of an older snapshot predict rows of the new one, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from rootstock_client import Client, ConflictError, InvalidRequestError, JobFailed
from tests.client.live import NUM_ROWS, LiveService, prepare_table, small_table
from tests.client.service import PreparedService, form_of, job, ok

OLD, NEW = ["00003", "00017", "00300"], ["9001", "9002"]


@pytest.fixture(scope="module")
def growing(service: LiveService) -> Iterator[Client]:
    with service.client() as client:
        prepare_table(client, "growing")
        yield client
        client.delete_table("growing")


def newcomers() -> pl.DataFrame:
    return small_table().head(40).with_columns(id=pl.Series([f"9{row:03}" for row in range(40)]))


def probabilities(client: Client, keys: list[str]) -> Any:
    return client.predict("growing", ["churn:1"], keys=keys).predictions["churn:1"]["probabilities"]


def test__table__that_grows__serves_old_rows_as_before_and_new_ones_too(growing: Client) -> None:
    before = probabilities(growing, OLD)
    ended = growing.wait(growing.add_snapshot("growing", newcomers(), mode="append"))
    assert ended.result is not None
    assert ended.result["changes"]["added"] == 40
    assert probabilities(growing, OLD) == before
    assert len(probabilities(growing, [*OLD, *NEW])) == 5
    assert growing.profile("growing")["num_rows"] == NUM_ROWS + 40
    assert growing.profile("growing", snapshot=1)["num_rows"] == NUM_ROWS
    fitted = growing.wait(growing.finetune("growing", "churn", max_labels=100, max_seconds=5))
    assert fitted.status == "succeeded"

    # A column comes as text, one goes, one is new: what an old encoder cannot read is missing to it.
    odd = small_table().select("id", pl.col("visits").cast(pl.String) + "x", "region", later=pl.lit("new"))
    with pytest.raises(JobFailed) as refused:
        growing.wait(growing.add_snapshot("growing", odd, mode="replace"))
    assert "drift_refused" in str(refused.value)
    taken = growing.wait(growing.add_snapshot("growing", odd, mode="replace", accept_drift=True))
    assert taken.result is not None
    assert taken.result["stale"][0]["encoder"] == 1
    assert probabilities(growing, OLD) != before
    row = {"region": "north", "visits": "3x", "later": "new"}
    assert growing.predict("growing", ["churn:1"], rows=[{**row, "visits": 3}]).predictions["churn:1"]

    restored = growing.restore_snapshot("growing", 1)
    assert (restored["version"], restored["mode"], restored["parent"]) == (4, "restore", 1)
    assert probabilities(growing, OLD) == before
    assert [one["mode"] for one in growing.snapshots("growing")] == [
        "restore",
        "replace",
        "append",
        "replace",
    ]
    assert growing.snapshot("growing", 3)["drift_report"]["severity"] == "severe"


def test__proposals__are_listed_and_accepted(growing: Client) -> None:
    proposals = growing.proposals("growing")
    assert all({"column", "reason", "fixed"} <= one.keys() for one in proposals)
    accepted = growing.accept_proposals("growing")
    assert {one["column"] for one in accepted["accepted"]} <= {one["column"] for one in proposals}


def test__add_snapshot__refusals__are_errors_of_their_kind(growing: Client) -> None:
    with pytest.raises(InvalidRequestError) as invalid:
        growing.add_snapshot("growing", newcomers().drop("id"), mode="upsert")
    assert invalid.value.code == "missing_key_column"
    with pytest.raises(ConflictError) as conflict:
        growing.add_snapshot("growing", newcomers(), mode="append", parent=99)
    assert conflict.value.code == "snapshot_outdated"


def test__add_snapshot__sends_its_fields_before_the_file() -> None:
    accepted = {"table": {"name": "t", "status": "ready"}, "job": job(kind="ingest")}
    service = PreparedService(ok(accepted, 202))
    service.client().add_snapshot(
        "t",
        newcomers(),
        mode="append",
        on_conflict="keep",
        accept_drift=True,
        parent=3,
        columns={"note": {"role": "drop"}},
        split={"by": "time", "cutoff": "2024-06-01"},
        evaluation_fraction=0.2,
        pretrain=True,
    )
    form = form_of(service.requests[0])
    assert list(form)[-1] == "file"
    form.pop("file")
    assert form == {
        "mode": b"append",
        "on_conflict": b"keep",
        "drift": b"accept",
        "parent": b"3",
        "columns": b'{"note": {"role": "drop"}}',
        "split": b'{"by": "time", "cutoff": "2024-06-01"}',
        "evaluation_fraction": b"0.2",
        "pretrain": b"true",
    }
    assert service.calls == [("POST", "/v1/tables/t/snapshots")]
    assert "idempotency-key" in service.requests[0].headers
