"""Pictures in tiles without the map of the whole: the content's statistics come from a thumbnail, approximately."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..images.detail import shrink
from ..images.masks import resize_mask
from ..networks.skips import Skips
from ..options import TileSize
from ..runtime.progress import Preview, Progress
from ..styles.transforms import Transform
from .blend import Blend
from .steps import Steps
from .tiling import DECODER_HALO, ENCODER_HALO, Tile, for_each_tile, grid_of

_THUMBNAIL_SIDE = 512

_log = logging.getLogger(__name__)


def check_low_memory(skips: Skips, transform: Transform) -> None:
    """Warn that the result is approximate.

    Raises:
        ValueError: the transform needs more of the content than a thumbnail tells, or the decoder takes the style's own
            maps.
    """
    if not transform.by_thumbnail:
        raise ValueError(f"low_memory has no statistics for the transform '{transform.name}'; use adain.")
    if skips.need_style_image:
        raise ValueError(f"low_memory cannot stretch a style over the content for '{skips}'; leave it off.")
    _log.warning("Low memory: the statistics come from a thumbnail, so the result is approximate.")


def thumbnail(content: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] as small as suffices for their statistics."""
    return shrink(content, _THUMBNAIL_SIDE)


def stylize_tiles(
    model: Steps,
    content: Tensor,
    blends: Sequence[Blend],
    tile: TileSize,
    progress: Progress,
    preview: Preview,
) -> Tensor:
    """Encode, blend and decode tile by tile. No tile is seen twice, and memory grows with the tile alone.

    Args:
        model: encoder and decoder.
        content: [B, 3, H, W] in 0..1.
        blends: with the content's statistics, one set for each picture, and masks of any size.
        tile: side of the tiles.
        progress: called with the share that is done.
        preview: called with the pictures of each tile; where they are not stylized yet they are the content.

    Returns:
        [B, 3, H, W] in 0..1; where the statistics are a thumbnail's, colors and contrast may be a little off.
    """
    size = content.shape[-2], content.shape[-1]
    blends = [b if b.mask is None else replace(b, mask=resize_mask(b.mask, size)) for b in blends]
    result = content.to(torch.float32, memory_format=torch.contiguous_format, copy=True)

    def stylize_tile(part: Tile) -> None:
        outer = part.grow(ENCODER_HALO + DECODER_HALO, grid_of(size))
        pictures, _, rows, columns = outer.at(1)
        features = model.encode(content[outer.at(1)], "off", keep_shallow=True)
        for blend in (blend.part(pictures) for blend in blends):
            mask = None if blend.mask is None else blend.mask[..., rows, columns]
            features = model.lay(features, replace(blend, mask=mask))
        target = result[part.at(1)]
        target.copy_(model.decode(features, "off")[part.within(outer, 1)])
        preview(result[part.pictures])

    for_each_tile(model.tiles(content, tile), stylize_tile, progress)
    return result
