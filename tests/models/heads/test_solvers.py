"""Penalised fits against closed forms and a general minimiser, with fewer and with more rows than features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_expit, log_softmax, softmax

from models.encoders.raw_features import FeatureKind
from models.features.schema import Task
from models.heads.linear import LinearHeadConfig
from models.heads.prediction import FloatArray
from models.heads.problem import Pace
from models.heads.scaling import FeatureScaling
from models.heads.solvers.basis import RawRows, SpectralRows
from models.heads.solvers.losses import BinaryLoss, Loss, MulticlassLoss, SquaredLoss
from models.heads.solvers.minimise import Solution, minimise, start_at_constant
from models.heads.strength import fit_mixture
from tests.models.small_problems import features_of, labels_of, logits_of, problem_of

REGIMES = [pytest.param(60, 5, id="rows>features"), pytest.param(20, 40, id="rows<features")]
NUM_CLASSES = 4


def _features(num_rows: int, num_features: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng([seed, num_rows])
    return torch.from_numpy(rng.normal(loc=0.5, size=(num_rows, num_features)).astype(np.float32))


def _weights(num_rows: int) -> FloatArray:
    weights = np.random.default_rng(5).uniform(0.2, 3.0, num_rows)
    return np.asarray(weights / weights.mean())


def _solve(features: torch.Tensor, loss: Loss, weights: FloatArray, strength: float) -> Solution:
    row_weights = torch.from_numpy(weights)
    rows = SpectralRows.of(features, row_weights)
    start = start_at_constant(rows, loss, row_weights[:, None])
    return minimise(rows, loss, row_weights[:, None], strength, start, tolerance=1e-13, max_iterations=500)


def _classes(num_rows: int, num_classes: int) -> FloatArray:
    return np.random.default_rng(6).integers(0, num_classes, num_rows).astype(np.float64)


def _smallest(
    objective: Callable[[FloatArray], tuple[float, FloatArray]], num_parameters: int
) -> tuple[float, FloatArray]:
    options = {"maxiter": 5_000, "maxfun": 50_000, "ftol": 1e-15, "gtol": 1e-9}
    found = minimize(objective, np.zeros(num_parameters), jac=True, method="L-BFGS-B", options=options)
    return float(found.fun), found.x


@pytest.mark.parametrize(("num_rows", "num_features"), REGIMES)
@pytest.mark.parametrize("strength", [0.01, 1.0, 300.0])
def test__ridge__weighted_rows__equals_the_closed_form(
    num_rows: int, num_features: int, strength: float
) -> None:
    features, weights = _features(num_rows, num_features), _weights(num_rows)
    labels = np.random.default_rng(7).normal(size=num_rows)
    solution = _solve(features, SquaredLoss(torch.from_numpy(labels)), weights, strength)
    wide = features.double().numpy()
    centred = wide - np.average(wide, axis=0, weights=weights)
    mean = np.average(labels, weights=weights)
    gram = centred.T @ (weights[:, None] * centred) + strength * np.eye(num_features)
    expected = centred @ np.linalg.solve(gram, centred.T @ (weights * (labels - mean))) + mean
    np.testing.assert_allclose(solution.logits[:, 0, 0].numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(solution.intercepts.item(), mean, atol=1e-6)


@pytest.mark.parametrize(("num_rows", "num_features"), REGIMES)
@pytest.mark.parametrize("strength", [0.1, 5.0])
def test__logistic__weighted_rows__reaches_the_minimum_of_scipy(
    num_rows: int, num_features: int, strength: float
) -> None:
    features, weights, labels = (
        _features(num_rows, num_features),
        _weights(num_rows),
        _classes(num_rows, 2),
    )
    wide = features.double().numpy()

    def objective(parameters: FloatArray) -> tuple[float, FloatArray]:
        logits = wide @ parameters[:-1] + parameters[-1]
        value = -weights @ log_expit(np.where(labels == 1, logits, -logits))
        pull = weights * (expit(logits) - labels)
        slope = np.append(wide.T @ pull + strength * parameters[:-1], pull.sum())
        return float(value + 0.5 * strength * parameters[:-1] @ parameters[:-1]), slope

    _, best = _smallest(objective, num_features + 1)
    solution = _solve(features, BinaryLoss(torch.from_numpy(labels)), weights, strength)
    np.testing.assert_allclose(solution.logits[:, 0, 0].numpy(), wide @ best[:-1] + best[-1], atol=2e-4)


@pytest.mark.parametrize(("num_rows", "num_features"), REGIMES)
@pytest.mark.parametrize("strength", [0.1, 5.0])
def test__multinomial__weighted_rows__reaches_the_minimum_of_scipy(
    num_rows: int, num_features: int, strength: float
) -> None:
    features, weights = _features(num_rows, num_features), _weights(num_rows)
    labels = _classes(num_rows, NUM_CLASSES)
    wide, index = features.double().numpy(), labels.astype(np.int64)

    def logits_at(parameters: FloatArray) -> FloatArray:
        matrix = parameters.reshape(num_features + 1, NUM_CLASSES)
        return np.asarray(wide @ matrix[:-1] + matrix[-1])

    def objective(parameters: FloatArray) -> tuple[float, FloatArray]:
        logits = logits_at(parameters)
        pull = weights[:, None] * (softmax(logits, axis=1) - np.eye(NUM_CLASSES)[index])
        body = parameters.reshape(num_features + 1, NUM_CLASSES)[:-1]
        value = -weights @ log_softmax(logits, axis=1)[np.arange(num_rows), index]
        slope = np.concatenate([wide.T @ pull + strength * body, pull.sum(axis=0)[None]])
        return float(value + 0.5 * strength * np.square(body).sum()), slope.ravel()

    _, best = _smallest(objective, (num_features + 1) * NUM_CLASSES)
    solution = _solve(features, MulticlassLoss(torch.from_numpy(labels), NUM_CLASSES), weights, strength)
    found = softmax(solution.logits[:, 0].numpy(), axis=1)
    np.testing.assert_allclose(found, softmax(logits_at(best), axis=1), atol=1e-4)


def _comparable(logits: torch.Tensor) -> torch.Tensor:
    """What the loss sees of logits [n, P, O]: a common shift of all outputs is free, and so is "minus infinity"
    for a class that a division lacks."""
    return logits.softmax(dim=2) if logits.shape[2] > 1 else logits


def _losses(labels: torch.Tensor) -> list[tuple[str, Loss]]:
    return [
        ("squared", SquaredLoss(labels)),
        ("binary", BinaryLoss((labels > 1).double())),
        ("multiclass", MulticlassLoss(labels, NUM_CLASSES)),
    ]


@pytest.mark.parametrize("which", range(3))
def test__losses__derivatives__agree_with_autograd(which: int) -> None:
    labels = torch.from_numpy(_classes(9, NUM_CLASSES))
    name, loss = _losses(labels)[which]
    num_outputs = NUM_CLASSES if name == "multiclass" else 1
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(9, 2, num_outputs, generator=generator, dtype=torch.float64, requires_grad=True)
    along = torch.randn(9, 2, num_outputs, generator=generator, dtype=torch.float64)
    (slope,) = torch.autograd.grad(loss.value(logits).sum(), logits, create_graph=True)
    (twice,) = torch.autograd.grad((slope * along).sum(), logits)
    np.testing.assert_allclose(loss.gradient(logits.detach()), slope.detach(), atol=1e-12)
    np.testing.assert_allclose(loss.curvature(logits.detach(), along), (twice * along).sum(dim=2), atol=1e-12)


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize(("num_rows", "num_features"), REGIMES)
def test__minimise__many_divisions_at_once__each_as_if_alone(
    num_rows: int, num_features: int, which: int
) -> None:
    features = _features(num_rows, num_features)
    _, loss = _losses(torch.from_numpy(_classes(num_rows, NUM_CLASSES)))[which]
    rows = SpectralRows.of(features, torch.ones(num_rows, dtype=torch.float64))
    masks = (torch.arange(num_rows)[:, None] % 3 != torch.arange(3)).double()
    masks[:, 1] *= torch.from_numpy(_weights(num_rows))

    def solve(weights: torch.Tensor) -> Solution:
        return minimise(rows, loss, weights, 1.0, start_at_constant(rows, loss, weights), tolerance=1e-13)

    together = _comparable(solve(masks).logits)
    for number in range(3):
        alone = _comparable(solve(masks[:, number : number + 1]).logits)[:, 0]
        np.testing.assert_allclose(together[:, number], alone, atol=2e-4, rtol=0)


@pytest.mark.parametrize("which", range(3))
def test__minimise__weight_two__same_as_the_row_twice(which: int) -> None:
    features, labels = _features(24, 6), _classes(24, NUM_CLASSES)
    weights = np.asarray(1.0 + np.arange(24) % 2, dtype=np.float64)
    twice = np.repeat(np.arange(24), weights.astype(np.int64))
    weighted = _solve(features, _losses(torch.from_numpy(labels))[which][1], weights, 2.0)
    loss = _losses(torch.from_numpy(labels[twice]))[which][1]
    repeated = _solve(features[torch.from_numpy(twice)], loss, np.ones(len(twice)), 2.0)
    np.testing.assert_allclose(
        _comparable(weighted.logits[torch.from_numpy(twice)]), _comparable(repeated.logits), atol=2e-4, rtol=0
    )


@pytest.mark.parametrize(("num_rows", "num_features"), REGIMES)
def test__spectral_rows__any_regime__coordinates_are_the_centred_rows(
    num_rows: int, num_features: int
) -> None:
    features, weights = _features(num_rows, num_features), torch.from_numpy(_weights(num_rows))
    rows = SpectralRows.of(features, weights)
    rank = len(rows.eigenvalues)
    eye = torch.eye(rank, dtype=torch.float64)
    np.testing.assert_allclose(rows.directions.T @ rows.directions, eye, atol=1e-6, rtol=0)
    np.testing.assert_allclose(rows.coordinates @ rows.directions.T, features.double() - rows.mean, atol=1e-6)
    squares = rows.coordinates.T @ (weights[:, None] * rows.coordinates)
    np.testing.assert_allclose(squares, torch.diag(rows.eigenvalues), atol=1e-6, rtol=1e-6)


def _raw_rows(
    features: torch.Tensor, num_sampled: int, dtype: torch.dtype
) -> tuple[RawRows, SpectralRows, FeatureScaling]:
    scaling = FeatureScaling.fit(features, torch.full((features.shape[1],), FeatureKind.BIN))
    basis = SpectralRows.of(
        scaling.apply(features[:num_sampled]), torch.ones(num_sampled, dtype=torch.float64)
    )
    basis = SpectralRows(
        *(part.to(dtype) for part in (basis.coordinates, basis.eigenvalues, basis.directions, basis.mean))
    )
    share = len(features) / num_sampled
    return (
        RawRows(features, scaling.centre, scaling.gain, basis, basis.eigenvalues.float() * share),
        basis,
        scaling,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("num_rows", "num_features"), REGIMES)
@pytest.mark.parametrize("num_sampled", [13, None])
def test__raw_rows__basis_of_either_precision__same_products_as_rotated_rows(
    num_rows: int, num_features: int, num_sampled: int | None, dtype: torch.dtype
) -> None:
    features = features_of(num_rows, num_features)
    raw, basis, scaling = _raw_rows(features, num_sampled or num_rows, dtype)
    rotated = (scaling.apply(features).double() - basis.mean.double()) @ basis.directions.double()
    generator = torch.Generator().manual_seed(1)
    coefficients = torch.randn(rotated.shape[1], 3, generator=generator)
    pull = torch.randn(num_rows, 3, generator=generator)
    np.testing.assert_allclose(
        raw.forward(coefficients).double(), rotated @ coefficients.double(), atol=1e-5, rtol=1e-4
    )
    np.testing.assert_allclose(raw.adjoint(pull).double(), rotated.T @ pull.double(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test__raw_rows__all_rows_sampled__same_fit_as_spectral_rows(task: Task, dtype: torch.dtype) -> None:
    features = features_of(90, 7)
    labels = torch.from_numpy(labels_of(features, task, num_classes=NUM_CLASSES))
    raw, basis, _ = _raw_rows(features, 90, dtype)
    shares = {1.0: 0.25, 0.1: 0.75}

    def fit(rows: RawRows | SpectralRows, dtype: torch.dtype) -> torch.Tensor:
        loss: Loss
        if task is Task.REGRESSION:
            loss = SquaredLoss(((labels - labels.mean()) / labels.std()).to(dtype))
        elif task is Task.BINARY:
            loss = BinaryLoss(labels.to(dtype))
        else:
            loss = MulticlassLoss(labels, NUM_CLASSES)
        weights = torch.from_numpy(_weights(90)).to(dtype)
        coefficients, intercepts = fit_mixture(rows, basis.total / 90, loss, weights, shares, Pace())
        return (rows.forward(coefficients) + intercepts).double()

    np.testing.assert_allclose(fit(raw, torch.float32), fit(basis, dtype), atol=0.02, rtol=0)


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test__linear_head__more_rows_than_the_folds_take__is_fitted_on_all_of_them(task: Task) -> None:
    features = features_of(160, 5)
    labels = labels_of(features, task)
    sampled = problem_of(features, labels, task, max_fold_rows=60)
    assert sampled.folds is not None
    assert len(sampled.folds.rows) < 160
    # Rows outside of the sample have no say in the folds, so only the final fit can see that they became light.
    light = np.full(160, 1e-3)
    light[sampled.folds.rows] = 1.0
    on_all, on_sample = (
        logits_of(LinearHeadConfig().fit(problem).head, features).flatten()
        for problem in (sampled, replace(sampled, weights=light / light.mean()))
    )
    usual = logits_of(LinearHeadConfig().fit(problem_of(features, labels, task)).head, features).flatten()
    assert float(torch.corrcoef(torch.stack([on_all, usual]))[0, 1]) > 0.95
    assert float((on_all - on_sample).abs().max()) > 1e-2 * float(on_all.std())
