"""Large pictures in tiles: encoded, measured and decoded part by part, with the same result as in one go.

A tile is computed with a halo of its neighbors as wide as half the receptive field, and the halo is cut off. At the
picture's own edges there is none, so that reflection padding acts there as it does on the whole. Statistics are merged
over the tiles. Only the relu4_1 map, an eighth of the picture in each direction, is held for the whole picture.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks.encoder import DEEPEST_TAP, STYLE_TAPS, Encoder
from ..options import Options, TileSize
from ..runtime.memory import available_memory, is_out_of_memory
from ..runtime.progress import Progress, ignore_progress
from ..runtime.tables import options_of
from ..styles.stats import RunningStats, moments_of

CELL = 8
"""Cells of relu4_1 are this many pixels wide; pictures are padded to a multiple."""
STRIDES = {tap: 2**i for i, tap in enumerate(STYLE_TAPS)}

# Cells that a tile needs to see beyond its edge: 30 pixels up to relu4_1 and as many back, 10 up to relu3_1.
ENCODER_HALO = 4
DECODER_HALO = 4
SKIP_HALO = 2

_SMALLEST_GRID = 2
_SMALLEST_SIDE = 64 // CELL
_AUTO_SHARE = 0.25
_AUTO_BYTES = 1.5e9

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tile:
    """Some pictures of a batch and a rectangle of them, in cells."""

    pictures: slice
    rows: slice
    columns: slice

    @property
    def cells(self) -> int:
        """How many there are in it, in all its pictures."""
        return math.prod(side.stop - side.start for side in (self.pictures, self.rows, self.columns))

    def covers(self, grid: Sequence[int]) -> bool:
        """Whether its pictures are whole."""
        return (self.rows, self.columns) == (slice(0, grid[0]), slice(0, grid[1]))

    def grow(self, halo: int, grid: tuple[int, int]) -> Tile:
        """The tile with so many cells more at each side, as far as the picture's grid goes."""
        rows, columns = (
            slice(max(0, side.start - halo), min(limit, side.stop + halo))
            for side, limit in zip((self.rows, self.columns), grid, strict=True)
        )
        return replace(self, rows=rows, columns=columns)

    def at(self, stride: int) -> tuple[slice, ...]:
        """The tile as an index into tensors [B, C, H / stride, W / stride]; 1 is the pictures themselves."""
        k = CELL // stride
        return self.pictures, slice(None), *(slice(k * s.start, k * s.stop) for s in (self.rows, self.columns))

    def within(self, outer: Tile, stride: int) -> tuple[slice, ...]:
        """The tile as an index into what was computed for a larger one of the same pictures."""
        k = CELL // stride
        sides = zip((self.rows, self.columns), (outer.rows, outer.columns), strict=True)
        return slice(None), slice(None), *(slice(k * (s.start - o.start), k * (s.stop - o.start)) for s, o in sides)

    def halves(self) -> list[Tile]:
        """The tile in two: fewer pictures, then less of each; as it is when there is little left to halve."""
        rows, columns = (side.stop - side.start for side in (self.rows, self.columns))
        if self.pictures.stop - self.pictures.start > 1:
            return [replace(self, pictures=half) for half in _halves(self.pictures)]
        if max(rows, columns) <= _SMALLEST_SIDE:
            return [self]
        if rows >= columns:
            return [replace(self, rows=half) for half in _halves(self.rows)]
        return [replace(self, columns=half) for half in _halves(self.columns)]


def _halves(side: slice) -> tuple[slice, slice]:
    middle = (side.start + side.stop) // 2
    return slice(side.start, middle), slice(middle, side.stop)


def grid_of(size: Sequence[int]) -> tuple[int, int]:
    """Cells of a picture (H, W) in each direction, at least 2."""
    rows, columns = (max(_SMALLEST_GRID, math.ceil(side / CELL)) for side in size)
    return rows, columns


