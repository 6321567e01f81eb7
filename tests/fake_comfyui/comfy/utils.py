"""Progress bars, and where they stood."""

from __future__ import annotations

from typing import Any

from .model_management import throw_exception_if_processing_interrupted

bars: list[ProgressBar] = []


class ProgressBar:
    def __init__(self, total: int, node_id: str | None = None) -> None:
        self.total, self.current, self.previews = total, 0, []
        bars.append(self)

    def update_absolute(self, value: int, total: int | None = None, preview: Any = None) -> None:
        throw_exception_if_processing_interrupted()
        self.total = self.total if total is None else total
        self.current = min(value, self.total)
        if preview is not None:
            self.previews.append(preview)

    def update(self, value: int) -> None:
        self.update_absolute(self.current + value)
