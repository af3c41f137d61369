"""How row features are brought to one scale before a penalised fit: by an unlabelled sample, never by labels.

A ridge penalty takes scale for importance, so with few labels scale decides a lot. Learned features keep their relative
scale: they all come out of one normalisation, and those that tell rows apart move more. Raw ones are weighed in two ways,
half each. In one, every feature that moves has the same variance, so that a number weighs as much as it has bins, and a
rare category as much as a common one: rows are near that agree in any detail. In the other only the standardised numbers
count, each as much as another: a few straight lines are what few labels can tell. A table without numbers has its
categories there, by the variance they have. Then learned and raw features get the same total variance, or the block with
more of them would have the say; learned ones less where the encoder learned nothing.

Shape letters: `N` reference rows, `F` row features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from models.encoders.raw_features import FeatureKind

# A feature that hardly moves in the sample (a rare category) would be blown up by its own tiny deviation; the
# floor is relative to the typical deviation in its block and bounds that.
DEVIATION_FLOOR = 0.1
MIN_DEVIATION = 1e-6  # a feature that moves less is taken for constant


@dataclass(frozen=True, slots=True, eq=False)
class FeatureScaling:
    """Scaled feature = (raw feature − `centre`) · `gain`.

    Shape: `centre`, `gain` [F], float32. A feature that is constant in the sample has gain 0.
    """

    centre: torch.Tensor
    gain: torch.Tensor

    @classmethod
    def fit(
        cls, reference: torch.Tensor, kinds: torch.Tensor, *, learned_variance: float = 1.0
    ) -> FeatureScaling:
        """From row features [N, F] of an unlabelled sample; `kinds` [F] says what each is (`FeatureKind`).

        `learned_variance` is the total variance of the learned ones, that of the raw ones being 1.
        """
        centre, deviation = _moments(reference)
        moves = deviation > MIN_DEVIATION
        is_bin, is_value = kinds == FeatureKind.BIN, kinds == FeatureKind.VALUE
        is_indicator = kinds == FeatureKind.INDICATOR
        learned = _gain(torch.ones_like(deviation), deviation, moves & (kinds == FeatureKind.LEARNED))
        spread = moves & (is_bin | is_indicator)
        floor = DEVIATION_FLOOR * deviation[spread].median() if bool(spread.any()) else 1.0
        ways = [_gain(deviation.clamp(min=floor).reciprocal(), deviation, spread)]
        if bool(is_value.any()):
            ways.append(_gain(deviation.clamp(min=DEVIATION_FLOOR).reciprocal(), deviation, moves & is_value))
        elif not bool(is_bin.any()):  # bins alone are layout 1, whose numbers have no values
            ways.append(_gain(torch.ones_like(deviation), deviation, moves & is_indicator))
        # The gain whose products of rows are the mean of those of the ways.
        raw = torch.stack(ways).square().mean(dim=0).sqrt()
        return cls(centre.float(), (learned_variance**0.5 * learned + raw).float())

    @classmethod
    def of_columns(
        cls, reference: torch.Tensor, kinds: torch.Tensor, column_of: torch.Tensor
    ) -> FeatureScaling:
        """One straight line per number and one level per category, each column as much as another; nothing else counts.

        What a regression on the columns themselves would take. `column_of` [F] says which column a raw feature is of; total
        variance is 1 as in `fit`.
        """
        centre, deviation = _moments(reference)
        moves = deviation > MIN_DEVIATION
        is_value = kinds == FeatureKind.VALUE
        # One place more than there are columns: the last, -1, is that of learned features.
        is_number = torch.zeros(int(column_of.max()) + 2 if len(column_of) else 1, dtype=torch.bool)
        is_number[column_of[is_value | (kinds == FeatureKind.BIN)]] = True
        is_level = moves & (kinds == FeatureKind.INDICATOR) & ~is_number[column_of]
        levels = torch.zeros(len(is_number), dtype=deviation.dtype)
        levels.index_add_(0, column_of[is_level], deviation[is_level].square())
        scale = torch.where(
            is_level,
            levels[column_of].clamp(min=torch.finfo(deviation.dtype).tiny).rsqrt(),
            deviation.clamp(min=DEVIATION_FLOOR).reciprocal(),
        )
        return cls(centre.float(), _gain(scale, deviation, is_level | (moves & is_value)).float())

    def apply(self, features: torch.Tensor) -> torch.Tensor:
        """Raw features [n, F] to scaled features [n, F]."""
        return (features - self.centre) * self.gain

    def fold(self, weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight [O, F] and bias [O] on scaled features, as float32 weight and bias on raw features."""
        folded = (weight.double() * self.gain.double()).float()
        # The bias is taken against the rounded weight, so that rounding does not shift every prediction.
        return folded, (bias.double() - folded.double() @ self.centre.double()).float()


def _moments(reference: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each feature [F], float64; zeros without rows."""
    wide = reference.double()
    centre = wide.mean(dim=0) if len(wide) else wide.new_zeros(wide.shape[1])
    return centre, (wide - centre).square().sum(dim=0).div(max(len(wide), 1)).sqrt()


def _gain(scale: torch.Tensor, deviation: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
    """Gains [F] in proportion to `scale` that give the features of `block` a total variance of 1; 0 elsewhere."""
    total = (scale * deviation)[block].square().sum().sqrt()
    return torch.where(block, scale / total.clamp(min=torch.finfo(total.dtype).tiny), 0.0)
