"""How everything long reports progress and is interrupted: one callback."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], None]
"""Receives the share that is done, 0..1, several times a second where the work allows; an exception that it raises
ends the work and passes through unchanged."""


def ignore_progress(share: float) -> None:
    """The callback for those who do not want to know."""


def within(progress: Progress, start: float, share: float) -> Progress:
    """The callback for a part of the work: a ``share`` of it from ``start`` on."""
    return lambda done: progress(start + share * done)
