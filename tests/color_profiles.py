"""ICC profiles for tests, made from numbers (ICC.1:2022)."""

from __future__ import annotations

import io
import struct
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

# Display P3 under D50: red, green, blue.
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
SRGB_CURVE = (3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))


def curve(*table: int) -> bytes:
    """None: linear; one number: a power in 1/256; more: a table from 0 to 65535."""
    return b"curv\0\0\0\0" + struct.pack(f">I{len(table)}H", len(table), *table)


def function(kind: int, *numbers: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + fixed(*numbers)


def profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    description = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(78)
    white = b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249)
    tags = {b"desc": description, b"wtpt": white, b"cprt": b"text\0\0\0\0free\0", **tags}
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(data), b"lcms", 0x02400000, b"mntr", space, connection)
    header += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + table + data


def rgb_profile(primaries=P3, tone: bytes = function(*SRGB_CURVE)) -> bytes:
    names = (b"r", b"g", b"b")
    columns = {name + b"XYZ": b"XYZ \0\0\0\0" + fixed(*color) for name, color in zip(names, primaries, strict=True)}
    return profile(b"RGB ", b"XYZ ", columns | {name + b"TRC": tone for name in names})


def gray_profile(tone: bytes) -> bytes:
    return profile(b"GRAY", b"XYZ ", {b"kTRC": tone})


def table_profile(space: bytes, inks: int) -> bytes:
    """All light or no ink is white, each step away from it takes a part of the lightness and adds green."""
    nodes = b""
    for node in product((0, 1), repeat=inks):
        light = 1 - sum(node) / inks if inks == 4 else sum(node) / inks
        nodes += bytes((round(255 * light), 128 if light == 1 else 100, 128))
    straight = bytes(range(256))
    content = b"mft1\0\0\0\0" + bytes((inks, 3, 2, 0)) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return profile(space, b"Lab ", {b"A2B0": content + straight * inks + nodes + straight * 3})


P3_TO_SRGB = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])


def srgb_of_p3(color: tuple[float, float, float]) -> np.ndarray:
    """By the matrix between linear Display P3 and linear sRGB, both with white D65."""
    x = np.array(color)
    light = P3_TO_SRGB @ np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clip(0) ** (1 / 2.4) - 0.055).clip(0, 1)


def add_profile(path: Path, profile: bytes) -> None:
    """Put a profile into a PNG behind its header."""
    chunk = io.BytesIO()
    Image.new("RGB", (1, 1)).save(chunk, "PNG", icc_profile=profile)
    data = chunk.getvalue()
    start, end = data.index(b"iCCP") - 4, data.index(b"IDAT") - 4
    png = path.read_bytes()
    path.write_bytes(png[:33] + data[start:end] + png[33:])
