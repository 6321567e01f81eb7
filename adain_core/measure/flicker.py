"""How much a stylized film flickers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

# How much a pixel of the content may change from frame to frame and still count as standing still, 0..1.
_STILL = 0.02
# Pixels as near as this to one that moves see it: most of the networks' field of view.
_REACH = 24


def flicker(frames: Tensor, content: Tensor) -> float:
    """How much a stylized film changes where its content stands still.

    Args:
        frames: the stylized film, [T, 3, H, W] in 0..1, T at least 2.
        content: the film before, of the same shape.

    Returns:
        The mean absolute difference of successive frames over the pixels around which the content stands still, 0..1; 0
        if it does nowhere.
    """
    moving = ((content[1:] - content[:-1]).abs().amax(dim=1, keepdim=True) > _STILL).float()
    still = 1 - F.max_pool2d(moving, 2 * _REACH + 1, stride=1, padding=_REACH)
    difference = (frames[1:] - frames[:-1]).abs().mean(dim=1, keepdim=True)
    return ((difference * still).sum() / still.sum().clamp(min=1)).item()
