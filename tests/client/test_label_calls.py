"""Label and decision calls against the real service."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from rootstock_client import ConflictError, InvalidArgumentError
from tests.client.live import LiveService, small_table


def test__labels__files_versions_and_suggestions__through_the_client(
    service: LiveService, prepared: str, tmp_path: Path
) -> None:
    keys = small_table()["id"].to_list()
    frame = pl.DataFrame({"key": keys[:20], "value": ["a", "b"] * 10})
    frame.write_csv(tmp_path / "labels.csv")
    frame.write_parquet(tmp_path / "labels.parquet")
    with service.client() as client:
        client.create_target(
            prepared, "filed", decision={"rule": "threshold", "threshold": 0.4}, task="binary"
        )
        first = client.label(prepared, "filed", tmp_path / "labels.csv")
        assert (first["accepted"], first["unmatched"]) == (20, 0)
        again = client.label_file(prepared, "filed", str(tmp_path / "labels.parquet"), strict=True)
        assert (again["replaced"], again["label_set"]) == (20, 1)
        client.label(prepared, "filed", [(keys[30], "a")], replace=True)
        assert client.target(prepared, "filed")["num_labels"] == 1
        found = client.compare_label_sets(prepared, "filed", 2)
        assert (found["added"], found["withdrawn"], len(found["labels"])) == (1, 20, 21)
        assert len(client.compare_label_sets(prepared, "filed", 2, 1, limit=3)["labels"]) == 3
        assert client.restore_labels(prepared, "filed", 1)["label_set"] == 3
        assert [one["action"] for one in client.label_sets(prepared, "filed")] == ["undo", "labels", "labels"]
        assert client.label_set(prepared, "filed", 3)["restored_version"] == 1
        for name in ("out.csv", "out.parquet"):
            client.download_labels(prepared, "filed", 1, tmp_path / name)
        assert pl.read_parquet(tmp_path / "out.parquet")["key"].to_list() == sorted(keys[:20])
        assert len(pl.read_csv(tmp_path / "out.csv")) == 20
        client.delete_label_set(prepared, "filed", 2)
        with pytest.raises(ConflictError):
            client.delete_label_set(prepared, "filed", 3)
        assert not set(client.keys_to_label(prepared, "filed", 9, strategy="diverse")) & set(keys[:20])
        client.delete_target(prepared, "filed")


def test__decision__through_the_client__is_set_and_taken_back(service: LiveService, prepared: str) -> None:
    with service.client() as client:
        assert client.decision(prepared, "churn")["decision"] == {"rule": "most_probable"}
        for rule in ({"threshold": 0.3}, {"costs": [[0, 1], [5, 0]]}, {"share": 0.2}, {"count": 10}):
            found = client.set_decision(prepared, "churn", **rule)
            assert found["decision"].items() >= rule.items()
        assert client.set_decision(prepared, "churn")["decision"] == {"rule": "most_probable"}


def test__label__that_cannot_be_sent__says_why_before(service: LiveService, tmp_path: Path) -> None:
    with service.client() as client:
        with pytest.raises(InvalidArgumentError):
            client.label("t", "x", [("a", 1), ("b", 2)], replace=True, labels_per_request=1)
        with pytest.raises(InvalidArgumentError):
            client.label_file("t", "x", tmp_path / "labels.xlsx")
        with pytest.raises(InvalidArgumentError):
            client.set_decision("t", "x", threshold=0.5, share=0.1)
