"""Exact feature distribution matching."""

from __future__ import annotations

from torch import Tensor

from ..distribution import quantile_at, ranks
from ..stats import StyleStats
from .base import Transform


def efdm(
    features: Tensor, style: StyleStats, tap: str, mask: Tensor | None = None, content: StyleStats | None = None
) -> Tensor:
    """Exact feature distribution matching (Zhang et al. 2022): the n-th smallest value of each channel becomes the
    style's n-th smallest, by interpolation where their numbers differ. Ranks need the whole map, so ``content`` is not
    used."""
    return quantile_at(EFDM.detail_of(style, tap), ranks(features, mask)).to(features.dtype)


EFDM = Transform("efdm", "matches whole distributions", efdm, needs=("quantiles",))
