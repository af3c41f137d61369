from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.labelled_rows import sample_train_labels
from app.schemas.payloads import LabelsRequest

parts = st.lists(st.sampled_from(["train", "evaluation"]), max_size=200)


def labelled(split: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {"_row": range(len(split)), "_split": split, "label": ["x"] * len(split)},
        schema={"_row": pl.Int64, "_split": pl.String, "label": pl.String},
    )


@given(parts, st.integers(1, 50), st.integers(0, 2**31 - 1))
def test__sample__keeps_all_evaluation_labels_and_at_most_the_limit_of_train_labels(
    split: list[str], limit: int, seed: int
) -> None:
    drawn = sample_train_labels(labelled(split), LabelsRequest(limit=limit, seed=seed))
    counts = dict(drawn["_split"].value_counts().iter_rows())
    assert counts.get("evaluation", 0) == split.count("evaluation")
    assert counts.get("train", 0) == min(limit, split.count("train"))
    assert drawn["_row"].is_sorted()


@given(parts, st.integers(1, 40), st.integers(0, 40), st.integers(0, 1_000))
def test__sample__of_a_smaller_limit__is_part_of_a_larger_one(
    split: list[str], limit: int, more: int, seed: int
) -> None:
    few = sample_train_labels(labelled(split), LabelsRequest(limit=limit, seed=seed))
    many = sample_train_labels(labelled(split), LabelsRequest(limit=limit + more, seed=seed))
    assert set(few["_row"]) <= set(many["_row"])


def test__sample__of_other_seeds__differs() -> None:
    draws = {
        tuple(sample_train_labels(labelled(["train"] * 100), LabelsRequest(limit=10, seed=seed))["_row"])
        for seed in range(5)
    }
    assert len(draws) == 5


def test__sample__without_a_limit__is_everything() -> None:
    frame = labelled(["train", "evaluation"] * 5)
    assert sample_train_labels(frame, LabelsRequest()).equals(frame)
