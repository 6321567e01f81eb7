"""Drawing on arrays: what the scenes and the techniques of make_styles.py share.

A Field has one number for every drawn pixel. Lengths are in pixels of the finished picture; everything is drawn SCALE
times larger and shrunk, which gives clean edges.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

SCALE = 2
TAU = 2 * np.pi

Field = NDArray[np.float32]
Color = tuple[int, int, int]


def canvas(width: int, height: int) -> tuple[Field, Field]:
    """The x and y of every drawn pixel, in pixels of the finished picture."""
    x = (np.arange(width * SCALE, dtype=np.float32) + 0.5) / SCALE
    y = (np.arange(height * SCALE, dtype=np.float32) + 0.5) / SCALE
    return tuple(np.meshgrid(x, y))


def noise(rng: np.random.Generator, like: Field, cell: float, octaves: int = 3, stretch: float = 1.0) -> Field:
    """Smooth noise about 0 with features of `cell` pixels, `stretch` times longer in x; it tiles without a seam."""
    height, width = like.shape[:2]
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        rows = max(1, round(height / (cell * SCALE / 2**octave)))
        columns = max(1, round(width / (cell * stretch * SCALE / 2**octave)))
        knots = np.pad(rng.standard_normal((rows, columns)).astype(np.float32), 2, mode="wrap")
        box = (2, 2, 2 + columns, 2 + rows)
        total += np.asarray(Image.fromarray(knots).resize((width, height), Image.Resampling.BICUBIC, box)) / 2**octave
    return total


def blur(field: Field, radius: float) -> Field:
    """Gaussian blur; a frequency filter, because Pillow's own knows no floating point."""
    fy, fx = np.fft.fftfreq(field.shape[0])[:, None], np.fft.rfftfreq(field.shape[1])
    response = np.exp(-2 * (np.pi * radius * SCALE) ** 2 * (fx**2 + fy**2)).astype(np.float32)
    return np.fft.irfft2(np.fft.rfft2(field) * response, field.shape).astype(np.float32)


def smoothstep(low: float, high: float, value: Field) -> Field:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def ramp(t: Field, *colors: Color) -> Field:
    """A gradient through the colors while t goes from 0 to 1."""
    stops = np.linspace(0, 1, len(colors))
    return np.stack([np.interp(t, stops, channel) for channel in zip(*colors, strict=True)], -1).astype(np.float32)


def lay(picture: Field, color: ArrayLike, cover: Field) -> Field:
    """The picture with a color over it where `cover` is 1."""
    return picture + (np.asarray(color, np.float32) - picture) * np.asarray(cover, np.float32)[..., None]


def relief(picture: Field, height: Field, strength: float) -> Field:
    """Light from the upper left on a surface of the given height."""
    dy, dx = np.gradient(height)
    return picture * (1 + strength * np.clip(dx + dy, -1, 1))[..., None]


def cells(u: Field, v: Field, rng: np.random.Generator) -> tuple[NDArray[np.intp], Field, Field]:
    """Bricks in the coordinates (u, v): each one's number, and where in it a pixel lies, -0.5 to 0.5 both ways."""
    row = np.floor(u).astype(np.intp)
    across = u - row - 0.5
    row -= row.min()
    v = v + rng.random(row.max() + 1, dtype=np.float32)[row]
    column = np.floor(v).astype(np.intp)
    along = v - column - 0.5
    column -= column.min()
    return row * (column.max() + 1) + column, across, along


def cell_mean(ids: NDArray[np.intp], field: Field) -> Field:
    """Every cell filled with its mean of the field."""
    count = np.maximum(np.bincount(ids.ravel()), 1)
    planes = field.reshape(*ids.shape, -1)
    means = [(np.bincount(ids.ravel(), plane.ravel()) / count)[ids] for plane in np.moveaxis(planes, -1, 0)]
    return np.stack(means, -1).reshape(field.shape).astype(np.float32)


def cell_random(ids: NDArray[np.intp], rng: np.random.Generator) -> Field:
    """Every cell filled with a number of its own, 0 to 1."""
    return rng.random(ids.max() + 1, dtype=np.float32)[ids]


def cut(u: Field, v: Field, dark: Field, spacing: float, rng: np.random.Generator) -> Field:
    """Cover of tapered strokes, one in each cell of (u, v), as wide as the cell is dark; rows lie `spacing` apart."""
    ids, across, along = cells(u, v, rng)
    weight = cell_mean(ids, dark) * (0.8 + 0.4 * cell_random(ids, rng))
    half = 0.5 * weight * np.sqrt(np.clip(1 - (2 * along) ** 2, 0, 1)) ** 0.7
    return np.clip((half - np.abs(across)) * spacing * SCALE + 0.5, 0, 1) * (weight > 0.06)


def ridge(rng: np.random.Generator, x: Field, base: float, height: float, cell: float) -> Field:
    """The outline of hills: y for every column."""
    return base + height * noise(rng, x, cell, 3)[:1]
