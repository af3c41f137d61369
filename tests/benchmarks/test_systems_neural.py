"""Compared networks and pseudo-labelled trees: each on a table so easy that a wrong one shows; pretraining and pruning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import r2_score, roc_auc_score
from torch import nn

from benchmarks.quality.systems import SYSTEMS, neural_layers, pretraining
from benchmarks.quality.systems.deep_vib import DeepVIBSystem
from benchmarks.quality.systems.denoising_autoencoder import MLPDenoisingSystem
from benchmarks.quality.systems.gbdt_pseudo import GBDTPseudoSystem
from benchmarks.quality.systems.neural_layers import EmbeddedInputs, Network
from benchmarks.quality.systems.neural_rows import NeuralColumns, Rows
from benchmarks.quality.systems.neural_training import TrainingBudget, shuffled_batches, supervised, train
from benchmarks.quality.systems.perceptrons import (
    MLPEntropySystem,
    MLPPseudoSystem,
    MLPSystem,
    SparseMLPSystem,
    linear_layers,
    make_prunable,
    prune,
)
from benchmarks.quality.systems.pretraining import PretrainingBudget
from benchmarks.quality.systems.tab_transformers import (
    MaskedCategories,
    ReplacedCategories,
    TabTransformerEntropySystem,
    TabTransformerMLMSystem,
    TabTransformerPseudoSystem,
    TabTransformerRTDSystem,
    TabTransformerSystem,
    chosen_cells,
)
from benchmarks.quality.trial import FloatArray, Predict, System, Trial
from models.features.schema import ColumnKind, TableSchema, Task
from tests.benchmarks.small_trials import SCHEMA, easy_trial, with_validation

SHORT = TrainingBudget(few_epochs=12, max_epochs=12, batch_size=32, learning_rate=1e-3)
PRETRAINED = PretrainingBudget(max_rows=300, batch_size=64)

MAKE: dict[str, Callable[[], System]] = {
    "mlp": lambda: MLPSystem(SHORT),
    "sparse-mlp": lambda: SparseMLPSystem(SHORT),
    "deep-vib": lambda: DeepVIBSystem(SHORT),
    "mlp-entropy": lambda: MLPEntropySystem(SHORT),
    "mlp-pseudo": lambda: MLPPseudoSystem(SHORT),
    "mlp-dae": lambda: MLPDenoisingSystem(SHORT, PRETRAINED),
    "gbdt-pseudo": GBDTPseudoSystem,
    "tabtransformer": lambda: TabTransformerSystem(SHORT),
    "tabtransformer-entropy": lambda: TabTransformerEntropySystem(SHORT),
    "tabtransformer-pseudo": lambda: TabTransformerPseudoSystem(SHORT),
    "tabtransformer-mlm": lambda: TabTransformerMLMSystem(SHORT, PRETRAINED),
    "tabtransformer-rtd": lambda: TabTransformerRTDSystem(SHORT, PRETRAINED),
}
CASES = [
    (name, task)
    for name, make in MAKE.items()
    for task in sorted(make().tasks)
    if task is not Task.REGRESSION or name in ("mlp", "deep-vib", "mlp-dae", "tabtransformer-rtd")
]


@pytest.fixture(scope="module", autouse=True)
def _shallow() -> Iterator[None]:
    """Two layers for six: depth is what takes the time, and nothing tested depends on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neural_layers, "NUM_LAYERS", 2)
        yield


@cache
def fitted(name: str, task: Task) -> Predict:
    return MAKE[name]().fit(easy_trial(task)[0])


def score(task: Task, labels: FloatArray, outputs: FloatArray) -> float:
    """0 for chance, 1 for perfection."""
    if task is Task.REGRESSION:
        return float(r2_score(labels, outputs))
    scores = outputs[:, 1] if task is Task.BINARY else outputs
    return 2.0 * float(roc_auc_score(labels, scores, multi_class="ovr")) - 1.0


def assert_distribution(outputs: FloatArray, num_classes: int) -> None:
    assert outputs.shape[1] == num_classes
    assert (outputs >= 0).all()
    np.testing.assert_allclose(outputs.sum(axis=1), 1.0, atol=1e-9)


