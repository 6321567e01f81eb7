"""Batches of pictures, one picture at a time or in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..runtime.progress import Progress


def one_by_one(change: Callable[..., Tensor], pictures: Tensor, progress: Progress, *others: Tensor) -> Tensor:
    """What ``change`` makes of pictures [B or 1, C, H, W] and of others beside them, one at a time: a batch in whole
    takes many times the memory.

    Args:
        change: from one picture of each batch to a picture.
        pictures: a batch.
        progress: called with the share that is done, before each picture.
        others: further batches; a single picture goes with all.
    """
    count = max(map(len, (pictures, *others)))
    results, same = [], len(pictures) == count
    for i, parts in enumerate(zip(*(x.expand(count, -1, -1, -1).split(1) for x in (pictures, *others)), strict=True)):
        progress(i / count)
        results.append(change(*parts))
        same = same and results[-1] is parts[0]
    # What nothing was done to is not copied.
    return pictures if same else join(results)


def join(parts: Sequence[Tensor]) -> Tensor:
    """The parts of a batch [b, ...] together; a single part is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
