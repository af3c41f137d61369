"""Which rows are trained on, labelled, and judged.

Five splits are the five folds of one shuffle: a fifth of the rows is judged, of the rest 65 of 80 parts train and 15
validate. In the *honest* protocol the validation part is not used at all, and everything is chosen inside the p labels,
which are drawn at random from the training part. In the *paper's* (arXiv 2012.06678), the first p rows of the shuffled
training part keep their label, and so does the whole validation part. In both, the training part is known without labels.

Shape letters: `N` rows of the table, `p` labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from benchmarks.quality.tables import Study
from benchmarks.quality.trial import FloatArray, IndexArray, Trial
from models.features.schema import Task

PROTOCOL_VERSION = 1
"""Raise it when other rows are drawn, so that no older figure stands for the new ones."""

NUM_FOLDS = 5
VALIDATION_SHARE = 15 / 80  # of what is not judged
NUM_STRATA_OF_NUMBERS = 10
MAX_DRAWS = 1_000


class Protocol(StrEnum):
    HONEST = "honest"
    PAPER = "paper"


class ProtocolError(Exception):
    """No such rows can be drawn from this table; the message says which."""


@dataclass(frozen=True, eq=False)
class Split:
    """Positions in the table, each in the order of the shuffle. Test rows all have labels; training rows may not."""

    train: IndexArray
    validation: IndexArray
    test: IndexArray


def split_rows(study: Study, split: int) -> Split:
    """The `split`-th split of the table: stratified by label, rows of one group on one side.

    Beyond the fifth, splits are folds of another shuffle.
    """
    generator = np.random.default_rng([PROTOCOL_VERSION, split // NUM_FOLDS])
    order = generator.permutation(study.groups.max() + 1)
    rows, strata = _rows_by_group(study, order)
    # Strata begin at random places of their own: what rounding gives to one part in one is not what it gives in all.
    shift = generator.random(int(strata.max()) + 2)[strata + 1]
    place = (_place_in_stratum(study.groups[rows], strata) + shift) % 1.0
    start = (split % NUM_FOLDS) / NUM_FOLDS
    is_test = (place >= start) & (place < start + 1 / NUM_FOLDS)
    # What is not judged, counted from the end of the judged fifth on, as a place between 0 and 1.
    rest = ((place - start - 1 / NUM_FOLDS) % 1.0) / (1.0 - 1 / NUM_FOLDS)
    is_validation = ~is_test & (rest >= 1.0 - VALIDATION_SHARE)
    shuffled = generator.permutation(len(rows))
    rows, is_test, is_validation = rows[shuffled], is_test[shuffled], is_validation[shuffled]
    has_label = np.isfinite(study.labels[rows])
    return Split(rows[~is_test & ~is_validation], rows[is_validation & has_label], rows[is_test & has_label])


def draw_labelled(study: Study, split: Split, num_labels: int | None, *, seed: int) -> IndexArray:
    """Training rows that keep their label [p], at least two classes among them; None for all there are.

    Fewer draws are part of more: the 50 rows of a seed are among its 200.

    Raises:
        ProtocolError: there are not two classes to draw.
    """
    rows = split.train[np.isfinite(study.labels[split.train])]
    if num_labels is None or num_labels >= len(rows):
        return _with_two_classes(study, np.sort(rows))
    for attempt in range(MAX_DRAWS):
        drawn = np.random.default_rng([PROTOCOL_VERSION, seed, attempt]).permutation(rows)[:num_labels]
        if study.task is Task.REGRESSION or len(np.unique(study.labels[drawn])) > 1:
            return np.sort(drawn)
    raise ProtocolError(f"{MAX_DRAWS} draws of {num_labels} labels had one class only")


def make_trial(
    study: Study,
    split: Split,
    *,
    protocol: Protocol,
    number: int,
    draw: int,
    num_labels: int | None,
    threads: int,
) -> Trial:
    """`number` is that of the split.

    Raises:
        ProtocolError: as `draw_labelled`.
    """
    if protocol is Protocol.PAPER:
        rows = split.train[np.isfinite(study.labels[split.train])]
        labelled, validation = _with_two_classes(study, np.sort(rows[:num_labels])), split.validation
    else:
        labelled = draw_labelled(study, split, num_labels, seed=1_000 * number + draw)
        validation = np.empty(0, dtype=np.int64)
    return Trial(
        table=study.table,
        target=study.target,
        task=study.task,
        classes=study.classes,
        frame=study.frame,
        schema=study.schema,
        split=number,
        train_rows=split.train,
        labelled_rows=labelled,
        labels=study.labels[labelled],
        validation_rows=validation,
        validation_labels=study.labels[validation],
        seed=1_000 * number + draw,
        threads=threads,
    )


def _with_two_classes(study: Study, rows: IndexArray) -> IndexArray:
    if study.task is not Task.REGRESSION and len(np.unique(study.labels[rows])) < 2:
        raise ProtocolError(f"all {len(rows)} labelled rows have one class")
    return rows


def _rows_by_group(study: Study, order: IndexArray) -> tuple[IndexArray, IndexArray]:
    """All rows [N], those of a stratum and of a group next to each other, groups in `order`; the stratum of each.

    A group belongs to the stratum of its first row: the class, a tenth of the numbers, or "no label".
    """
    strata = _strata(study.labels, study.task)
    num_groups = len(order)
    first = np.zeros(num_groups, dtype=np.int64)
    first[study.groups[::-1]] = np.arange(len(study.groups))[::-1]
    of_group = strata[first]
    turn = np.empty(num_groups, dtype=np.int64)
    turn[order] = np.arange(num_groups)
    rows = np.lexsort((turn[study.groups], of_group[study.groups]))
    return rows, of_group[study.groups[rows]]


def _strata(labels: FloatArray, task: Task) -> IndexArray:
    known = np.isfinite(labels)
    strata = np.full(len(labels), -1, dtype=np.int64)
    if task is not Task.REGRESSION:
        strata[known] = labels[known].astype(np.int64)
    elif known.any():
        edges = np.quantile(labels[known], np.linspace(0, 1, NUM_STRATA_OF_NUMBERS + 1)[1:-1])
        strata[known] = np.searchsorted(edges, labels[known], side="right")
    return strata


def _place_in_stratum(groups: IndexArray, strata: IndexArray) -> FloatArray:
    """Where the group of each row begins within its stratum, between 0 and 1; rows [N] as of `_rows_by_group`."""
    position = np.arange(len(groups))
    begins = np.r_[True, groups[1:] != groups[:-1]]
    group_start = np.maximum.accumulate(np.where(begins, position, 0))
    new_stratum = np.r_[True, strata[1:] != strata[:-1]]
    stratum_start = np.maximum.accumulate(np.where(new_stratum, position, 0))
    sizes = np.diff(np.r_[np.flatnonzero(new_stratum), len(groups)])
    size = sizes[np.cumsum(new_stratum) - 1]
    return np.asarray((group_start - stratum_start) / size)
