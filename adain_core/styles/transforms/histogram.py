"""Histogram matching."""

from __future__ import annotations

from torch import Tensor

from ..distribution import cumulative, quantile_at
from ..stats import StyleStats
from .base import Transform, content_stats


def histogram(
    features: Tensor, style: StyleStats, tap: str, mask: Tensor | None = None, content: StyleStats | None = None
) -> Tensor:
    """Histogram matching (Gonzalez and Woods): each channel receives the style's distribution. As exact feature
    distribution matching, but values that are equal stay equal."""
    content = content_stats(features, tap, mask, content, *HISTOGRAM.takes)
    places = cumulative(features, content.quantiles[tap])
    return quantile_at(HISTOGRAM.detail_of(style, tap), places).to(features.dtype)


HISTOGRAM = Transform(
    "histogram",
    "matches whole distributions, but keeps equal values equal",
    histogram,
    needs=("quantiles",),
    takes=("quantiles",),
)
