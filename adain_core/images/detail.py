"""A working size of its own: strokes stay as large as they are there, while the result has the content's size.

The stylized picture is enlarged with the content's detail as its guide, in the manner of the fast guided filter (He and
Sun 2015, arXiv:1505.00996): at the working size each channel is fitted locally as ``a * luminance + b``, and the
luminance that the working size lost comes back with the factor a. What the fit does not explain, the strokes, is
enlarged as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from .color import luminance
from .pictures import scale_short_side

_RADIUS = 4
# Variance of luminance below which a neighborhood counts as flat: its detail is noise, and is not amplified.
_FLAT = 1e-3
_LARGEST_GAIN = 1.5


def shrink(images: Tensor, work_size: int | None) -> Tensor:
    """Pictures [B, 3, H, W] at a working size: with this short side, or as they are where theirs is no longer.

    Raises:
        ValueError: the size is not positive.
    """
    larger = work_size is not None and min(images.shape[-2:]) > work_size
    return scale_short_side(images, work_size, "work_size") if larger else images


def restore_detail(result: Tensor, work: Tensor, content: Tensor) -> Tensor:
    """Enlarge a result from its working size to the content's size, with the content's detail.

    Args:
        result: the stylized pictures, [B, 3, h, w] in 0..1.
        work: the content at the same size.
        content: the content, [B, 3, H, W] in 0..1.

    Returns:
        [B, 3, H, W] in 0..1.
    """
    size = content.shape[-2:]
    if result.shape[-2:] == size:
        return result
    guide = luminance(work.float())
    mean_guide, mean_result = _local_mean(guide), _local_mean(result)
    covariance = _local_mean(guide * result) - mean_guide * mean_result
    variance = _local_mean(guide * guide) - mean_guide.square()
    gain = (covariance / (variance + _FLAT)).clamp(-_LARGEST_GAIN, _LARGEST_GAIN)
    detail = luminance(content.float()) - _enlarge(guide, size)
    return (_enlarge(result, size) + _enlarge(gain, size) * detail).clamp(0, 1)


def _local_mean(x: Tensor) -> Tensor:
    """The mean over a square around each pixel, as far as it lies inside the picture."""
    return F.avg_pool2d(x, 2 * _RADIUS + 1, stride=1, padding=_RADIUS, count_include_pad=False)


def _enlarge(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bicubic", align_corners=False)
