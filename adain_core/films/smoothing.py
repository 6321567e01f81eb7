"""Films: statistics that change smoothly from frame to frame.

AdaIN normalizes each frame by its own statistics. When something moves, they change, and the whole picture changes with
them. Smoothed over time they do not; at a cut they start anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..networks.encoder import DEEPEST_TAP
from ..options import FilmOptions, Options
from ..pipeline.layers import Layer
from ..pipeline.runner import run
from ..pipeline.steps import Steps
from ..runtime.progress import Progress, ignore_progress
from ..styles.stats import StyleStats, mix

Mask = Tensor | Callable[[int], Tensor]
"""Where to stylize, [H, W] or [1, H, W] in 0..1: in all frames, or in a frame by its number, asked for once and in
order."""

StyleOverTime = StyleStats | Callable[[int], StyleStats]
"""One style, or the style of a frame from its number."""


class StatisticsFilter:
    """Exponential smoothing of statistics over frames, with a reset at cuts. Its memory is one set of statistics.

    Args:
        film: how much to smooth, and which :func:`change` counts as a cut.
    """

    def __init__(self, film: FilmOptions) -> None:
        self.film = film
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
            if change(measured_before, measured) <= self.film.cut:
                smoothed = mix([smoothed_before, measured], [self.film.smoothing, 1 - self.film.smoothing])
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


def stylize_film(
    model: Steps,
    frames: Iterable[Tensor],
    layers: Sequence[tuple[StyleOverTime, Mask | None]],
    options: Options | None = None,
    film: FilmOptions | None = None,
    progress: Progress = ignore_progress,
    total: int | None = None,
) -> Iterator[Tensor]:
    """Stylize a film in constant memory, with each frame's statistics smoothed over time.

    Args:
        model: encoder and decoder.
        frames: pictures [B, 3, H, W] in 0..1 in the order of time; B may be 1 and may change.
        layers: for each its style and where it lies, which may both change from frame to frame; later ones lie above.
            Without any the results are the frames' reconstructions.
        options: how to stylize. A transform's statistics of the frames are smoothed, but for ``efdm``, which takes
            their values' ranks. ``keep_colors`` gives each result its frame's colors.
        film: how much to smooth, and what counts as a cut.
        progress: called with the share that is done: of the film, or of each batch where ``total`` is not given.
        total: number of frames.

    Yields:
        For each batch of frames as many stylized pictures in 0..1, float32, on the frames' device.

    Raises:
        ValueError: an argument is out of range.
    """
    film = film or FilmOptions()
    filters = [StatisticsFilter(film) for _ in layers]

    def present(numbers: range, work: Tensor, progress: Progress) -> list[Layer]:
        found = []
        for style, mask in layers:
            masks = torch.cat([mask(i).expand(1, -1, -1) for i in numbers]) if callable(mask) else mask
            styles = StyleStats.stack([style(i) for i in numbers]) if callable(style) else style
            found.append(Layer(styles, masks))
        return found

    def smoothed(layer: int, measured: StyleStats, mask: Tensor | None) -> StyleStats:
        return filters[layer](measured, mask)

    return run(model, frames, present, options, smoothed, progress, total)
