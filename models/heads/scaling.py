"""How row features are brought to one scale before a penalised fit: by an unlabelled sample, never by labels.

Shape letters: `N` reference rows, `F` row features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

# A feature that hardly moves in the sample (a rare category) would be blown up by its own tiny deviation; the
# floor is relative to the typical feature and bounds that.
DEVIATION_FLOOR = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class FeatureScaling:
    """Standardised feature = (raw feature − `centre`) · `gain`.

    Shape: `centre`, `gain` [F], float32. A feature that is constant in the sample has gain 0.
    """

    centre: torch.Tensor
    gain: torch.Tensor

    @classmethod
    def fit(cls, reference: torch.Tensor) -> FeatureScaling:
        """From row features [N, F] of an unlabelled sample."""
        wide = reference.double()
        centre = wide.mean(dim=0)
        deviation = wide.std(dim=0, correction=0)
        moving = deviation > 1e-6 * wide.abs().amax(dim=0).clamp_min(1e-12)
        typical = deviation[moving].median() if bool(moving.any()) else deviation.new_tensor(1.0)
        gain = torch.where(moving, deviation.clamp_min(float(DEVIATION_FLOOR * typical)).reciprocal(), 0.0)
        return cls(centre.float(), gain.float())

    def apply(self, features: torch.Tensor) -> torch.Tensor:
        """Raw features [n, F] to standardised features [n, F]."""
        return (features - self.centre) * self.gain

    def fold(self, weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight [O, F] and bias [O] on standardised features, as float32 weight and bias on raw features."""
        raw = weight.double() * self.gain.double()
        folded = raw.float()
        # The bias is taken against the rounded weight, so that rounding does not shift every prediction.
        return folded, (bias.double() - folded.double() @ self.centre.double()).float()