def with_columns(trial: Trial, kinds: set[ColumnKind]) -> Trial:
    columns = tuple(column for column in SCHEMA.columns if column.kind in kinds)
    return replace(
        trial,
        table=f"easy of {sorted(kinds)}",
        schema=TableSchema(columns=columns),
        frame=trial.frame.select([column.name for column in columns]),
    )


@pytest.mark.parametrize("name", MAKE)
def test__registry__name__makes_the_system_of_that_name(name: str) -> None:
    assert SYSTEMS[name]().name == name
    assert len(SYSTEMS[name]().about) > 20


@pytest.mark.parametrize(("name", "task"), CASES)
def test__system__easy_table__beats_chance(name: str, task: Task) -> None:
    trial, rows, labels = easy_trial(task)
    outputs = fitted(name, task)(trial.frame[rows])
    if task is not Task.REGRESSION:
        assert_distribution(outputs, len(trial.classes))
    assert score(task, labels, outputs) > 0.3


@pytest.mark.parametrize("name", MAKE)
def test__system__damaged_rows__still_predicts_each_by_itself(name: str) -> None:
    trial, rows, _ = easy_trial(Task.BINARY)
    frame, predict = trial.frame[rows], fitted(name, Task.BINARY)
    for damage in (
        frame.with_columns(pl.lit("never seen").alias("colour")),
        frame.with_columns([pl.lit(None, dtype=kind).alias(column) for column, kind in frame.schema.items()]),
        frame.with_columns(pl.lit(1e30).alias("size")),
    ):
        assert_distribution(predict(damage), 2)
    np.testing.assert_allclose(predict(frame[:1]), predict(frame)[:1], atol=1e-5)
    assert predict(frame[:0]).shape == (0, 2)


@pytest.mark.parametrize("name", MAKE)
def test__system__same_trial_twice__predicts_the_same_and_leaves_generators(name: str) -> None:
    trial, rows, _ = easy_trial(Task.BINARY)
    first = fitted(name, Task.BINARY)(trial.frame[rows])
    pretraining.forget()
    states = torch.random.get_rng_state(), torch.get_num_threads()
    again = MAKE[name]().fit(trial)(trial.frame[rows])
    np.testing.assert_array_equal(first, again)
    assert torch.equal(states[0], torch.random.get_rng_state())
    assert states[1] == torch.get_num_threads()


@pytest.mark.parametrize("name", ["mlp", "deep-vib", "tabtransformer-mlm", "mlp-pseudo"])
def test__system__validation_rows__stop_training(name: str) -> None:
    trial, rows, labels = easy_trial(Task.BINARY, num_labels=90)
    outputs = MAKE[name]().fit(with_validation(trial, 30))(trial.frame[rows])
    assert score(Task.BINARY, labels, outputs) > 0.3


@pytest.mark.parametrize(
    "system",
    [
        MLPSystem(replace(SHORT, many_labels=50)),
        TabTransformerSystem(replace(SHORT, many_labels=50)),
    ],
    ids=lambda system: system.name,
)
def test__system__many_labels__stops_by_a_fifth_of_them(system: System) -> None:
    trial, rows, labels = easy_trial(Task.MULTICLASS, num_labels=150)
    assert score(Task.MULTICLASS, labels, system.fit(trial)(trial.frame[rows])) > 0.3


@pytest.mark.parametrize(
    "name", ["deep-vib", "mlp-entropy", "mlp-dae", "gbdt-pseudo", "tabtransformer-pseudo"]
)
def test__system__class_of_one_member_and_every_row_labelled__gives_all_classes(name: str) -> None:
    trial, rows, _ = easy_trial(Task.MULTICLASS, num_labels=25)
    labels = np.where(trial.labels == 2.0, 1.0, trial.labels)
    labels[3] = 2.0
    trial = replace(trial, labels=labels, classes=(*trial.classes, "never"), train_rows=trial.labelled_rows)
    assert_distribution(MAKE[name]().fit(trial)(trial.frame[rows]), 4)


