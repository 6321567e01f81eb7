"""How everything long reports progress and is interrupted: one callback; and shows how far it has come: another."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Progress = Callable[[float], None]
"""Receives the share that is done, 0..1, several times a second where the work allows; an exception that it raises
ends the work and passes through unchanged."""

Preview = Callable[[Tensor], None]
"""Receives pictures [B, 3, H, W] in 0..1 while they are worked on: a view, to be looked at before it returns."""


def ignore_progress(share: float) -> None:
    """The callback for those who do not want to know."""


def ignore_preview(pictures: Tensor) -> None:
    """The callback for those who do not want to see."""


def section(progress: Progress, start: float, end: float) -> Progress:
    """A callback for one part of the work: 0..1 becomes ``start``..``end``."""
    return lambda share: progress(start + share * (end - start))
