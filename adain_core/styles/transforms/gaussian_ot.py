"""Optimal transport of Gaussians."""

from __future__ import annotations

from torch import Tensor

from ...networks.gaussian import move_by, transport_map
from ..stats import StyleStats
from .base import Transform, content_stats


def gaussian_ot(
    features: Tensor, style: StyleStats, tap: str, mask: Tensor | None = None, content: StyleStats | None = None
) -> Tensor:
    """Optimal transport of Gaussians (Mroueh 2019): the features receive the style's mean and covariance, as by
    whitening and coloring, but with the map that moves them least. Blending it with alpha walks along the Wasserstein
    geodesic."""
    content = content_stats(features, tap, mask, content, *GAUSSIAN_OT.takes)
    matrix = transport_map(content.covariance[tap], GAUSSIAN_OT.detail_of(style, tap))
    return move_by(matrix, features, content.mean[tap], style.mean[tap])


GAUSSIAN_OT = Transform(
    "gaussian-ot",
    "matches covariances too, with the least change",
    gaussian_ot,
    needs=("covariance",),
    takes=("covariance",),
    at_skips=True,
)
