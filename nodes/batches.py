"""Batches, as many pictures at a time as fit the memory, or one by one, with progress and a stop in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from ..adain_core.pipeline.analyzer import StyleAnalyzer
from ..adain_core.runtime.progress import Progress, section
from ..adain_core.styles.transforms import Transform


def parts_to_blend(model: StyleAnalyzer, images: Tensor, transform: Transform) -> list[slice]:
    """A batch [B, 3, H, W] in parts that fit the memory; single pictures where a transform may take a second."""
    return [slice(i, i + 1) for i in range(len(images))] if transform.needs else model.chunks(images)


def in_turn(parts: Sequence[slice], progress: Progress) -> Iterator[tuple[slice, Progress]]:
    """The parts of a batch, each with a callback for its section of the whole."""
    count = parts[-1].stop
    for part in parts:
        yield part, section(progress, part.start / count, part.stop / count)
