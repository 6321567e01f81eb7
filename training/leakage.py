"""How much of a style's own content shows in a result, beside its manner."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from adain_core.networks.encoder import Encoder

_TAP = "relu3_1"
_WINDOWS_PER_SIDE = 3
_STEPS_PER_WINDOW = 4
_TILES_PER_SIDE = 12
_SHUFFLES = 3


@dataclass(frozen=True)
class Places:
    """What a style shows at its places, and what it shows in pieces: a mean for each place."""

    whole: Tensor
    pieces: list[Tensor]


@torch.no_grad()
def places_of(encoder: Encoder, style: Tensor) -> Places:
    """Look at a style, for the leakage of many results.

    Args:
        encoder: whose relu3_1 is looked at.
        style: [1, 3, h, w] in 0..1, at the size at which it was used, sides at least 16.
    """
    orders = torch.Generator().manual_seed(0)
    torn = [_places(encoder, pieces(style, orders)) for _ in range(_SHUFFLES)]
    return Places(_places(encoder, style), torn)


@torch.no_grad()
def leakage(encoder: Encoder, result: Tensor, style: Tensor | Places) -> float:
    """How much better the places of a style explain the places of a result than those of the same style in pieces do.

    Cut into tiles of a twelfth of its short side and put together at random, a style keeps its colors and strokes, but
    no thing that is larger. A result that took on the manner alone is as near to the one as to the other. A result that
    took over things, here the style's sky, there its sun, is nearer to the style as it is. A place is the mean of the
    features over a window of a third of the short side. Compare results at the same size only.

    Args:
        encoder: whose relu3_1 is looked at.
        result: [1, 3, H, W] in 0..1, sides at least 16.
        style: as for :func:`places_of`, or what that one found.

    Returns:
        The mean over the result's places of ``(p - s) / (p + s)``, where s is the squared distance to the nearest place
        of the style and p that to the nearest place of its pieces, a mean over three random orders (always the same
        ones). 1 where every place of the result is one of the style, about 0 where nothing but the manner is, -1 where
        every place is one of the pieces.
    """
    style = style if isinstance(style, Places) else places_of(encoder, style)
    places = _places(encoder, result)
    to_style = _distances(places, style.whole)
    to_pieces = sum(_distances(places, torn) for torn in style.pieces) / len(style.pieces)
    tiny = torch.finfo(torch.float32).tiny
    return ((to_pieces - to_style) / (to_pieces + to_style).clamp(min=tiny)).mean().item()


def pieces(picture: Tensor, orders: torch.Generator) -> Tensor:
    """A picture [1, 3, H, W] as a texture: its tiles of a twelfth of the short side in a random order. What does not
    fill a tile at the right and at the bottom is cut off."""
    tile = max(1, min(picture.shape[-2:]) // _TILES_PER_SIDE)
    height, width = (length // tile * tile for length in picture.shape[-2:])
    tiles = F.unfold(picture[..., :height, :width], tile, stride=tile)
    order = torch.randperm(tiles.shape[-1], generator=orders).to(picture.device)
    return F.fold(tiles[..., order], (height, width), tile, stride=tile)


def _places(encoder: Encoder, picture: Tensor) -> Tensor:
    features = encoder(picture, (_TAP,))[_TAP].float()
    side = max(1, min(features.shape[-2:]) // _WINDOWS_PER_SIDE)
    return F.avg_pool2d(features, side, max(1, side // _STEPS_PER_WINDOW))[0].flatten(1).mT


def _distances(places: Tensor, sources: Tensor) -> Tensor:
    return torch.cdist(places, sources).min(dim=1).values.square()
