"""What a run will need, said before it begins: memory and time."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence

import torch

from adain_core.networks.encoder import Encoder
from adain_core.runtime.memory import available_memory
from adain_core.runtime.processes import Processes

from .command import TrainingError
from .recipe import Recipe
from .resources import timed
from .schedule import duration

_SHORT = "laptop"
_LONG = 3600.0
_COPIES = 4
"""Of the weights that learn: themselves, their gradient and the optimizer's two moments."""
_BYTES = 16
"""For each pixel and channel of the loss network's convolutions, a little less than the 17 to 21 that were measured,
decoder and encoder included."""
_CONVOLUTIONS = (2, 2, 4, 1)
"""In each block of the loss network."""
_ASPECT = 1.5
"""Of most images, long side to short side."""
_WAITING = 2
"""Batches that each worker has ready."""


def check_memory(recipe: Recipe, loss_widths: Sequence[int], images: int, processes: Processes, workers: int) -> None:
    """Refuse what cannot fit, before it is tried.

    Args:
        recipe: of the run.
        loss_widths: channels of the loss network's blocks.
        images: how many there are to keep in memory.
        processes: those that share a step.
        workers: processes that decode images, for each of them.

    Raises:
        TrainingError: batches, widths or the memory for images need more than is free.
    """
    part = math.ceil(recipe.batch_size / processes.count)
    pixels = math.ceil(part / recipe.accumulate) * recipe.crop**2
    channels = sum(
        count * width / 4**i for i, (count, width) in enumerate(zip(_CONVOLUTIONS, loss_widths, strict=False))
    )
    learned = 0
    if recipe.train_encoder and not recipe.start:
        with torch.device("meta"):
            learned = 2 * sum(p.numel() for p in Encoder(recipe.widths).parameters())
    cpu = torch.device("cpu")
    crops = 6 * part * recipe.crop**2
    image = _ASPECT * 3 * max(recipe.size) ** 2
    needs = {
        "widths": (processes.device, 4 * _COPIES * learned),
        "batch_size or crop": (processes.device, int(_BYTES * channels * pixels)),
        "pool": (processes.device, 16 * recipe.crop**2 * recipe.pool),
        "batch_size or workers": (cpu, crops * (1 + _WAITING * workers)),
        "cache_gb": (cpu, int(min(recipe.cache_gb * 2**30, images * image))),
        "size or workers": (cpu, int(image * max(1, workers))),
    }
    for key, (place, needed) in needs.items():
        free = available_memory(place)
        if free is not None and needed > free:
            raise TrainingError(
                f"The run needs {_gigabytes(needed)} GB where {_gigabytes(free)} GB are free on {place}; choose a"
                f" smaller {key}."
            )


def _gigabytes(count: int) -> str:
    return f"{count / 2**30:,.1f}"


def seconds_per_step(
    device: torch.device, compute: Callable[[], object], load: Callable[[], object], workers: int
) -> float:
    """How long a step will take, from one that is tried.

    Args:
        device: that computes.
        compute: a step without its update; called twice, since the first time also chooses kernels.
        load: draws the crops of a step in this process.
        workers: how many processes will do that, beside the computation.
    """
    loading = timed(device, load)[1]
    compute()
    computing = timed(device, compute)[1]
    return max(computing, loading / workers) if workers else computing + loading


def announce(recipe: Recipe, step: int, seconds: float, minutes: float) -> None:
    """Say on stderr how long the steps that are left will take, and what takes less.

    Args:
        recipe: of the run.
        step: how far it has come.
        seconds: that a step takes.
        minutes: after which the run will be left.
    """
    total = seconds * (recipe.steps - step)
    text = f"{recipe.steps - step:,} steps of {recipe.batch_size} pairs take about {duration(total)} here."
    if total > 60 * minutes:
        text += f" After {minutes:g} minutes the run will be at step {step + int(60 * minutes / seconds):,} or so."
    if total > _LONG:
        text += f" For less: --recipe {_SHORT}, or --set steps={max(1, int(_LONG / seconds))} for an hour."
    print(text, file=sys.stderr)
