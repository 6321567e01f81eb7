"""A chart of falling losses, drawn without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..adain_core.images.pictures import from_pil

_SIZE = (640, 400)
_LEFT, _TOP, _RIGHT, _BOTTOM = 72, 24, 620, 360
_COLORS = ((32, 32, 32), (214, 90, 40), (40, 110, 190), (60, 150, 70))
_GRAY = (190, 190, 190)


def loss_chart(curves: Mapping[str, Sequence[float]]) -> Tensor:
    """Draw curves over their index on a logarithmic scale; values that are not positive and finite are left out.

    Args:
        curves: a name and the values of each, at most four.

    Returns:
        [1, 3, H, W] in 0..1.
    """
    points = {
        name: [(i, math.log10(y)) for i, y in enumerate(values) if 0 < y < math.inf] for name, values in curves.items()
    }
    heights = [y for curve in points.values() for _, y in curve] or [0.0]
    low, high = math.floor(min(heights)), math.floor(max(heights)) + 1
    last = max([1, *(len(values) - 1 for values in curves.values())])
    chart = Image.new("RGB", _SIZE, (255, 255, 255))
    draw = ImageDraw.Draw(chart)
    font = ImageFont.load_default(14)
    for power in range(low, high + 1):
        y = _BOTTOM - (power - low) / (high - low) * (_BOTTOM - _TOP)
        draw.line((_LEFT, y, _RIGHT, y), _GRAY)
        draw.text((_LEFT - 8, y), f"{10.0**power:g}", _COLORS[0], font, anchor="rm")
    for x, label, anchor in ((_LEFT, "0", "lt"), (_RIGHT, str(last), "rt")):
        draw.text((x, _BOTTOM + 8), label, _COLORS[0], font, anchor=anchor)
    left = _LEFT + 40
    for (name, curve), color in zip(points.items(), _COLORS, strict=False):
        line = [
            (_LEFT + x / last * (_RIGHT - _LEFT), _BOTTOM - (y - low) / (high - low) * (_BOTTOM - _TOP))
            for x, y in curve
        ]
        draw.line(line, color, 2)
        draw.text((left, _BOTTOM + 8), name, color, font)
        left += round(font.getlength(name)) + 24
    return from_pil(chart).rgb
