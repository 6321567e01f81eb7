"""AdaIN."""

from __future__ import annotations

import torch
from torch import Tensor

from ..stats import StyleStats
from .base import Transform, content_stats


def adain(
    features: Tensor, style: StyleStats, tap: str, mask: Tensor | None = None, content: StyleStats | None = None
) -> Tensor:
    """AdaIN (Huang and Belongie 2017, equation 8): each channel receives the style's mean and standard deviation."""
    content = content_stats(features, tap, mask, content)
    scale = style.std[tap] / content.std[tap]
    # In the features' own dtype: a shallow map in float32 takes longer to move through memory than to convolve. About
    # the mean, since a flat picture's scale is so large that rounding it would move all that is not centered; what
    # rounding the mean leaves goes into the shift.
    center = content.mean[tap].to(features.dtype)
    shift = style.mean[tap] + (center.float() - content.mean[tap]) * scale
    moved = features - center
    # Into the same memory where no gradient needs it: fresh memory for a large map costs more than the sum.
    out = None if torch.is_grad_enabled() or torch.compiler.is_compiling() else moved
    return torch.addcmul(shift.to(features.dtype), moved, scale.to(features.dtype), out=out)


ADAIN = Transform("adain", "matches means and standard deviations", adain, by_thumbnail=True)