@pytest.mark.parametrize(
    "kinds",
    [{ColumnKind.CATEGORICAL, ColumnKind.BOOLEAN}, {ColumnKind.CONTINUOUS}, set()],
    ids=["categories", "numbers", "none"],
)
@pytest.mark.parametrize("name", ["mlp-dae", "tabtransformer-mlm"])
def test__system__columns_of_one_kind_or_none__predicts(name: str, kinds: set[ColumnKind]) -> None:
    trial, rows, labels = easy_trial(Task.BINARY)
    trial = with_columns(trial, kinds)
    frame = trial.frame[rows] if kinds else pl.DataFrame(height=len(rows))
    if not kinds:
        trial = replace(trial, frame=pl.DataFrame(height=trial.train_rows.max() + 1 + len(rows)))
    outputs = MAKE[name]().fit(trial)(frame)
    assert_distribution(outputs, 2)
    if ColumnKind.CATEGORICAL in kinds:
        assert score(Task.BINARY, labels, outputs) > 0.3


def test__prune__training_goes_on__pruned_weights_stay_zero() -> None:
    columns = NeuralColumns(easy_trial(Task.BINARY)[0])
    rows = columns.rows_at(np.arange(60))
    network = Network(EmbeddedInputs(columns.shape), 2)
    layers = linear_layers(network)
    for layer in layers:
        make_prunable(layer)
    prune(layers, 0.5)
    prune(layers, 0.5)
    is_zero = [layer.weight == 0 for layer in layers]
    train(
        network, rows, torch.arange(60) % 2, objective=supervised, learning_rate=1e-2, weight_decay=0.0,
        num_epochs=3, batch_size=20, patience=1, judged=None, after_epoch=lambda epoch: None,
    )  # fmt: skip
    network(rows)
    share = sum(int(zero.sum()) for zero in is_zero) / sum(layer.weight.numel() for layer in layers)
    assert share == pytest.approx(0.75, abs=0.01)
    for layer, zero in zip(layers, is_zero, strict=True):
        assert (layer.weight[zero] == 0).all()
        assert (layer.weight[~zero] != 0).any()


@pytest.mark.parametrize("pretext", [MaskedCategories, ReplacedCategories])
def test__pretext__dependent_columns__is_learned(pretext: type[nn.Module]) -> None:
    """Where one column says the other, the loss falls well below what each column alone allows."""
    system, generator = TabTransformerMLMSystem(), torch.Generator().manual_seed(0)
    codes = torch.randint(2, 6, (512, 1), generator=generator).expand(-1, 3).contiguous()
    trial = easy_trial(Task.BINARY)[0]
    shape = replace(NeuralColumns(trial).shape, num_numbers=0, code_sizes=(6, 6, 6))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = system.network(shape, 1)
        assert isinstance(network, Network)
        module = pretext(network.inputs, shape)
        before = module(codes).item()
        budget = PretrainingBudget(max_rows=6_000, batch_size=64)
        pretraining.pretrain(
            module, Rows(torch.zeros(512, 0), codes), lambda rows: module(rows.codes), budget
        )
        assert module(codes).item() < 0.5 * before


def test__chosen_cells__any_row__a_fixed_number_of_them() -> None:
    assert (chosen_cells(torch.zeros(50, 10)).sum(dim=1) == 3).all()
    assert (chosen_cells(torch.zeros(50, 1)).sum(dim=1) == 1).all()


def test__pretrained__two_draws_of_a_split__share_what_does_not_depend_on_labels() -> None:
    trial, rows, _ = easy_trial(Task.BINARY)
    other = replace(trial, seed=7, labelled_rows=trial.labelled_rows[10:], labels=trial.labels[10:])
    system = TabTransformerMLMSystem(SHORT, PRETRAINED)
    pretraining.forget()
    alone = system.fit(other)(trial.frame[rows])
    pretraining.forget()
    system.fit(trial)
    np.testing.assert_array_equal(alone, system.fit(other)(trial.frame[rows]))


def test__shuffled_batches__any_size__cover_every_row_once_and_none_is_alone() -> None:
    for num_rows in range(2, 20):
        batches = list(shuffled_batches(num_rows, 4))
        assert sorted(torch.cat(batches).tolist()) == list(range(num_rows))
        assert min(len(batch) for batch in batches) > 1
