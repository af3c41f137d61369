"""The client against the real service: what it sends is what the service takes, and what it reads is what comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from rootstock_client import (
    AuthenticationError,
    Client,
    ConflictError,
    InvalidRequestError,
    Job,
    JobCancelled,
    JobFailed,
    NotFoundError,
    StaleRevisionError,
)
from tests.client.live import NUM_ROWS, LiveService, small_table

DEADLINE_S = 20


@pytest.fixture
def client(service: LiveService) -> Iterator[Client]:
    with service.client() as client:
        yield client


def test__table__registered_from_a_frame__is_described(client: Client, prepared: str) -> None:
    assert prepared in {table["name"] for table in client.tables()}
    table = client.table(prepared)
    assert table["num_rows"] == NUM_ROWS
    assert {column["name"]: column["role"] for column in table["columns"]}["churned"] == "target"
    assert client.profile(prepared)["columns"]["visits"]["nulls"] == NUM_ROWS // 11 + 1


def test__table__registered_from_csv__is_the_same_as_from_a_frame(
    client: Client, prepared: str, tmp_path: Path
) -> None:
    path = tmp_path / "customers.csv"
    small_table().write_csv(path)
    seen: list[Job] = []
    job = client.register("from-csv", path, key="id", targets=["churned", "plan"])
    assert client.wait(job, on_progress=seen.append).status == "succeeded"
    assert seen[-1].status == "succeeded"
    described = [
        [(c["name"], c["kind"], c["role"], c["storage_type"]) for c in client.table(name)["columns"]]
        for name in ("from-csv", prepared)
    ]
    assert described[0] == described[1]
    client.delete_table("from-csv")
    with pytest.raises(NotFoundError):
        client.table("from-csv")


def test__register__what_the_first_bytes_show__is_refused_at_once(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 8)
    with pytest.raises(InvalidRequestError) as caught:
        client.register("not-a-table", path)
    assert caught.value.code == "not_a_table"
    assert "not-a-table" not in {table["name"] for table in client.tables()}


def test__register__what_only_the_whole_file_shows__fails_the_job_and_frees_the_name(
    client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,a\n" + "".join(f"{i},1\n" for i in range(200_000)) + "x,1,2\n")
    with pytest.raises(JobFailed, match="200") as caught:
        client.wait(client.register("ragged", path))
    assert caught.value.code == "ragged_row"
    client.wait(client.register("ragged", small_table()))
    client.delete_table("ragged")


def test__register__taken_name_or_unknown_column__is_refused(client: Client, prepared: str) -> None:
    with pytest.raises(ConflictError) as taken:
        client.register(prepared, small_table())
    assert taken.value.code == "name_taken"
    with pytest.raises((InvalidRequestError, JobFailed)) as unknown:
        client.wait(client.register("other", small_table(), key="no-such-column"))
    assert unknown.value.code == "unknown_column"


def test__head__after_finetune__says_how_good_it_is(client: Client, prepared: str) -> None:
    (head,) = client.heads(prepared, "churn")
    assert head["status"] == "ready"
    detail = client.head(prepared, "churn", head["version"])
    assert detail["metrics"]["auc"]["on"] == "out_of_fold"
    assert "logistic" in detail["baselines"]
    assert client.target(prepared, "churn")["num_labels"] == NUM_ROWS


def test__predict__rows_and_keys__agree_to_the_bit(client: Client, prepared: str) -> None:
    rows = small_table().head(40)
    by_rows = client.predict(prepared, "churn:1", rows=rows)
    by_keys = client.predict(prepared, "churn:1", keys=rows["id"])
    assert by_rows.predictions == by_keys.predictions
    assert by_keys.frame()["key"].equals(rows["id"].alias("key"))
    assert by_rows.frame().columns == ["churn:1", "churn:1.probability"]


def test__predict__in_batches__equals_one_request(client: Client, prepared: str) -> None:
    rows = small_table()
    whole = client.predict(prepared, ["churn:1"], rows=rows)
    assert client.predict(prepared, ["churn:1"], rows=rows, rows_per_request=37).to_json() == whole.to_json()
    assert (
        whole.frame(all_classes=True)
        .select((pl.col("churn:1.probability.no") + pl.col("churn:1.probability.yes") - 1).abs().max() < 1e-6)
        .item()
    )


def test__predict__unknown_column_target_or_key__is_refused(client: Client, prepared: str) -> None:
    with pytest.raises(InvalidRequestError) as column:
        client.predict(prepared, "churn:1", rows=[{"shoe_size": 42}])
    assert column.value.code == "unknown_column"
    assert client.predict(prepared, "churn:1", rows=[{"shoe_size": 42}], extra="ignore").missing["age"] == 1
    with pytest.raises(NotFoundError):
        client.predict(prepared, "nothing", rows=[{"age": 42}])
    with pytest.raises((NotFoundError, InvalidRequestError)):
        client.predict(prepared, "churn:1", keys=["no such key"])


def test__labels__by_key__are_counted_replaced_and_withdrawn(client: Client, prepared: str) -> None:
    client.create_target(prepared, "loyal", task="binary")
    keys = small_table()["id"]
    sent = client.label(
        prepared,
        "loyal",
        [*((key, position % 2 == 0) for position, key in enumerate(keys[:60])), ("?", True)],
    )
    assert (sent["accepted"], sent["unmatched"], sent["num_labels"]) == (61, 1, 60)
    assert client.target(prepared, "loyal")["classes"] == [False, True]
    changed = pl.DataFrame({"key": keys[:3], "value": [None, False, True], "weight": [None, 0.5, None]})
    again = client.label(prepared, "loyal", changed, labels_per_request=2)
    assert (again["withdrawn"], again["replaced"], again["num_labels"]) == (1, 2, 59)
    with pytest.raises(InvalidRequestError) as caught:
        client.label(prepared, "loyal", [("nobody", True)])
    assert caught.value.code == "no_label_matches"
    client.delete_target(prepared, "loyal")


def test__alias__moves_and_rolls_back__with_its_history(client: Client, prepared: str) -> None:
    moved = client.set_alias(prepared, "churn", "challenger", 1, if_revision=0)
    with pytest.raises(StaleRevisionError):
        client.set_alias(prepared, "churn", "challenger", 1, if_revision=moved["revision"] + 5)
    again = client.set_alias(prepared, "churn", "challenger", 1, if_revision=moved["revision"])
    assert client.alias(prepared, "churn", "challenger")["revision"] == again["revision"]
    assert len(client.history(prepared, "churn", "challenger")) >= 1
    assert (
        client.predict(prepared, "churn@challenger", keys=["00001"]).predictions["churn@challenger"]["head"]
        == 1
    )
    with pytest.raises(ConflictError):
        client.delete_head(prepared, "churn", 1)


def test__columns__changed__say_what_is_stale(client: Client) -> None:
    client.wait(client.register("to-change", small_table(), key="id"))
    changed = client.set_columns("to-change", {"age": {"kind": "categorical"}})
    assert {column["name"]: column["kind"] for column in changed["columns"]}["age"] == "categorical"
    client.delete_table("to-change")


def test__job__events__are_its_log_to_the_end(client: Client, prepared: str) -> None:
    (job,) = [job for job in client.jobs(table=prepared) if job.kind == "finetune"]
    events = list(client.events(job))
    assert [events[0].type, events[-1].type] == ["queued", "succeeded"]
    later = list(client.events(job, after=events[-2].id))
    assert later == events[-1:]
    assert client.wait(job.id).result == job.result


def test__job__cancelled__ends_as_cancelled(client: Client, prepared: str) -> None:
    job = client.pretrain(prepared, max_seconds=300)
    client.cancel(job)
    with pytest.raises(JobCancelled):
        client.wait(job, timeout_s=60)
    assert client.encoder(prepared, job.created["encoder"]["version"])["status"] == "cancelled"


def test__encoder__of_the_table__is_active_and_reports(client: Client, prepared: str) -> None:
    assert client.encoder(prepared, 1)["report"]
    assert client.activate(prepared, 1)["active"]
    assert [encoder["version"] for encoder in client.encoders(prepared) if encoder["active"]] == [1]


def test__key__revoked__is_refused_within_moments(client: Client, service: LiveService) -> None:
    made = client.create_key("reader", ["tables:read"])
    listed = client.keys()
    assert made["id"] in [key["id"] for key in listed]
    with Client(service.url, made["key"]) as reader:
        reader.tables()
        client.revoke_key(made["id"])
        deadline = time.monotonic() + DEADLINE_S
        while is_let_in(reader) and time.monotonic() < deadline:
            pass
        assert not is_let_in(reader)


def is_let_in(reader: Client) -> bool:
    try:
        reader.tables()
    except AuthenticationError:
        return False
    return True


def test__key__wrong__is_refused(service: LiveService) -> None:
    with Client(service.url, "rs_" + "0" * 16 + "_" + "0" * 64) as stranger:
        assert not is_let_in(stranger)
