"""What a handler of ComfyUI's server gets and gives, where aiohttp is not installed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class _Request:
    query: dict[str, str] = field(default_factory=dict)


@dataclass
class _Response:
    body: bytes | None = None
    status: int = 200
    text: str | None = None
    content_type: str = "text/plain"


class web:
    Request, Response = _Request, _Response
