"""The rows of a trial: nothing that is judged is ever trained on, and labels are as many as were asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.manifest import read_manifest
from benchmarks.quality.protocol import Protocol, ProtocolError, draw_labelled, make_trial, split_rows
from benchmarks.quality.tables import Study, load_study
from tests.benchmarks.data_folder import NUM_ROWS, write_folder

TARGETS = ("y", "z", "kind")


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Study]:
    data: Path = write_folder(tmp_path_factory.mktemp("data"))
    return {target: load_study(data, read_manifest(data)["tiny"], target) for target in TARGETS}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("number", [0, 4, 5])
def test__split__parts__share_no_row_and_no_group(
    studies: dict[str, Study], target: str, number: int
) -> None:
    study = studies[target]
    split = split_rows(study, number)
    parts = [split.train, split.validation, split.test]

    rows = np.concatenate(parts)
    assert len(np.unique(rows)) == len(rows)
    groups = [set(study.groups[part].tolist()) for part in parts]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]


def test__split__copies_and_households__are_groups(studies: dict[str, Study]) -> None:
    study = studies["y"]

    assert study.groups[9] == study.groups[8]  # a copy of the row before it, in another household of four
    assert len({int(group) for group in study.groups[4:8]}) == 1


@pytest.mark.parametrize("target", TARGETS)
def test__split__shares__are_about_65_15_20(studies: dict[str, Study], target: str) -> None:
    split = split_rows(studies[target], 0)
    known = int(np.isfinite(studies[target].labels).sum())

    assert len(split.test) == pytest.approx(0.2 * known, rel=0.25)
    assert len(split.validation) == pytest.approx(0.15 * known, rel=0.35)
    assert len(split.train) == pytest.approx(0.65 * NUM_ROWS, rel=0.1)


def test__split__five_of_them__judge_every_labelled_row_once(studies: dict[str, Study]) -> None:
    study = studies["kind"]
    judged = np.concatenate([split_rows(study, number).test for number in range(5)])

    assert np.array_equal(np.sort(judged), np.flatnonzero(np.isfinite(study.labels)))


def test__split__again__is_the_same_and_beyond_the_fifth_another(studies: dict[str, Study]) -> None:
    study = studies["y"]

    assert np.array_equal(split_rows(study, 1).test, split_rows(study, 1).test)
    assert not np.array_equal(np.sort(split_rows(study, 5).test), np.sort(split_rows(study, 0).test))


def test__split__classes__are_spread_alike(studies: dict[str, Study]) -> None:
    study = replace(studies["y"], groups=np.arange(NUM_ROWS))
    shares = [float(np.mean(study.labels[split_rows(study, number).test])) for number in range(5)]

    assert max(shares) - min(shares) < 0.03


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("num_labels", [2, 25, 100])
def test__draw__labels__are_as_many_as_asked_of_training_rows(
    studies: dict[str, Study], target: str, num_labels: int
) -> None:
    study, split = studies[target], split_rows(studies[target], 0)
    rows = draw_labelled(study, split, num_labels, seed=3)

    assert len(rows) == len(np.unique(rows)) == num_labels
    assert set(rows.tolist()) <= set(split.train.tolist())
    assert np.isfinite(study.labels[rows]).all()
    assert len(np.unique(study.labels[rows])) > 1


def test__draw__fewer_labels__are_among_more_and_seeds_differ(studies: dict[str, Study]) -> None:
    study, split = studies["y"], split_rows(studies["y"], 0)
    few, more = (draw_labelled(study, split, num_labels, seed=1) for num_labels in (25, 100))

    assert set(few.tolist()) <= set(more.tolist())
    assert not np.array_equal(few, draw_labelled(study, split, 25, seed=2))


@pytest.mark.parametrize("asked", [None, 10_000])
def test__draw__more_than_there_are__is_all(studies: dict[str, Study], asked: int | None) -> None:
    study, split = studies["kind"], split_rows(studies["kind"], 0)

    assert len(draw_labelled(study, split, asked, seed=0)) == int(
        np.isfinite(study.labels[split.train]).sum()
    )


def test__draw__one_label_of_two_classes__is_refused(studies: dict[str, Study]) -> None:
    with pytest.raises(ProtocolError):
        draw_labelled(studies["y"], split_rows(studies["y"], 0), 1, seed=0)


def test__trial__honest__has_no_label_but_the_drawn_ones(studies: dict[str, Study]) -> None:
    study, split = studies["y"], split_rows(studies["y"], 0)
    trial = make_trial(study, split, protocol=Protocol.HONEST, number=0, draw=1, num_labels=50, threads=1)

    assert not trial.has_validation
    assert np.array_equal(trial.labels, study.labels[trial.labelled_rows])
    assert {"y", "id", "weight", "household"}.isdisjoint(trial.frame.columns)
    assert set(trial.train_rows.tolist()).isdisjoint(split.test.tolist())


def test__trial__of_the_paper__keeps_validation_labels_and_the_first_rows(studies: dict[str, Study]) -> None:
    study, split = studies["y"], split_rows(studies["y"], 0)
    trial = make_trial(study, split, protocol=Protocol.PAPER, number=0, draw=0, num_labels=50, threads=1)

    assert np.array_equal(trial.validation_rows, split.validation)
    assert np.array_equal(trial.validation_labels, study.labels[split.validation])
    assert set(trial.labelled_rows.tolist()) == set(split.train[:50].tolist())
