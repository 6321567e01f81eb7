"""Films: statistics that change smoothly from frame to frame, and how much a film flickers.

AdaIN normalizes each frame by its own statistics. When something moves, they change, and the whole picture changes with
them. Smoothed over time they do not; at a cut they start anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.color import ColorMethod, preserve_color
from ..images.detail import restore_detail, shrink
from ..images.pictures import scale_short_side
from ..networks.encoder import DEEPEST_TAP
from ..pipeline.thumbnails import check_low_memory, stylize_tiles, thumbnail
from ..pipeline.tiling import TileSize
from ..pipeline.transfer import StyleTransfer
from ..styles.stats import StyleStats, mix
from ..styles.transforms import DETAILS

Mask = Tensor | Callable[[int], Tensor]
"""Where to stylize, [H, W] or [1, H, W] in 0..1: in all frames, or in a frame by its number, asked for once and in
order."""

SMOOTHING = 0.8
CUT = 0.35
# How much a pixel of the content may change from frame to frame and still count as standing still, 0..1.
_STILL = 0.02
# Pixels as near as this to one that moves see it: most of the networks' field of view.
_REACH = 24


class StatisticsFilter:
    """Exponential smoothing of statistics over frames, with a reset at cuts. Its memory is one set of statistics.

    Args:
        smoothing: share of the past in each frame's statistics, 0 (none) to less than 1; 0.8 remembers five frames.
        cut: a change of the statistics from one frame to the next, in standard deviations, that counts as a cut; see
            :func:`change`.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, smoothing: float = SMOOTHING, cut: float = CUT) -> None:
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing is {smoothing}; expected a number from 0 to less than 1.")
        if not cut > 0:
            raise ValueError(f"cut is {cut}; expected a positive number.")
        self.smoothing = smoothing
        self.cut = cut
        self._last: tuple[StyleStats, StyleStats] | None = None

    def __call__(self, measured: StyleStats, mask: Tensor | None = None) -> StyleStats:
        """Smoothed statistics of the next frames, a batch in the order of time, from those measured under a mask [H, W]
        or [B, H, W]. A frame whose mask is zero everywhere tells nothing of what the mask shows: it is passed over."""
        frames = [measured.part(slice(i, i + 1)) for i in range(measured.count)]
        seen = [True] if mask is None else mask.flatten(-2).any(dim=-1).flatten().tolist()
        seen = seen * (len(frames) // len(seen))
        return StyleStats.stack([self._next(one) if s else one for one, s in zip(frames, seen, strict=True)])

    def _next(self, measured: StyleStats) -> StyleStats:
        smoothed = measured
        if self._last is not None:
            measured_before, smoothed_before = self._last
            if change(measured_before, measured) <= self.cut:
                smoothed = mix([smoothed_before, measured], [self.smoothing, 1 - self.smoothing])
        self._last = measured, smoothed
        return smoothed


def change(before: StyleStats, after: StyleStats) -> float:
    """How far two sets of relu4_1 statistics are apart: the differences of means and of standard deviations, in
    standard deviations, averaged over the channels."""
    means = (after.mean[DEEPEST_TAP] - before.mean[DEEPEST_TAP]).abs()
    stds = (after.std[DEEPEST_TAP] - before.std[DEEPEST_TAP]).abs()
    scale = (after.std[DEEPEST_TAP] + before.std[DEEPEST_TAP]) / 2
    return ((means + stds) / scale).mean().item()


@dataclass(frozen=True)
class StyleTimeline:
    """Styles at points in time, blended linearly in between.

    Args:
        times: in seconds, rising; at least one.
        styles: one for each time.

    Raises:
        ValueError: the times do not rise, or their number is not that of the styles.
    """

    times: Sequence[float]
    styles: Sequence[StyleStats]

    def __post_init__(self) -> None:
        if len(self.times) != len(self.styles) or not self.times:
            raise ValueError(f"There are {len(self.times)} times for {len(self.styles)} styles; expected one each.")
        rising = all(a < b for a, b in zip(self.times, self.times[1:], strict=False))
        if not (rising and all(math.isfinite(time) for time in self.times)):
            raise ValueError(f"The times {list(self.times)} of the styles must rise.")

    def at(self, time: float) -> StyleStats:
        """The style at a time: the first style before the first time, the last one after the last."""
        after = next((i for i, key in enumerate(self.times) if key > time), len(self.times))
        if after in (0, len(self.times)):
            return self.styles[max(after - 1, 0)]
        start, end = self.times[after - 1 : after + 1]
        share = (time - start) / (end - start)
        return mix(self.styles[after - 1 : after + 1], [1 - share, share])


def stylize_frames(
    model: StyleTransfer,
    frames: Iterable[Tensor],
    style: StyleStats | Callable[[int], StyleStats] | None,
    alpha: float = 1.0,
    mask: Mask | None = None,
    transform: str = "adain",
    keep_colors: ColorMethod | None = None,
    smoothing: float = SMOOTHING,
    cut: float = CUT,
    size: int | None = None,
    work_size: int | None = None,
    tile: TileSize = "auto",
    low_memory: bool = False,
    regions: Sequence[tuple[Mask, StyleStats]] = (),
) -> Iterator[Tensor]:
    """Stylize a film, frame by frame or batch by batch, in constant memory however long it is.

    Args:
        model: encoder and decoder.
        frames: pictures [B, 3, H, W] in 0..1 in the order of time; B may be 1 and may change.
        style: one style, or the style of a frame from its number, counted from 0. May be None where there are regions.
        alpha: strength, 0..1.
        mask: where to stylize; the statistics of a frame are those under its mask.
        transform: a key of a name in TRANSFORMS. What it takes from a frame is smoothed; ``efdm`` takes the ranks of
            its values, which are not.
        keep_colors: give each result its frame's colors, by this method. Other than for :class:`StyleTransfer`
            ``covariance`` and ``histogram`` change the results too, not the styles: one style serves all frames.
        smoothing: share of the past in each frame's statistics, 0 to less than 1.
        cut: a change of the statistics that counts as a cut; see :class:`StatisticsFilter`.
        size: short side of the results in pixels; the frames' own if not given.
        work_size: short side at which to stylize, as for :class:`StyleTransfer`.
        tile: side of the tiles, as for :class:`StyleTransfer`.
        low_memory: take each frame's statistics from a thumbnail, as for :class:`StyleTransfer`.
        regions: masks, each with the style for where it is white, as for :class:`StyleTransfer`.

    Yields:
        For each batch of frames as many stylized pictures.

    Raises:
        ValueError: an argument is out of range.
    """
    layers = ([] if style is None else [(mask, style)]) + list(regions)
    if style is None and (mask is not None or not regions):
        raise ValueError("There is no style; give one, or regions alone without mask.")
    filters = [StatisticsFilter(smoothing, cut) for _ in layers]
    detail = () if transform == "efdm" else DETAILS.get(transform, ())  # its ranks are those of each frame alone
    if low_memory:
        check_low_memory(model, transform)
    number = 0
    for batch in frames:
        numbers = range(number, number + len(batch))
        batch = scale_short_side(batch, size, "size")
        work = shrink(batch, work_size)
        features = model.encode(thumbnail(work) if low_memory else work, tile, keep_shallow=not low_memory)
        blends = []
        for (where, look), smooth in zip(layers, filters, strict=True):
            masks = torch.cat([where(i).expand(1, -1, -1) for i in numbers]) if callable(where) else where
            styles = StyleStats.stack([look(i) for i in numbers]) if callable(look) else look
            blends.append((masks, styles, smooth(model.compute_content_stats(features, masks, tile, detail), masks)))
        if low_memory:
            result = stylize_tiles(model, work, blends, alpha, transform, tile)
        else:
            for masks, styles, content in blends:
                features = model.blend(features, styles, alpha, masks, transform, content)
            result = model.decode(features, tile)
        del features  # not to be kept while the next are encoded
        result = restore_detail(result, work, batch)
        yield preserve_color(result, batch, keep_colors) if keep_colors else result
        number += len(batch)


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
