"""Limited-memory BFGS for pictures: the values stay in 0..1 and the loss never rises.

PyTorch's L-BFGS knows no bounds. Clamping between its steps, as is often done, gives it wrong differences of pictures,
and the loss climbs again after some fifty steps; clamping only the result throws most of the descent away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Evaluate = Callable[[Tensor], tuple[float, Tensor]]
"""From a picture to its loss and its gradient. A loss that is not finite is never accepted."""

_FIRST_STEP = 0.01
_SHRINK = 0.4
_SHORTEST_STEP = 0.01
_ARMIJO = 1e-4


def minimize(evaluate: Evaluate, picture: Tensor, history: int, done: Callable[[], bool]) -> None:
    """Descend until ``done`` or until no step lowers the loss (Nocedal and Wright 2006, algorithms 7.4 and 3.1, with
    steps projected into the bounds).

    Args:
        evaluate: keeps what it sees; it is called once for each trial of a step.
        picture: where to start, values in 0..1.
        history: pairs of differences of pictures and gradients that are remembered, each twice the picture's size.
        done: asked before each evaluation.
    """
    pairs = _Pairs(picture, history)
    loss, gradient = evaluate(picture)
    while not done():
        # Pixels at a bound that would leave it stay where they are, so that the others get the curvature right.
        held = ((picture <= 0) & (gradient > 0)) | ((picture >= 1) & (gradient < 0))
        direction = _direction(gradient.masked_fill(held, 0), pairs).masked_fill(held, 0)
        found = _search(evaluate, picture, loss, gradient, direction, done)
        if found is None:
            if not pairs:
                return
            pairs.clear()
            continue
        step, change = found[0] - picture, found[2] - gradient
        if (step * change).sum() > torch.finfo(step.dtype).eps * change.square().sum():
            pairs.append(step, change)
        picture, loss, gradient = found


class _Pairs:
    """The last differences of pictures and of gradients, from the oldest to the newest.

    Their memory is taken once: pairs that come and go by themselves leave gaps as large as they are.
    """

    def __init__(self, like: Tensor, count: int) -> None:
        self._steps, self._changes = (like.new_empty(count, *like.shape) for _ in range(2))
        self._order: list[int] = []

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return ((self._steps[i], self._changes[i]) for i in self._order)

    def __reversed__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return ((self._steps[i], self._changes[i]) for i in reversed(self._order))

    def append(self, step: Tensor, change: Tensor) -> None:
        """Remember a pair, in the oldest one's place where there is no other."""
        place = self._order.pop(0) if len(self) == len(self._steps) else len(self)
        self._steps[place], self._changes[place] = step, change
        self._order.append(place)

    def clear(self) -> None:
        """Forget all."""
        self._order.clear()


def _search(
    evaluate: Evaluate, picture: Tensor, loss: float, gradient: Tensor, direction: Tensor, done: Callable[[], bool]
) -> tuple[Tensor, float, Tensor] | None:
    """The first of ever shorter steps that lowers the loss enough, with the loss and the gradient there."""
    length = 1.0
    while length >= _SHORTEST_STEP and not done():
        trial = (picture + length * direction).clamp(0, 1)
        trial_loss, trial_gradient = evaluate(trial)
        if trial_loss < loss + _ARMIJO * ((trial - picture) * gradient).sum().item():
            return trial, trial_loss, trial_gradient
        length *= _SHRINK
    return None


def _direction(gradient: Tensor, pairs: _Pairs) -> Tensor:
    """The two-loop recursion; without pairs a short step down the gradient."""
    if not pairs:
        return gradient * (-_FIRST_STEP / gradient.abs().max().clamp(min=torch.finfo(gradient.dtype).tiny))
    result = -gradient
    factors = []
    for step, change in reversed(pairs):
        factor = (step * result).sum() / (step * change).sum()
        result = result - factor * change
        factors.append(factor)
    step, change = next(reversed(pairs))
    result = result * ((step * change).sum() / change.square().sum())
    for (step, change), factor in zip(pairs, reversed(factors), strict=True):
        result = result + (factor - (change * result).sum() / (step * change).sum()) * step
    return result
