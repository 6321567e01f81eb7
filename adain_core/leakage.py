"""How much of a style's own content shows in a result, beside its manner."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .encoder import Encoder

_TAP = "relu3_1"
_WINDOWS_PER_SIDE = 3
_STEPS_PER_WINDOW = 4


@torch.no_grad()
def leakage(encoder: Encoder, result: Tensor, style: Tensor) -> float:
    """How much better single places of the style explain places of the result than the style as a whole does.

    A style without content, a texture, looks alike everywhere: no place of it explains more than its mean, and this is
    small. A style with large things of its own hands them over: here the result looks like its sky, there like its sun.
    The features' means over windows of a third of the short side stand for a place. Compare results at the same size
    only, and where the content is the same: a lively content is itself explained a little by any lively style.

    Args:
        encoder: whose relu3_1 is looked at.
        result: [1, 3, H, W] in 0..1, sides at least 16.
        style: [1, 3, h, w] in 0..1, at the size at which it was used.

    Returns:
        The mean over the windows r of the result of ``1 - min |r - s|^2 / |r - mean(s)|^2`` over the windows s of the
        style: 1 where a place of the result is one of the style, 0 where none is nearer than the style's mean.
    """
    maps = [encoder(picture, (_TAP,))[_TAP].float() for picture in (result, style)]
    side = max(1, min(min(x.shape[-2:]) for x in maps) // _WINDOWS_PER_SIDE)
    step = max(1, side // _STEPS_PER_WINDOW)
    places, sources = (F.avg_pool2d(x, side, step)[0].flatten(1).mT for x in maps)
    as_a_whole = (places - sources.mean(dim=0)).square().sum(dim=1)
    by_places = torch.cdist(places, sources).min(dim=1).values.square()
    return (1 - by_places / as_a_whole.clamp(min=torch.finfo(torch.float32).tiny)).mean().item()