def plan_tiles(images: Tensor, tile: TileSize, bytes_per_pixel: float, memory: float) -> list[Tile]:
    """Cut a batch of pictures [B, 3, H, W] into tiles; small pictures go together into one.

    Args:
        images: the pictures.
        tile: how large.
        bytes_per_pixel: what the work on a tile needs.
        memory: what it may use in all, in bytes; it counts unless ``tile`` is a number.

    Raises:
        ValueError: ``tile`` is no tile size.
    """
    options_of(Options)["tile"].check("tile", tile)
    grid = grid_of(images.shape[-2:])
    if isinstance(tile, str):
        budget = memory / bytes_per_pixel / CELL**2
        fits = tile == "off" or math.prod(grid) <= budget
        side = max(grid) if fits else max(_SMALLEST_SIDE, int(budget**0.5) - 2 * DECODER_HALO)
    else:
        side = math.ceil(tile / CELL)
        budget = side**2
    together = max(1, int(budget // math.prod(grid)))
    steps = zip((len(images), *grid), (together, side, side), strict=True)
    pictures, rows, columns = ([slice(i, min(i + n, end)) for i in range(0, end, n)] for end, n in steps)
    return [Tile(p, r, c) for p in pictures for r in rows for c in columns]


def for_each_tile(tiles: Iterable[Tile], work: Callable[[Tile], None], progress: Progress = ignore_progress) -> None:
    """Work on each tile; where memory runs out, on smaller ones from there on.

    Args:
        tiles: from :func:`plan_tiles`.
        work: leaves nothing behind for a tile that it cannot finish.
        progress: called before each tile; an exception from it ends the work.
    """
    pending = list(tiles)[::-1]
    total = sum(tile.cells for tile in pending)
    while pending:
        progress(1 - sum(tile.cells for tile in pending) / total)
        try:
            work(pending[-1])
        except RuntimeError as error:
            halves = [half for tile in pending for half in tile.halves()[::-1]]
            if len(halves) == len(pending) or not is_out_of_memory(error):
                raise
            _log.warning("Memory is short; going on with tiles half as large.")
            pending = halves
        else:
            pending.pop()
    progress(1.0)


def default_memory(device: torch.device) -> float:
    """What tiles may use on a device unless told otherwise, in bytes: a quarter of what is free, at most 1.5 GB."""
    available = available_memory(device)
    return _AUTO_BYTES if available is None else min(_AUTO_SHARE * available, _AUTO_BYTES)


def cut_tile(images: Tensor, tile: Tile) -> Tensor:
    """The pixels of a tile of pictures [B, C, H, W], padded to the grid beyond the right and lower edges: by
    reflection, or by replication where that is impossible."""
    part = images[tile.at(1)]
    height, width = (CELL * (side.stop - side.start) for side in (tile.rows, tile.columns))
    below, right = height - part.shape[-2], width - part.shape[-1]
    mode = "reflect" if below < part.shape[-2] and right < part.shape[-1] else "replicate"
    return F.pad(part, (0, right, 0, below), mode=mode) if below or right else part


def pad_to_grid(images: Tensor) -> Tensor:
    """Whole pictures [B, C, H, W], padded to the grid as their tiles are. Graphs are for sides from 16 on, and pad them
    by a choice of rows and columns, which does not depend on the size."""
    if torch.compiler.is_compiling():
        for dim in (2, 3):
            last = images.shape[dim] - 1
            place = torch.arange(CELL * ((images.shape[dim] + CELL - 1) // CELL), device=images.device)
            images = images.index_select(dim, last - (place - last).abs())
        return images
    rows, columns = (slice(0, side) for side in grid_of(images.shape[-2:]))
    return cut_tile(images, Tile(slice(0, len(images)), rows, columns))


def crop(images: Tensor, size: Sequence[int]) -> Tensor:
    """The upper left part of pictures [B, C, H, W], of this size: what :func:`pad_to_grid` added is left out."""
    if torch.compiler.is_compiling():
        for dim, side in zip((2, 3), size, strict=True):
            images = images.index_select(dim, torch.arange(side, device=images.device))
        return images
    return images[..., : size[0], : size[1]]


class TiledEncoder:
    """An encoder that sees tiles of pictures [B, 3, H, W] of any size.

    Args:
        encoder: computes where its weights are; the pictures may be elsewhere.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.device = encoder.conv1_1.weight.device

    def tile(
        self, images: Tensor, tile: Tile, taps: Sequence[str] = (DEEPEST_TAP,), halo: int = ENCODER_HALO
    ) -> dict[str, Tensor]:
        """The feature maps [b, C, h, w] of a tile, equal to that part of the whole picture's."""
        outer = tile.grow(halo, grid_of(images.shape[-2:]))
        pixels = cut_tile(images, outer).to(self.device)
        maps = self.encoder(pixels.contiguous(memory_format=torch.channels_last), taps)
        return {tap: x[tile.within(outer, STRIDES[tap])] for tap, x in maps.items()}

    def stretched_tile(
        self, images: Tensor, tile: Tile, target: tuple[int, int], taps: Sequence[str], halo: int
    ) -> dict[str, Tensor]:
        """A tile of feature maps that are stretched bilinearly to another grid, from no more of them than needed.

        Args:
            images: of any size; all of them, whatever pictures the tile has.
            tile: what is wanted, in cells of ``target``.
            target: the grid that the maps are stretched to.
            taps: which maps.
            halo: as for :meth:`tile`.
        """
        grid = grid_of(images.shape[-2:])
        sides = list(zip((tile.rows, tile.columns), grid, target, strict=True))
        rows, columns = (
            slice(max(0, math.floor(side.start * size / end - 1)), min(size, math.ceil(side.stop * size / end + 1)))
            for side, size, end in sides
        )
        maps = self.tile(images, Tile(slice(0, len(images)), rows, columns), taps, halo)
        for tap in taps:
            k = CELL // STRIDES[tap]
            for dim, held, (side, size, end) in zip((2, 3), (rows, columns), sides, strict=True):
                ends = slice(k * side.start, k * side.stop)
                maps[tap] = _stretch(maps[tap], dim, ends, size / end, k * size, k * held.start)
        return maps

    def features(
        self,
        images: Tensor,
        tiles: Sequence[Tile],
        progress: Progress = ignore_progress,
        shallow: Sequence[str] = (),
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """relu4_1 of whole pictures, [B, C, ceil(H / 8), ceil(W / 8)], and the maps at shallow taps besides where one
        tile has all of them."""
        shape = (len(images), self.encoder.widths[STYLE_TAPS.index(DEEPEST_TAP)], *grid_of(images.shape[-2:]))
        features = torch.empty(shape, dtype=self.encoder.dtype, device=self.device, memory_format=torch.channels_last)
        kept: dict[str, Tensor] = {}

        def encode(tile: Tile) -> None:
            whole = [tile] == tiles
            maps = self.tile(images, tile, (*shallow, DEEPEST_TAP) if whole else (DEEPEST_TAP,))
            features[tile.at(CELL)] = maps.pop(DEEPEST_TAP)
            kept.update(maps)

        for_each_tile(tiles, encode, progress)
        return features, kept

    def measure(
        self,
        images: Tensor,
        taps: Sequence[str],
        weights: Sequence[Tensor | None],
        tiles: Iterable[Tile],
        progress: Progress = ignore_progress,
        covariance_at: Collection[str] = (),
    ) -> list[RunningStats]:
        """Statistics of whole pictures at some taps, under each of several soft masks.

        Args:
            images: [B, 3, H, W].
            taps: which layers.
            weights: masks [B or 1, 1, 8 rows, 8 columns] on the padded grid, or None for everything.
            tiles: from :func:`plan_tiles`.
            progress: called before each tile.
            covariance_at: taps whose covariance is measured too.
        """
        measured = [RunningStats(len(images)) for _ in weights]

        def measure(tile: Tile) -> None:
            maps = self.tile(images, tile, taps)
            parts = [None if weight is None else crop_mask(weight, tile) for weight in weights]
            # All of them before any is added: a tile that runs out of memory comes again in parts.
            moments = [moments_of(maps, part, covariance_at) for part in parts]
            for stats, new in zip(measured, moments, strict=True):
                stats.add(tile.pictures, new)

        for_each_tile(tiles, measure, progress)
        return measured


def _stretch(x: Tensor, dim: int, target: slice, ratio: float, size: int, start: int) -> Tensor:
    """Interpolate linearly along a dimension: the places ``target`` of a line of ``size`` that was stretched by 1 /
    ``ratio``, of which ``x`` holds what begins at ``start``."""
    index = torch.arange(target.start, target.stop, device=x.device, dtype=torch.float32)
    place = ((index + 0.5) * ratio - 0.5).clamp(0, size - 1)
    below = place.long()
    above = (below + 1).clamp(max=size - 1)
    share = (place - below).to(x.dtype).view(-1, *[1] * (3 - dim))
    return torch.lerp(x.index_select(dim, below - start), x.index_select(dim, above - start), share)


def crop_mask(mask: Tensor, tile: Tile) -> Tensor:
    """A tile of a mask [B or 1, 1, 8 rows, 8 columns]."""
    pictures, *rest = tile.at(1)
    return mask[(pictures if len(mask) > 1 else slice(None), *rest)]
