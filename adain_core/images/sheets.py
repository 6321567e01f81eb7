"""Contact sheets: pictures in rows and columns with labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..runtime.memory import check_fits
from .pictures import Picture, from_pil, resize, to_pil

_GAP = 8
# Of each of its pixels: the cell, its thumbnail, the sheet, and the sheet as a tensor.
_BYTES = 12 + 3 + 3 + 12
_PAPER = (255, 255, 255)
_INK = (32, 32, 32)


def contact_sheet(
    rows: Sequence[Sequence[Tensor]], row_labels: Sequence[str], column_labels: Sequence[str], cell: int = 256
) -> Tensor:
    """Lay out pictures as a labeled table.

    Args:
        rows: of pictures [1, 3, h, w] in 0..1 of any sizes, as many in each row as there are column labels. A
            :func:`cell_of` of each gives the same in less memory.
        row_labels: one for each row, written at the left.
        column_labels: one for each column, written at the top.
        cell: the longer side of each picture in the sheet, in pixels.

    Returns:
        [1, 3, H, W] in 0..1, on the CPU.

    Raises:
        ValueError: there are no pictures, or the labels do not fit them.
    """
    if not rows or not column_labels or len(rows) != len(row_labels):
        raise ValueError(f"There are {len(rows)} rows with {len(row_labels)} labels; expected one label for each row.")
    if any(len(row) != len(column_labels) for row in rows):
        raise ValueError(
            f"The rows have {[len(row) for row in rows]} pictures, but there are {len(column_labels)} column labels."
        )
    check_sheet(len(rows), len(column_labels), cell)
    thumbnails = [[to_pil(Picture(cell_of(picture, cell))) for picture in row] for row in rows]
    width = max(picture.width for row in thumbnails for picture in row)
    height = max(picture.height for row in thumbnails for picture in row)
    points = max(10, cell // 16)
    font = ImageFont.load_default(points)
    line = math.ceil(1.25 * points)
    margin = _GAP + max(round(font.getlength(label)) for label in row_labels)
    size = (margin + _GAP + len(column_labels) * (width + _GAP), line + 2 * _GAP + len(rows) * (height + _GAP))
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, label in enumerate(column_labels):
        left = margin + _GAP + column * (width + _GAP)
        draw.text((left + width / 2, _GAP + line / 2), label, _INK, font, anchor="mm")
        for row, pictures in enumerate(thumbnails):
            top = line + 2 * _GAP + row * (height + _GAP)
            picture = pictures[column]
            sheet.paste(picture, (left + (width - picture.width) // 2, top + (height - picture.height) // 2))
    for row, label in enumerate(row_labels):
        middle = line + 2 * _GAP + row * (height + _GAP) + height / 2
        draw.text((_GAP, middle), label, _INK, font, anchor="lm")
    return from_pil(sheet).rgb


def check_sheet(rows: int, columns: int, cell: int) -> None:
    """Refuse a contact sheet that the memory cannot hold, before what it shows is made.

    Raises:
        ValueError: it cannot.
    """
    what = f"A contact sheet of {rows} x {columns} pictures of {cell} pixels"
    check_fits(_BYTES * rows * columns * cell**2, torch.device("cpu"), what)


def cell_of(picture: Tensor, side: int) -> Tensor:
    """A picture [1, 3, h, w] in 0..1 whose longer side has ``side`` pixels, on the CPU."""
    scale = side / max(picture.shape[-2:])
    size = [max(1, round(length * scale)) for length in picture.shape[-2:]]
    return resize(picture.to("cpu", torch.float32), size)
