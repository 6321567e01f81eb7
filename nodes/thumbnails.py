"""The thumbnails of styles, for the browser."""

from __future__ import annotations

import asyncio
from io import BytesIO

from aiohttp import web

from ..adain_core.images.pictures import Picture, to_pil
from ..adain_core.styles.files import read_style
from .library import style_path


async def thumbnail(request: web.Request) -> web.Response:
    """Answer ``?style=NAME`` with the JPEG of a style that Load Style lists; without one there is nothing to see."""
    try:
        style, _ = await asyncio.to_thread(read_style, style_path(request.query.get("style", "")))
    except (ValueError, OSError) as error:
        return web.Response(status=404, text=str(error))
    if style.thumbnail is None:
        return web.Response(status=404, text="This style has no thumbnail.")
    jpeg = BytesIO()
    to_pil(Picture(style.thumbnail)).save(jpeg, "JPEG", quality=90)
    return web.Response(body=jpeg.getvalue(), content_type="image/jpeg")
