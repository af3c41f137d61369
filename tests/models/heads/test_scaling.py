"""What scale row features get: blocks of equal say, raw ones by two measures, constants none."""

from __future__ import annotations

import torch

from models.encoders.raw_features import FeatureKind
from models.heads.scaling import FeatureScaling

LEARNED, INDICATOR, BIN, VALUE = (
    FeatureKind.LEARNED,
    FeatureKind.INDICATOR,
    FeatureKind.BIN,
    FeatureKind.VALUE,
)


def _sample(*deviations: float, num_rows: int = 4_000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(num_rows, len(deviations), generator=generator)
    standardised = (draws - draws.mean(dim=0)) / draws.std(dim=0, correction=0)
    return 7.0 + standardised * torch.tensor(deviations)


def _variances(sample: torch.Tensor, kinds: list[FeatureKind]) -> torch.Tensor:
    scaling = FeatureScaling.fit(sample, torch.tensor(kinds))
    return scaling.apply(sample).var(dim=0, correction=0)


def test__scaling__learned_and_raw__same_total_variance_whatever_their_number() -> None:
    kinds = [LEARNED, LEARNED, LEARNED, INDICATOR, BIN, VALUE]
    variances = _variances(_sample(3.0, 1.0, 2.0, 0.1, 0.3, 1.0), kinds)
    torch.testing.assert_close(variances[:3].sum(), torch.tensor(1.0))
    torch.testing.assert_close(variances[3:].sum(), torch.tensor(1.0))


def test__scaling__encoder_that_learned_nothing__hardly_counts() -> None:
    sample, kinds = _sample(3.0, 1.0, 0.1, 1.0), torch.tensor([LEARNED, LEARNED, INDICATOR, VALUE])
    scaled = FeatureScaling.fit(sample, kinds, learned_variance=0.03).apply(sample)
    variances = scaled.var(dim=0, correction=0)
    torch.testing.assert_close(variances[:2].sum(), torch.tensor(0.03))
    torch.testing.assert_close(variances[2:].sum(), torch.tensor(1.0))


def test__scaling__learned_features__keep_their_relative_scale() -> None:
    variances = _variances(_sample(3.0, 1.0, 0.5), [LEARNED, LEARNED, VALUE])
    torch.testing.assert_close(variances[0] / variances[1], torch.tensor(9.0))


def test__scaling__raw_features__half_alike_and_half_numbers_as_values() -> None:
    variances = _variances(_sample(0.5, 0.2, 1.0, 0.8), [INDICATOR, BIN, VALUE, VALUE])
    torch.testing.assert_close(variances, torch.tensor([0.25, 0.25, 0.25, 0.25]))


def test__scaling__categories_alone__half_alike_and_half_as_they_are() -> None:
    variances = _variances(_sample(0.5, 0.2), [INDICATOR, INDICATOR])
    expected = torch.tensor([0.5 + 0.25 / 0.29, 0.5 + 0.04 / 0.29]) / 2
    torch.testing.assert_close(variances, expected)


def test__scaling__bins_without_values__all_alike() -> None:
    variances = _variances(_sample(0.5, 0.2, 0.1), [INDICATOR, BIN, BIN])
    torch.testing.assert_close(variances, torch.full((3,), 1 / 3))


def test__scaling__constant_or_no_rows__no_gain_and_nothing_that_is_not_finite() -> None:
    kinds = torch.tensor([LEARNED, INDICATOR, BIN, VALUE])
    for sample in (torch.full((50, 4), 3.0), torch.zeros(0, 4)):
        scaling = FeatureScaling.fit(sample, kinds)
        assert scaling.gain.tolist() == [0.0] * 4
        assert bool(scaling.centre.isfinite().all())


def test__scaling__rare_indicator__is_not_blown_up() -> None:
    sample = _sample(*[0.5] * 20, 1e-4)
    gain = FeatureScaling.fit(sample, torch.full((21,), INDICATOR)).gain
    assert float(gain[-1] / gain[0]) < 11.0


def test__scaling_of_columns__numbers_as_values_and_levels_of_a_category__each_column_alike() -> None:
    kinds = [LEARNED, BIN, BIN, INDICATOR, VALUE, INDICATOR, INDICATOR, BIN, VALUE]
    column_of = torch.tensor([-1, 0, 0, 0, 0, 1, 1, 2, 2])
    sample = _sample(3.0, 0.5, 0.2, 0.4, 0.8, 0.6, 0.3, 0.2, 1.0)
    scaling = FeatureScaling.of_columns(sample, torch.tensor(kinds), column_of)
    variances = scaling.apply(sample).var(dim=0, correction=0)
    third = 1 / 3
    expected = [0.0, 0.0, 0.0, 0.0, third, third * 0.36 / 0.45, third * 0.09 / 0.45, 0.0, third]
    torch.testing.assert_close(variances, torch.tensor(expected))


def test__scaling_of_columns__nothing_that_moves__no_gain() -> None:
    kinds, column_of = torch.tensor([LEARNED, INDICATOR, VALUE]), torch.tensor([-1, 0, 1])
    for sample in (torch.full((50, 3), 3.0), torch.zeros(0, 3)):
        assert FeatureScaling.of_columns(sample, kinds, column_of).gain.tolist() == [0.0] * 3
    nothing = torch.zeros(0, dtype=torch.int64)
    assert FeatureScaling.of_columns(torch.zeros(4, 0), nothing, nothing).gain.tolist() == []
