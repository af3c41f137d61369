"""Networks on the row features: what they learn that a line cannot, and that they are one network when they are stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.errors import BundleError
from models.features.schema import Task
from models.heads import MLPHead, load_head
from models.heads.auto import AutoHeadConfig
from models.heads.files import pack, unpack
from models.heads.finishing import NOT_FINISHED
from models.heads.linear import LinearHeadConfig, StandardisedLabels
from models.heads.losses import mean_loss
from models.heads.mlp import NOT_JUDGED, NUM_NETWORKS, MLPHeadConfig, _Networks
from models.heads.problem import HeadFit, HeadProblem, Pace
from tests.models.small_problems import features_of, problem_of, small_problem


def _interaction(num_rows: int = 500) -> HeadProblem:
    """The class is whether two features are on the same side of their means: no line tells it."""
    features = features_of(num_rows, 4)
    above = (features > features.mean(dim=0)).numpy()
    return problem_of(features, (above[:, 0] == above[:, 1]).astype(np.float64), Task.BINARY)


def _loss(problem: HeadProblem, fit: HeadFit) -> float:
    assert problem.folds is not None
    assert fit.scores is not None
    rows = problem.folds.rows
    return mean_loss(problem.task, fit.scores, problem.labels[rows], problem.weights[rows])


def test__mlp__interaction_of_two_features__is_learned_out_of_fold() -> None:
    problem = _interaction()
    assert _loss(problem, LinearHeadConfig().fit(problem)) > 0.68  # a coin's is .693
    assert _loss(problem, MLPHeadConfig().fit(problem)) < 0.4


def test__auto__many_labels__networks_are_tried_and_have_their_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.heads.auto.MAX_LABELS", 400)
    fit = AutoHeadConfig().fit(replace(_interaction(), tunable=None))
    members = fit.report.get("members", fit.report.get("tried"))
    assert isinstance(members, list)
    assert {member["kind"] for member in members} == {"linear", "gbdt", "mlp"}
    assert next(member["weight"] for member in members if member["kind"] == "mlp") > 0.0


@pytest.mark.parametrize("task", list(Task))
def test__mlp__stored_as_one_network__is_the_mean_of_all(task: Task) -> None:
    problem = small_problem(task)
    networks = _Networks(problem, StandardisedLabels.of(problem), np.arange(len(problem.labels)), seed=3)
    networks.train_epoch()
    head = networks.head(NOT_FINISHED)
    units = functional.linear(problem.features, head.hidden_weight, head.hidden_bias)
    found = networks.scores(np.arange(len(problem.labels)))
    assert found.shape == (len(problem.labels), problem.num_outputs)
    np.testing.assert_allclose(head.scores((units,)), found, rtol=1e-3, atol=1e-4 * np.abs(found).max())


def test__mlp__networks_side_by_side__learn_as_if_alone() -> None:
    """One network's gradient has nothing of the others: without dropout and with equal weights they stay equal."""
    problem = small_problem(Task.BINARY)
    networks = _Networks(problem, StandardisedLabels.of(problem), np.arange(len(problem.labels)), seed=0)
    with torch.no_grad():
        parts = networks.hidden_weight.view(NUM_NETWORKS, -1, problem.features.shape[1])
        parts[:] = parts[:1].clone()
        networks.hidden_bias[:] = 0.0
        networks.weight[:] = networks.weight[:1].clone()
        networks.bias[:] = 0.0
    outputs = networks._outputs(networks.rows, is_training=False)
    networks._losses(outputs, networks.labels).mean(dim=1).sum().backward()  # type: ignore[no-untyped-call]
    assert networks.weight.grad is not None
    torch.testing.assert_close(networks.weight.grad, networks.weight.grad[:1].expand_as(networks.weight.grad))
    alone = networks._losses(networks._outputs(networks.rows, is_training=False)[:1], networks.labels)
    (of_one,) = torch.autograd.grad(alone[0].mean(), networks.weight)
    torch.testing.assert_close(networks.weight.grad[0], of_one[0])


def test__mlp__no_time_for_folds__is_fitted_and_says_that_it_was_not_judged() -> None:
    fit = MLPHeadConfig().fit(replace(_interaction(200), pace=Pace(deadline=0.0)))
    assert fit.scores is None
    assert fit.out_of_fold is None
    assert NOT_JUDGED in fit.warnings
    assert any("1 of 3 epochs" in warning for warning in fit.warnings)


def test__mlp_head__files_that_do_not_fit_together__are_refused() -> None:
    head = MLPHeadConfig().fit(small_problem(Task.MULTICLASS)).head
    assert isinstance(head, MLPHead)
    parts = unpack(head.to_files())
    header = {name: value for name, value in parts.header.items() if not name.startswith("format")}
    kind = header.pop("kind")
    assert isinstance(kind, str)
    for name, tensor in (
        ("hidden_bias", torch.zeros(3)),
        ("hidden_weight", head.hidden_weight[1:].contiguous()),
        ("weight", head.weight[:, 1:].contiguous()),
        ("bias", torch.zeros(2)),
        ("weight", torch.full_like(head.weight, float("nan"))),
    ):
        with pytest.raises(BundleError):
            load_head(pack(kind, header, parts.tensors | {name: tensor}))
