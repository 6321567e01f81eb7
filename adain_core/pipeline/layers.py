"""Layers: styles as users give them, brought to the statistics that are laid over a content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from PIL import Image
from torch import Tensor

from ..images.color import match_color
from ..images.pictures import Picture, from_pil
from ..options import Options
from ..runtime.progress import Progress, ignore_progress, section
from ..styles.stats import StyleStats, mix
from ..styles.transforms import TRANSFORMS
from .analyzer import StyleAnalyzer

StyleLike = Tensor | Image.Image | Picture | StyleStats


@dataclass(frozen=True)
class Layer:
    """A style and where it lies; later layers lie over earlier ones.

    Args:
        style: one style, or one for each content.
        mask: where to stylize, [H, W] or [B, H, W] in 0..1, any size; everywhere if None.
    """

    style: StyleStats
    mask: Tensor | None = None

    def part(self, pictures: slice) -> Layer:
        """The layer for some pictures of the batch."""
        style = self.style if self.style.count == 1 else self.style.part(pictures)
        mask = self.mask if self.mask is None or self.mask.ndim == 2 or len(self.mask) == 1 else self.mask[pictures]
        return Layer(style, mask)


Layers = Sequence[Layer] | Callable[[range, Tensor, Progress], Sequence[Layer]]
"""The layers of all contents; or those of some, from their numbers, the pictures [B, 3, H, W] to be stylized and a
callback for what it takes."""


@dataclass(frozen=True)
class Look:
    """What a layer is made of, as users say it.

    Args:
        styles: pictures [B, 3, H, W], of each of which a batch is one style seen several times, or statistics; several
            are mixed.
        weights: of several styles, relative to one another; equal if None.
        mask: where to stylize, as for :class:`Layer`.
        each: a batch of pictures is one style for each content.
    """

    styles: Sequence[StyleLike]
    weights: Sequence[float] | None = None
    mask: Tensor | None = None
    each: bool = False


def layers_of(
    model: StyleAnalyzer,
    looks: Sequence[Look],
    options: Options,
    style_mask: Tensor | None = None,
    progress: Progress = ignore_progress,
) -> tuple[Layers, Options]:
    """Measure styles: once for all contents, or anew for each where pictures are to have its colors first.

    Args:
        model: what measures.
        looks: the layers, from below.
        options: how to stylize.
        style_mask: where pictures are measured, [H, W] or [B, H, W] in 0..1, any size.
        progress: called with the share that is done.

    Returns:
        The layers, and the options that are left to be heeded with them.

    Raises:
        ValueError: a style cannot be measured so.
    """
    if options.keep_colors in (None, "luminance"):
        layers = []
        for i, look in enumerate(looks):
            part = section(progress, i / len(looks), (i + 1) / len(looks))
            layers.append(Layer(style_of(model, look, options, style_mask, part), look.mask))
        return layers, options
    method = options.keep_colors
    pictures = [[_picture_of(style) for style in look.styles] for look in looks]

    def recolored(numbers: range, work: Tensor, progress: Progress) -> list[Layer]:
        layers = []
        for look, own in zip(looks, pictures, strict=True):
            styles = []
            for content in [work] if look.each else work.split(1):
                matched = [replace(picture, rgb=match_color(picture.rgb, content, method)) for picture in own]
                one = replace(look, styles=matched)
                styles.append(style_of(model, one, options, style_mask, lambda _: progress(0.0)))
            if not model.skips.need_style_image:
                styles = [replace(style, image=None) for style in styles]
            layers.append(Layer(StyleStats.stack(styles), look.mask))
        return layers

    return recolored, replace(options, keep_colors=None)


def style_of(
    model: StyleAnalyzer,
    look: Look,
    options: Options,
    style_mask: Tensor | None = None,
    progress: Progress = ignore_progress,
) -> StyleStats:
    """The statistics of a look, as :func:`layers_of` measures them without regard to colors."""
    styles: list[StyleStats] = []
    for i, style in enumerate(look.styles):
        part = section(progress, i / len(look.styles), (i + 1) / len(look.styles))
        if not isinstance(style, StyleStats):
            needs = TRANSFORMS[options.transform].needs
            size = options.style_size, options.style_scale
            style = model.compute_style_stats(style, style_mask, look.each, *size, needs, options.tile, part)
        styles.append(style)
    return mix(styles, look.weights)


def _picture_of(style: StyleLike) -> Picture:
    if isinstance(style, Image.Image):
        return from_pil(style)
    if isinstance(style, Picture):
        return style
    pictures = style.image if isinstance(style, StyleStats) else style
    if pictures is None:
        raise ValueError(
            "A mixed or loaded style has no picture whose colors could be matched; keep colors by 'luminance'."
        )
    return Picture(pictures)
