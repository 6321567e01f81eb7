"""Instance normalization: no style at all."""

from __future__ import annotations

from torch import Tensor

from ..stats import StyleStats
from .base import Transform, content_stats


def instance_norm(
    features: Tensor, style: StyleStats, tap: str, mask: Tensor | None = None, content: StyleStats | None = None
) -> Tensor:
    """The content without its own style: mean 0 and standard deviation 1 in each channel, whatever the style is."""
    content = content_stats(features, tap, mask, content)
    return ((features - content.mean[tap]) / content.std[tap]).to(features.dtype)


INSTANCE_NORM = Transform(
    "instance-norm", "removes the content's own style", instance_norm, by_thumbnail=True, at_skips=True
)
