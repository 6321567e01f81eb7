"""Pictures in tiles without the map of the whole: the content's statistics come from a thumbnail, approximately."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..images.detail import shrink
from ..images.masks import checked_mask, resize_mask
from ..runtime.progress import Progress, ignore_progress
from ..styles.stats import StyleStats
from .tiling import DECODER_HALO, ENCODER_HALO, Tile, TileSize, for_each_tile, grid_of

if TYPE_CHECKING:
    from .transfer import StyleTransfer

_THUMBNAIL_SIDE = 512
_TRANSFORMS = ("adain", "instance-norm")

_log = logging.getLogger(__name__)


def stylize_by_thumbnail(
    model: StyleTransfer,
    content: Tensor,
    layers: Sequence[tuple[Tensor | None, StyleStats]],
    alpha: float,
    transform: str,
    tile: TileSize,
    progress: Progress,
) -> Tensor:
    """Encode, blend and decode tile by tile with the statistics of a thumbnail. No tile is seen twice, and memory grows
    with the tile alone; the colors and the contrast of the result may be a little off.

    Args:
        model: encoder and decoder.
        content: [B, 3, H, W] in 0..1.
        layers: masks [H, W] or [B, H, W], or None for everywhere, each with its style.
        alpha: strength, 0..1.
        transform: ``adain`` or ``instance-norm``.
        tile: side of the tiles.
        progress: called with the share that is done.

    Returns:
        [B, 3, H, W] in 0..1.

    Raises:
        ValueError: as :func:`check_low_memory`.
    """
    check_low_memory(model, transform)
    masks = [None if mask is None else checked_mask(mask, len(content))[:, 0] for mask, _ in layers]
    measured: list[list[StyleStats]] = [[] for _ in layers]
    for pictures in model.chunks(content, tile):
        progress(0.0)
        small = model.encode(thumbnail(content[pictures]), tile)
        for stats, mask in zip(measured, masks, strict=True):
            own_mask = mask if mask is None or len(mask) == 1 else mask[pictures]
            stats.append(model.compute_content_stats(small, own_mask, tile))
    complete = [(mask, style, StyleStats.stack(s)) for (mask, style), s in zip(layers, measured, strict=True)]
    return stylize_tiles(model, content, complete, alpha, transform, tile, progress)


def check_low_memory(model: StyleTransfer, transform: str) -> None:
    """Warn that the result is approximate.

    Raises:
        ValueError: the transform or the decoder needs more than the content's means and standard deviations.
    """
    if transform not in _TRANSFORMS:
        raise ValueError(f"low_memory has no statistics for the transform '{transform}'; use {_TRANSFORMS[0]}.")
    if model.decoder.skips.need_style_image:
        raise ValueError(
            f"low_memory cannot stretch a style over the content for '{model.decoder.skips}'; leave it off."
        )
    _log.warning("Low memory: the statistics come from a thumbnail, so the result is approximate.")


def thumbnail(content: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] as small as suffices for their statistics."""
    return shrink(content, _THUMBNAIL_SIDE)


def stylize_tiles(
    model: StyleTransfer,
    content: Tensor,
    layers: Sequence[tuple[Tensor | None, StyleStats, StyleStats]],
    alpha: float,
    transform: str,
    tile: TileSize,
    progress: Progress = ignore_progress,
) -> Tensor:
    """As :func:`stylize_by_thumbnail`, where each layer has the content's statistics too, one set for each picture.

    Raises:
        ValueError: there are neither one nor as many styles as contents.
    """
    for _, style, _ in layers:
        style.check_count(len(content))
    size = content.shape[-2], content.shape[-1]
    masks = [None if mask is None else resize_mask(checked_mask(mask, len(content)), size) for mask, *_ in layers]
    result = torch.empty_like(content, dtype=torch.float32, memory_format=torch.contiguous_format)

    def stylize_tile(part: Tile) -> None:
        outer = part.grow(ENCODER_HALO + DECODER_HALO, grid_of(size))
        pictures, _, rows, columns = outer.at(1)
        features = model.encode(content[outer.at(1)], "off", keep_shallow=True)
        for (_, style, stats), mask in zip(layers, masks, strict=True):
            own_style = style if style.count == 1 else style.part(pictures)
            own_mask = None if mask is None else mask[pictures if len(mask) > 1 else slice(None), 0, rows, columns]
            features = model.blend(features, own_style, alpha, own_mask, transform, stats.part(pictures))
        target = result[part.at(1)]
        pixels = model.decode(features, "off")[part.within(outer, 1)]
        target.copy_(pixels)

    for_each_tile(model.tiles(content, tile), stylize_tile, progress)
    return result
