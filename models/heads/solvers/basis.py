"""Rows in the eigenbasis of their Gram matrix, where every penalised fit is nearly diagonal.

A ridge penalty does not see rotations, so the fit may be done in the basis of the Gram matrix' eigenvectors.
With fewer rows than features that basis is the span of the rows (the solution lies in it); otherwise it is all of
feature space. For squared loss the Hessian is then diagonal for every strength; for the logistic losses nearly.

Shape letters: `n` rows, `F` features, `r` directions, at most min(n, F); `Q` columns of any kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

_RANK_TOLERANCE = 1e-7  # relative to the largest eigenvalue; features are float32
_ROUNDING = {dtype: 64 * torch.finfo(dtype).eps for dtype in (torch.float32, torch.float64)}
_DOUBLE_CELLS = 1 << 21  # up to here (16 MiB, within cache) double precision costs nothing noticeable


@dataclass(frozen=True, slots=True, eq=False)
class SpectralRows:
    """Rows as coordinates in their eigenbasis.

    Shape: `coordinates` [n, r]; `eigenvalues` [r], weighted sums of squares of the coordinates; `directions`
    [F, r], orthonormal; `mean` [F], weighted mean of the rows, subtracted from them.
    """

    coordinates: torch.Tensor
    eigenvalues: torch.Tensor
    directions: torch.Tensor
    mean: torch.Tensor

    @property
    def total(self) -> float:
        """Weighted sum of squares of all coordinates: the variance there is to use, times the weight."""
        return float(self.eigenvalues.sum())

    def forward(self, coefficients: torch.Tensor) -> torch.Tensor:
        """[r, Q] to [n, Q]."""
        return self.coordinates @ coefficients

    def adjoint(self, rows: torch.Tensor) -> torch.Tensor:
        """[n, Q] to [r, Q]."""
        return self.coordinates.T @ rows

    def weight(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Coefficients [r, Q] as weights over features [F, Q], float64."""
        return self.directions.double() @ coefficients.double()

    @classmethod
    def of(cls, features: torch.Tensor, weights: torch.Tensor) -> SpectralRows:
        """From features [n, F] (already on one scale) and row weights [n]."""
        num_rows, num_features = features.shape
        small = num_rows * min(num_rows, num_features) <= _DOUBLE_CELLS
        dtype = torch.float64 if small else torch.float32
        weights = weights.double()
        mean = (weights @ features.double() if small else _mean_by_parts(features, weights)) / weights.sum()
        centred = (features.double() - mean).to(dtype) if small else features - mean.float()
        # Where all rows are alike, what is left is the rounding of the mean. Penalties count relative to the variance,
        # so taken for variance it would be blown up to logits of any size on rows that differ.
        moving = centred.abs().amax(dim=0) > _ROUNDING[dtype] * features.abs().amax(dim=0)
        centred *= moving
        rooted = centred * weights.sqrt().to(dtype)[:, None]
        if num_rows <= num_features:
            values, vectors = torch.linalg.eigh((rooted @ rooted.T).double())
            values, vectors = _leading(values, vectors)
            directions = rooted.T @ (vectors / values.sqrt()).to(dtype)
        else:
            values, vectors = torch.linalg.eigh((rooted.T @ rooted).double())
            values, vectors = _leading(values, vectors)
            directions = vectors.to(dtype)
        return cls(centred @ directions, values.to(dtype), directions, mean)


@dataclass(frozen=True, slots=True, eq=False)
class RawRows:
    """Rows that are too many to rotate: the basis of a sample of them, applied to the coefficients instead.

    Shape: `features` [n, F] as given; `centre`, `gain` [F] bring them to one scale; `basis` of the sample, which is in
    double precision where it is small; the products here are in single.
    """

    features: torch.Tensor
    centre: torch.Tensor
    gain: torch.Tensor
    basis: SpectralRows
    eigenvalues: torch.Tensor

    def forward(self, coefficients: torch.Tensor) -> torch.Tensor:
        """[r, Q] to [n, Q]."""
        scaled = self.basis.directions.float() @ coefficients
        weight = scaled * self.gain[:, None]
        return self.features @ weight - (self.centre @ weight + self.basis.mean.float() @ scaled)

    def adjoint(self, rows: torch.Tensor) -> torch.Tensor:
        """[n, Q] to [r, Q]."""
        total = rows.sum(dim=0)
        scaled = (self.features.T @ rows - torch.outer(self.centre, total)) * self.gain[:, None]
        return self.basis.directions.float().T @ (scaled - torch.outer(self.basis.mean.float(), total))


def _mean_by_parts(features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(features.shape[1], dtype=torch.float64)
    for start in range(0, len(features), 4096):
        part = slice(start, start + 4096)
        total += weights[part] @ features[part].double()
    return total


def _leading(values: torch.Tensor, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest first, without those that are zero but for rounding; at least one."""
    values, vectors = values.flip(0), vectors.flip(1)
    count = max(1, int((values > _RANK_TOLERANCE * values[0].clamp_min(1e-30)).sum()))
    return values[:count].clamp_min(1e-30), vectors[:, :count]
