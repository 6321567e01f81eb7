"""ComfyUI's server, as far as a pack adds routes to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class _Routes:
    """The handlers of GET, by path."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[..., Any]] = {}

    def get(self, path: str) -> Callable[..., Any]:
        return lambda handler: self.handlers.setdefault(path, handler)


class PromptServer:
    instance: PromptServer

    def __init__(self) -> None:
        self.routes = _Routes()


PromptServer.instance = PromptServer()
