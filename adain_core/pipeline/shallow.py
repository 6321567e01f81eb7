"""What a decoder's skips need of the content, tile by tile: the encoder's shallow maps and their statistics."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from torch import Tensor

from ..images.masks import filled_mask
from ..networks.skips import Skips
from ..runtime.progress import Progress, ignore_progress
from ..styles.stats import StyleStats
from .blend import Blend, joined_maps
from .features import Features
from .tiling import SKIP_HALO, STRIDES, Tile, TiledEncoder, grid_of


class ShallowMaps:
    """The shallow maps of a content. Where the features do not keep them they are computed again for each tile: relu1_1
    is as large as the picture, 64-fold.

    Args:
        encoder: of the features' space.
        skips: of the decoder.
        features: the content.
        tiles: the content in tiles that fit the memory.
    """

    def __init__(self, encoder: TiledEncoder, skips: Skips, features: Features, tiles: Sequence[Tile]) -> None:
        self.encoder = encoder
        self.skips = skips
        self.features = features
        self.tiles = tiles

    def measure(
        self,
        weights: Sequence[Tensor | None],
        covariance_at: Collection[str],
        progress: Progress = ignore_progress,
    ) -> list[StyleStats]:
        """The content's statistics at the skips' taps under each of some masks [B or 1, 1, 8 rows, 8 columns], with
        covariances at some of the taps."""
        features = self.features
        if maps := features.shallow:
            return [StyleStats.measure(maps, features.space, weight, (), covariance_at) for weight in weights]
        taps = self.skips.taps
        measured = self.encoder.measure(features.image, taps, weights, self.tiles, progress, covariance_at)
        return [stats.result(features.space) for stats in measured]

    def measured(self, blends: Sequence[Blend], progress: Progress = ignore_progress) -> list[Blend]:
        """The blends with the content's statistics at the skips' taps, which a tile cannot measure by itself."""
        blends = list(blends)
        taken = [{tap for tap in self.skips.taps if self._takes_covariance(blend, tap)} for blend in blends]
        missing = [i for i, blend in enumerate(blends) if not self._knows(blend.content, taken[i])]
        if not missing:
            return blends
        weights = [None if (mask := blends[i].mask) is None else filled_mask(mask) for i in missing]
        covariance_at = set().union(*(taken[i] for i in missing))
        for i, stats in zip(missing, self.measure(weights, covariance_at, progress), strict=True):
            known = blends[i].content or stats
            parts = {name: getattr(stats, name) | getattr(known, name) for name in ("mean", "std", "covariance")}
            blends[i] = replace(blends[i], content=replace(stats, **parts))
        return blends

    def _takes_covariance(self, blend: Blend, tap: str) -> bool:
        return "covariance" in blend.at_skip(self.skips, tap).transform.takes

    def _knows(self, content: StyleStats | None, covariance_at: Collection[str]) -> bool:
        if content is None:
            return False
        return set(self.skips.taps) <= content.mean.keys() and set(covariance_at) <= content.covariance.keys()

    def joined(self, blends: Sequence[Blend], tile: Tile) -> dict[str, list[Tensor]]:
        """What joins the decoder at each tap of a tile, after some blends with masks on the padded grid."""
        taps, images = self.skips.taps, self.features.image
        parts = [blend.part(tile.pictures) for blend in blends]
        rows, columns = tile.at(1)[2:]
        parts = [part if part.mask is None else replace(part, mask=part.mask[..., rows, columns]) for part in parts]
        grid = grid_of(images.shape[-2:])
        styles = [part.style.image for part in parts if self.skips.need_style_image and part.style.image is not None]
        style_maps = [self.encoder.stretched_tile(image, tile, grid, taps, SKIP_HALO) for image in styles]
        if self.features.shallow:
            dtype = self.encoder.encoder.dtype
            content = {tap: self.features.shallow[tap][tile.at(STRIDES[tap])].to(dtype) for tap in taps}
        else:
            content = self.encoder.tile(images, tile, taps, SKIP_HALO)
        return {
            tap: joined_maps(self.skips, tap, content[tap], parts, [maps[tap] for maps in style_maps]) for tap in taps
        }
