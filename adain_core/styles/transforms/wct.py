"""Whitening and coloring."""

from __future__ import annotations

from torch import Tensor

from ...networks.gaussian import coloring_map, move_by
from ..stats import StyleStats
from .base import Transform, content_stats


def wct(
    features: Tensor, style: StyleStats, tap: str, mask: Tensor | None = None, content: StyleStats | None = None
) -> Tensor:
    """Whitening and coloring (Li et al. 2017): the features receive the style's mean and covariance."""
    content = content_stats(features, tap, mask, content, *WCT.takes)
    matrix = coloring_map(content.covariance[tap], WCT.detail_of(style, tap))
    return move_by(matrix, features, content.mean[tap], style.mean[tap])


WCT = Transform("wct", "matches covariances too", wct, needs=("covariance",), takes=("covariance",), at_skips=True)
