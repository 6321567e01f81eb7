"""Makes the example style pictures: seeded, so that every run gives the same seven.

    python workflows/examples/make_styles.py OUT_DIR [--only flow]

Each picture is a scene (style_scenes.py) seen through a technique: strokes, dots, hatching, tiles, gouges, panes; the
watercolour is washed straight onto its paper.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from style_scenes import lake, lotus, orchard, pond, river, starry_night
from style_tools import (
    SCALE,
    TAU,
    Color,
    Field,
    blur,
    canvas,
    cell_mean,
    cell_random,
    cells,
    cut,
    lay,
    noise,
    relief,
    smoothstep,
)

BRISTLES = 7


def rgb(color: ArrayLike) -> Color:
    return tuple(np.uint8(np.clip(color, 0, 255)).tolist())


def flow() -> Field:
    """Oil: long bristly strokes along a flow, wet paint standing up from the canvas."""
    rng = np.random.default_rng(11)
    x, y = canvas(880, 704)
    scene, angle = starry_night(rng, x, y)
    paint = Image.fromarray(np.uint8(np.clip(scene * 0.55, 0, 255)))
    body = Image.new("L", paint.size, 60)
    draw_paint, draw_body = ImageDraw.Draw(paint), ImageDraw.Draw(body)
    for width, length, count in ((17, 70, 3000), (11, 56, 5400), (7.5, 34, 6000), (6, 20, 3000)):
        thick = round(width * SCALE / BRISTLES * 1.6)
        for line, color, rise in strokes(scene, angle, rng, width, length, count):
            draw_paint.line(line, rgb(color), thick, "curve")
            draw_body.line(line, rise, thick, "curve")
    height = blur(np.asarray(body, np.float32), 0.6)
    return relief(np.asarray(paint, np.float32), height, 0.017)


def strokes(
    scene: Field, angle: Field, rng: np.random.Generator, width: float, length: float, count: int
) -> Iterator[tuple[list[float], NDArray[np.float64], int]]:
    """Strokes of several bristles each: the line, its color, and how high the paint stands."""
    size, steps = np.array(angle.shape[::-1]), 9
    path = [rng.uniform(-0.04, 1.04, (count, 2)) * size]
    for _ in range(steps):
        column, row = np.clip(path[-1], 0, size - 1).astype(int).T
        heading = angle[row, column]
        path.append(path[-1] + np.stack([np.cos(heading), np.sin(heading)], -1) * length * SCALE / steps)
    points = np.stack(path, 1)
    column, row = np.clip(points[:, steps // 2], 0, size - 1).astype(int).T
    colors = scene[row, column] * rng.normal(1, 0.1, (count, 1)) + rng.normal(0, 11, (count, 3))
    tangent = np.gradient(points, axis=1)
    normal = np.stack([-tangent[..., 1], tangent[..., 0]], -1) / np.linalg.norm(tangent, axis=-1, keepdims=True)
    for middle, side, color in zip(points, normal, colors, strict=True):
        for offset in rng.permutation(np.linspace(-0.5, 0.5, BRISTLES)):
            worn = slice(rng.integers(0, 3), steps + 1 - rng.integers(0, 3))
            line = (middle + side * offset * width * SCALE)[worn].ravel().tolist()
            yield line, color + rng.normal(0, 9), int(rng.integers(90, 160) + 60 * (0.5 - abs(offset)))


def pointillism() -> Field:
    """Dots of pure color, small enough to mix in the eye."""
    rng = np.random.default_rng(4)
    x, y = canvas(864, 672)
    scene = river(rng, x, y)
    paint = Image.fromarray(np.uint8(np.clip(scene * 0.6 + 70, 0, 255)))
    body = Image.new("L", paint.size, 60)
    draw_paint, draw_body = ImageDraw.Draw(paint), ImageDraw.Draw(body)
    gray = np.array([0.3, 0.59, 0.11])
    for radius, spacing in ((6.5, 9.0), (5.4, 8.0), (3.9, 8.5)):
        rows, columns = int(672 / spacing) + 2, int(864 / spacing) + 2
        spots = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2)
        spots = rng.permutation(spots + rng.normal(0, 0.33, spots.shape)) * spacing * SCALE
        for cx, cy in spots:
            color = scene[min(max(int(cy), 0), len(y) - 1), min(max(int(cx), 0), len(x[0]) - 1)]
            light = color @ gray
            pure = light + (color - light) * 1.45 + rng.normal(0, 17, 3)
            if rng.random() < 0.22:
                pure = 0.55 * pure + 0.45 * np.roll(pure, rng.integers(1, 3))
            r = radius * SCALE * rng.uniform(0.75, 1.15)
            box = (cx - r, cy - r * 0.9, cx + r, cy + r * 0.9)
            draw_paint.ellipse(box, rgb(pure))
            draw_body.ellipse(box, int(rng.integers(90, 200)))
    return relief(np.asarray(paint, np.float32), blur(np.asarray(body, np.float32), 0.7), 0.006)


def hatching() -> Field:
    """Ink: pen strokes that follow the form, crossed where it is dark."""
    rng = np.random.default_rng(4)
    x, y = canvas(832, 672)
    tone, form, inks, outline = orchard(rng, x, y)
    picture = np.full((*x.shape, 3), (246, 236, 214), np.float32) + 4 * noise(rng, x, 3, 2)[..., None]
    dark = 1 - tone + 0.05 * noise(rng, x, 20)
    wobble_x, wobble_y = x + 1.6 * noise(rng, x, 40, 2), y + 1.6 * noise(rng, x, 40, 2)
    layers = ((0.0, 0.08, 5.0, 46), (0.9, 0.38, 5.5, 38), (-0.75, 0.6, 5.5, 30), (1.6, 0.78, 5.0, 26))
    for turn, threshold, spacing, length in layers:
        for region in np.unique(form):
            across = np.cos(region + turn) * wobble_y - np.sin(region + turn) * wobble_x
            along = np.cos(region + turn) * wobble_x + np.sin(region + turn) * wobble_y
            # The first strokes of the sky run in rings around the sun.
            if region == turn == 0:
                across, along = np.hypot(wobble_x - 610, wobble_y - 150), 260 * np.arctan2(x - 610, 150 - y)
            weight = np.where(form == region, np.clip((dark - threshold) * 1.1, 0, 0.62), 0)
            picture = lay(picture, inks, cut(across / spacing, along / length, weight, spacing, rng))
    return lay(picture, (38, 30, 44), outline)


def mosaic() -> Field:
    """Rows of glass and stone around a center, set in grout."""
    rng = np.random.default_rng(3)
    x, y = canvas(770, 770)
    scene, region, u, v = pond(rng, x - 385, y - 385)
    ids, across, along = cells(u, v, rng)
    _, ids = np.unique(ids * 10 + region, return_inverse=True)
    ids = ids.reshape(x.shape)
    color = cell_mean(ids, scene) * (0.78 + 0.4 * cell_random(ids, rng))[..., None]
    color += 26 * (np.stack([cell_random(ids, rng) for _ in range(3)], -1) - 0.5)
    tilt = (cell_random(ids, rng) - 0.5) * across + (cell_random(ids, rng) - 0.5) * along
    color *= (1 + 0.5 * tilt + 0.035 * noise(rng, x, 3, 2))[..., None]
    borders = blur((np.hypot(*np.gradient(region.astype(np.float32))) > 0).astype(np.float32), 1)
    inner = 0.5 - np.maximum(np.abs(across), np.abs(along)) - 0.3 * borders + 0.012 * noise(rng, x, 6, 2)
    color = relief(color, blur(9 * smoothstep(0.06, 0.2, inner), 0.5), 0.22)
    grout = np.array((66, 58, 56)) + 9 * noise(rng, x, 2.5, 2)[..., None]
    return lay(grout, color, smoothstep(0.07, 0.1, inner))


def woodcut() -> Field:
    """A key block gouged by hand, printed in black over blocks of color."""
    rng = np.random.default_rng(21)
    x, y = canvas(672, 832)
    blocks, key = lake(rng, x, y)
    # The colors are printed a little out of register with the key block.
    blocks = np.pad(blocks, ((5, 0), (0, 4), (0, 0)), mode="edge")[:-5, 4:]
    grain = noise(rng, x, 3, 2, 24)
    blocks = blocks * (1 + 0.045 * grain)[..., None]
    black = key * (1 - 0.75 * smoothstep(1.5, 2.6, grain + 0.8 * noise(rng, x, 2, 2)))
    return lay(blocks, (26, 22, 30), black)


class Paper:
    """A sheet that takes transparent washes: they pool at their edges and settle in its tooth."""

    def __init__(self, rng: np.random.Generator, like: Field) -> None:
        self.rng = rng
        self.wander = noise(rng, like, 46, 5)
        self.pool = noise(rng, like, 60, 4)
        self.tooth = noise(rng, like, 2.2, 2)
        self.white = np.float32((253, 249, 238)) + 2.5 * self.tooth[..., None]
        self.picture = self.white

    def lift(self, inside: Field) -> None:
        """Takes the pigment off again where `inside`, a distance to the edge, is positive."""
        self.picture = lay(self.picture, self.white, 0.9 * smoothstep(2, 7, inside))

    def wash(self, inside: Field, color: Color, strength: float, soft: float = 1.2, loose: float = 4.0) -> None:
        """Lays pigment inside: `soft` is how far a wet edge fades, `loose` how far the hand strays."""
        shift = tuple(self.rng.integers(0, 900, 2))
        depth = inside + loose * np.roll(self.wander, shift, (0, 1))
        rim = 0.8 * np.exp(-np.maximum(depth, 0) / 2.2) * (soft < 5)
        settled = 0.8 + 0.32 * np.roll(self.pool, shift, (1, 0)) + 0.12 * self.tooth + rim
        density = strength * smoothstep(0, soft, depth) * np.maximum(settled, 0.12)
        self.picture = self.picture * np.exp(density[..., None] * np.log(np.float32(color) / 255))


def watercolour() -> Field:
    """Poppies in a wet meadow."""
    rng = np.random.default_rng(14)
    x, y = canvas(704, 864)
    paper = Paper(rng, x)
    sky = ((180, 170, 260, (250, 206, 110)), (560, 200, 240, (244, 170, 176)), (400, 90, 200, (150, 196, 222)))
    middle = ((640, 480, 220, (150, 206, 190)), (60, 480, 220, (176, 168, 216)), (300, 520, 250, (186, 208, 130)))
    ground = ((330, 800, 320, (96, 150, 120)), (620, 800, 200, (92, 120, 176)), (90, 850, 170, (206, 190, 90)))
    for cx, cy, radius, color in (*sky, *middle, *ground):
        paper.wash(radius - np.hypot(x - cx, y - cy), color, 0.72, 80, 45)
        paper.wash(radius * 0.6 - np.hypot(x - cx - 60, y - cy + 40), color, 0.34, 2, 40)

    flowers = ((215, 250, 118), (480, 180, 96), (455, 440, 128), (140, 520, 82), (612, 340, 64), (290, 655, 60))
    for cx, cy, _ in flowers:
        rise = np.clip((y - cy) / (864 - cy), 0, 1)
        stem = x - cx - (352 - cx) * 0.35 * rise**1.6 - 5 * np.sin(y / 40)
        paper.wash(np.where(y > cy, 3.4 - np.abs(stem), -9), (58, 116, 66), 0.9, loose=0.8)
    blades = (
        (250, -2.0, 260),
        (330, -1.2, 300),
        (480, -1.9, 240),
        (560, -1.1, 220),
        (120, -1.4, 220),
        (400, -1.6, 200),
    )
    for cx, angle, length in blades:
        paper.wash(petal(x - cx, y - 866, angle, length, 52, -0.85), (86, 152, 80), 0.75, loose=2.5)
        paper.wash(petal(x - cx, y - 866, angle + 0.03, length * 0.9, 18, -0.85), (40, 104, 96), 0.5, 8, 2)
    for cx, cy, size in flowers:
        poppy(paper, x - cx, y - cy, size)

    drops = np.full_like(x, -9)
    for cx, cy, radius in zip(rng.uniform(0, 704, 110), rng.uniform(0, 864, 110), rng.gamma(2, 1, 110), strict=True):
        drops = np.maximum(drops, min(radius, 5) - np.hypot(x - cx, y - cy))
    paper.wash(np.where(noise(rng, x, 150) > 0, drops, -9), (222, 70, 60), 0.8, loose=0.3)
    paper.wash(np.where(noise(rng, x, 150) > 0, drops, -9), (60, 110, 170), 0.7, loose=0.3)
    return paper.picture


def poppy(paper: Paper, x: Field, y: Field, size: float) -> None:
    """Five petals, each glazed twice, around a dark heart."""
    rng = paper.rng
    reds = ((238, 78, 50), (246, 122, 50), (226, 52, 78), (246, 132, 122))
    turns = rng.uniform(0, TAU) + TAU * rng.permutation(5) / 5 + rng.normal(0, 0.12, 5)
    petals = [petal(x, y * 1.15, turn, size * rng.uniform(0.9, 1.12), size * 1.05) for turn in turns]
    paper.lift(np.maximum.reduce(petals))
    for turn, inside in zip(turns, petals, strict=True):
        paper.wash(inside, reds[rng.integers(4)], 0.9, loose=6)
        paper.wash(petal(x, y * 1.15, turn, size * 0.7, size * 0.6), (206, 30, 56), 0.45, 14, 8)
    paper.wash(size * 0.2 - np.hypot(x, y * 1.1), (70, 40, 84), 1.4, 7, 3)
    for angle in np.arange(0, TAU, 0.42):
        reach = size * rng.uniform(0.24, 0.36)
        paper.wash(2.6 - np.hypot(x - reach * np.cos(angle), y - reach * np.sin(angle)), (40, 24, 60), 1.5, loose=0.6)


def petal(x: Field, y: Field, angle: float, length: float, width: float, flare: float = 0.5) -> Field:
    """Distance to the edge, positive inside, of a petal that grows from (0, 0) and widens by `flare` to its end."""
    along = (x * np.cos(angle) + y * np.sin(angle)) / length
    across = (y * np.cos(angle) - x * np.sin(angle)) / width
    return (1 - np.hypot(2 * along - 1, across * (2 + flare - 2 * flare * along))) * width / 2


def stained_glass() -> Field:
    """Streaky panes held by lead, lit from behind."""
    rng = np.random.default_rng(2)
    x, y = canvas(704, 896)
    color, panes = lotus(rng, x, y)
    _, ids = np.unique(panes, return_inverse=True)
    ids = ids.reshape(x.shape)
    color = cell_mean(ids, color) * 0.75 + color * 0.25
    color = color * (0.72 + 0.5 * cell_random(ids, rng))[..., None]
    color += 40 * (np.stack([cell_random(ids, rng) for _ in range(3)], -1) - 0.5)
    streaks = noise(rng, x, 20, 3, 3) + 0.3 * noise(rng, x, 8, 1)
    color = relief(color * (1 + 0.13 * streaks)[..., None], streaks, 1.1)
    edge = (np.hypot(*np.gradient(ids.astype(np.float32))) > 0).astype(np.float32)
    color *= (1 - 0.45 * np.clip(blur(edge, 5) * 4, 0, 1))[..., None]
    body = blur(edge, 2.4)
    lead = smoothstep(0.07, 0.10, body)
    metal = relief(np.full_like(color, 40) + 5 * noise(rng, x, 3, 2)[..., None], body * 60, 0.7)
    lit = lay(color, metal, lead)
    glow = np.stack([blur(channel, 9) for channel in np.moveaxis(np.maximum(lit - 120, 0), -1, 0)], -1)
    return lit + 0.55 * glow


STYLES: dict[str, Callable[[], Field]] = {
    f.__name__: f for f in (flow, pointillism, hatching, mosaic, woodcut, watercolour, stained_glass)
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the example style pictures.")
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--only", choices=STYLES, help="make this one alone")
    arguments = parser.parse_args()
    arguments.out_dir.mkdir(parents=True, exist_ok=True)
    for name in [arguments.only] if arguments.only else STYLES:
        drawn = Image.fromarray(np.uint8(np.clip(STYLES[name](), 0, 255)))
        drawn.reduce(SCALE).save(arguments.out_dir / f"style_{name}.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    main()
