"""When a run does what: the learning rate of a step, and what is due by the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from adain_core.runtime.processes import Processes

from .command import TrainingError
from .recipe import Recipe

_UNITS = (("days", 86400), ("h", 3600), ("min", 60), ("s", 1))


def learning_rate(recipe: Recipe, step: int) -> float:
    """The learning rate of step n = 0, 1, ...: the study's lr / (1 + lr_decay n), or a cosine to a hundredth of lr."""
    rate = recipe.lr * min(1.0, (step + 1) / max(1, recipe.warmup))
    if not recipe.cosine:
        return rate / (1 + recipe.lr_decay * step)
    return rate * (0.01 + 0.99 * (1 + math.cos(math.pi * step / recipe.steps)) / 2)


def duration(seconds: float) -> str:
    """So many seconds in words, in the unit that gives at least two of it: ``90 s``, ``45 min``, ``30 h``."""
    unit, length = next((u for u in _UNITS if seconds >= 2 * u[1]), _UNITS[-1])
    return f"{seconds / length:.0f} {unit}"


class Every:
    """Something that is due every so many seconds, from now on."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Whether the time has come."""
        return time.monotonic() - self._last >= self.seconds

    def restart(self) -> None:
        """Count from now."""
        self._last = time.monotonic()


class Interval:
    """What adds up between two lines of the log. The sums stay on the device, so that no step waits for another to end;
    a value that is not finite stays in them until they are read.

    Args:
        sums: of the terms, as far as an interrupted run had come.
        steps: behind those sums.
    """

    def __init__(self, sums: Mapping[str, float], steps: int) -> None:
        self.names = list(sums)
        self.steps = steps
        self.waited = 0.0
        self._sums = torch.tensor(list(sums.values())) if sums else None
        self._timed_from = steps
        self._start = time.perf_counter()

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add the terms of a step, scalars on the device."""
        found = torch.stack([value.detach() for value in values.values()])
        self.names = list(values)
        self._sums = found if self._sums is None else self._sums.to(found.device).add_(found)
        self.steps += 1

    def sums(self, processes: Processes) -> dict[str, float]:
        """The sums so far, as means over the processes, which all call this together.

        Raises:
            TrainingError: one of them is not finite.
        """
        if self._sums is None:
            return {}
        self._sums = processes.mean(self._sums)
        values = dict(zip(self.names, self._sums.tolist(), strict=True))
        if not all(map(math.isfinite, values.values())):
            raise TrainingError(
                "The loss or its gradient is not finite; try a smaller lr or grad_clip = 1. The last checkpoint stays"
                " as it is."
            )
        return values

    def seconds_per_step(self) -> float:
        """The time that a step takes, as far as this can be said."""
        return (time.perf_counter() - self._start) / max(1, self.steps - self._timed_from)

    def waiting(self) -> float:
        """The share of the time that went into waiting for data."""
        return self.waited / (time.perf_counter() - self._start)
