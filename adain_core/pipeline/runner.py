"""The one way through: a stream of contents, layers of styles over them, and a stream of results.

One picture, a batch, a folder and the frames of a film differ in what they feed and in where they put the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from torch import Tensor

from ..images.batches import join, one_by_one
from ..images.color import preserve_color
from ..images.detail import restore_detail, shrink
from ..images.masks import checked_mask
from ..images.pictures import checked_image, scale_short_side
from ..options import Options
from ..runtime.progress import Preview, Progress, ignore_preview, ignore_progress, section
from ..styles.stats import StyleStats
from ..styles.transforms import TRANSFORMS
from .blend import Blend
from .features import Features
from .layers import Layer, Layers
from .steps import ENCODING_SHARE, Steps
from .thumbnails import check_low_memory, stylize_tiles, thumbnail

Smoothing = Callable[[int, StyleStats, Tensor | None], StyleStats]
"""From the number of a layer, the statistics of some contents under its mask, and that mask, to the statistics that
take their place."""

_MEASURING_SHARE = 0.3


def run(
    model: Steps,
    contents: Iterable[Tensor],
    layers: Layers,
    options: Options | None = None,
    smoothing: Smoothing | None = None,
    progress: Progress = ignore_progress,
    total: int | None = None,
    preview: Preview = ignore_preview,
) -> Iterator[Tensor]:
    """Stylize a stream, in memory that does not grow with its length.

    Args:
        model: encoder and decoder.
        contents: pictures [B, 3, H, W] in 0..1, one after the other or in batches, of any sizes; B may change. A single
            picture meets several styles as a batch of itself.
        layers: of all contents, or a function that says those of each batch. Without any the results are the contents'
            reconstructions.
        options: how to stylize. ``keep_colors`` gives results their contents' colors; see
            :func:`~adain_core.pipeline.layers.layers_of` for styles that are to have them.
        smoothing: another source of the contents' statistics, such as those smoothed over time.
        progress: called with the share that is done: of all contents, or of each where ``total`` is not given.
        total: number of pictures that will come.
        preview: called with pictures at their working size whenever a tile of them is stylized; the rest of them is the
            content.

    Yields:
        For each batch of contents the stylized pictures in 0..1, float32, on the contents' device.

    Raises:
        ValueError: an argument is not one of these.
    """
    options = options or Options()
    if options.low_memory:
        check_low_memory(model.skips, TRANSFORMS[options.transform])
    number = 0
    for content in contents:
        numbers = range(number, number + len(content))
        number = numbers.stop
        own = progress if total is None else section(progress, numbers.start / total, numbers.stop / total)
        heed = partial(_stay, own, 0.0)
        content = one_by_one(
            partial(scale_short_side, short_side=options.size, name="size"), checked_image(content), heed
        )
        work = one_by_one(partial(shrink, work_size=options.work_size), content, heed)
        start = 0.0
        if callable(layers):
            start = _MEASURING_SHARE
            present = layers(numbers, work, section(own, 0.0, start))
        else:
            present = layers
        result = _stylize_batch(model, work, present, options, smoothing, section(own, start, 0.95), preview)
        heed = partial(_stay, own, 0.95)
        result = one_by_one(restore_detail, result, heed, work, content)
        if options.keep_colors:
            result = one_by_one(partial(preserve_color, method=options.keep_colors), result, heed, content)
        own(1.0)
        yield result


def _stay(progress: Progress, share: float, _: float) -> None:
    """Report again how far the work has come, so that it can be interrupted."""
    progress(share)


def _stylize_batch(
    model: Steps,
    work: Tensor,
    layers: Sequence[Layer],
    options: Options,
    smoothing: Smoothing | None,
    progress: Progress,
    preview: Preview,
) -> Tensor:
    """As many pictures at a time as fit the memory."""
    count = len(work)
    if count == 1:
        count = max((layer.style.count for layer in layers), default=1)
    for layer in layers:
        layer.style.check_count(count)
    layers = [Layer(layer.style, None if layer.mask is None else checked_mask(layer.mask, count)) for layer in layers]
    batch = work.expand(count, -1, -1, -1)
    parts = model.chunks(batch, options.tile, TRANSFORMS[options.transform])
    shared = None
    if len(work) < count and not options.low_memory:
        shared = model.encode(work, options.tile, lambda _: progress(0.0), keep_shallow=True)
    results = []
    for part in parts:
        own = section(progress, part.start / count, part.stop / count)
        present = [layer.part(part) for layer in layers]
        known = shared and shared.repeat(part.stop - part.start)
        results.append(_stylize(model, batch[part], present, options, smoothing, own, preview, known))
    return join(results)


def _stylize(
    model: Steps,
    work: Tensor,
    layers: Sequence[Layer],
    options: Options,
    smoothing: Smoothing | None,
    progress: Progress,
    preview: Preview,
    features: Features | None,
) -> Tensor:
    transform, tile = TRANSFORMS[options.transform], options.tile
    if features is None:
        seen = thumbnail(work) if options.low_memory else work
        encoding = section(progress, 0.0, ENCODING_SHARE)
        features = model.encode(seen, tile, encoding, keep_shallow=not options.low_memory)
    blends = []
    for number, layer in enumerate(layers):
        content = None
        if smoothing or options.low_memory:
            content = model.compute_content_stats(features, layer.mask, tile, transform.takes)
            content = smoothing(number, content, layer.mask) if smoothing else content
        blends.append(Blend(layer.style, options.alpha, layer.mask, transform, content))
    if options.low_memory:
        del features
        return stylize_tiles(model, work, blends, tile, section(progress, ENCODING_SHARE, 1.0), preview)
    for blend in blends:
        features = model.lay(features, blend)
    return model.decode(features, tile, section(progress, ENCODING_SHARE, 1.0), preview)
