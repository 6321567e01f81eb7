"""What the style pictures show: a color for every point, and what else the technique of each picture asks for."""

import numpy as np
from numpy.typing import NDArray
from style_tools import SCALE, TAU, Field, cells, cut, lay, noise, ramp, ridge, smoothstep


def starry_night(rng: np.random.Generator, x: Field, y: Field) -> tuple[Field, Field]:
    """A night sky over hills and wheat, and the direction of the brush at every point."""
    scene = ramp(y / 440 + 0.05 * noise(rng, x, 120), (16, 26, 92), (24, 64, 152), (62, 128, 186), (236, 190, 110))
    along, down = np.ones_like(x), 0.25 * np.sin(x / 90)
    stars = (
        (690, 120, 62),
        (110, 90, 26),
        (300, 70, 22),
        (455, 60, 18),
        (545, 190, 22),
        (815, 275, 20),
        (235, 225, 20),
    )
    for cx, cy, radius in (*stars, (395, 215, 95), (560, 300, 60)):
        dx, dy = x - cx, y - cy
        bright = (cx, cy, radius) in stars
        turn = (20 if bright else 7) * np.exp(-((dx**2 + dy**2) / (1.7 * radius) ** 2)) * (-1 if cx == 560 else 1)
        along, down = along - turn * dy / radius, down + turn * dx / radius
        distance = np.hypot(dx, dy)
        if bright:
            scene = lay(scene, (150, 190, 200), 0.75 * np.exp(-((distance / (1.9 * radius)) ** 2)))
            scene = lay(scene, (252, 214, 84), smoothstep(1.0, 0.6, distance / radius))
            scene = lay(scene, (255, 246, 200), smoothstep(0.55, 0.2, distance / radius))
        else:
            spiral = np.sin(distance / 9 + np.arctan2(dy, dx))
            scene = lay(scene, (200, 220, 220), 0.6 * smoothstep(0, 1, spiral) * np.exp(-((distance / radius) ** 2)))
    direction = np.arctan2(down, along)
    gold = lay(np.full_like(scene, (216, 158, 46)), (128, 132, 52), smoothstep(0.4, 1.2, noise(rng, x, 34)))
    gold = lay(gold, (206, 58, 36), smoothstep(1.3, 1.5, noise(rng, x, 15, 2)))
    hills = ((430, 34, 190, (44, 74, 140)), (480, 30, 150, (38, 96, 104)), (530, 24, 210, gold))
    for base, height, cell, color in hills:
        top = ridge(rng, x, base, height, cell)
        shade = color + 26 * noise(rng, x, 50)[..., None] * np.array([1, 0.8, 0.2])
        scene = lay(scene, shade, smoothstep(-1, 1, y - top))
        direction = np.where(y > top, np.arctan(np.gradient(top[0])[None] * SCALE) + 0.15 * np.sin(y / 14), direction)
    wheat = y > top + 22
    direction = np.where(wheat, -1.25 + 0.5 * np.sin(x / 70 + y / 60), direction)
    flame = (46 + 10 * np.sin(y / 31)) * np.sin(np.pi * np.clip((y - 150) / 620, 0, 1)) ** 0.7
    tree = smoothstep(1, -1, np.abs(x - 150 - 12 * np.sin(y / 55)) - flame)
    scene = lay(scene, ramp((np.sin(x / 7 + y / 40) + 1) / 2, (14, 34, 34), (40, 84, 48)), tree)
    return scene, np.where(tree > 0.5, -np.pi / 2 + 0.5 * np.sin(y / 31 + x / 20), direction)


def river(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Evening on a river: sun, sails, a tree, and flowers on the near bank."""
    shore = 285
    mirrored = np.where(y < shore, y, 2 * shore - y + 5 * noise(rng, x, 7, 2, 5))
    glow = np.exp(-((np.hypot(x - 560, (mirrored - 190) * 1.2) / 150) ** 2))
    scene = lay(ramp(mirrored / shore, (40, 104, 214), (96, 190, 226), (255, 206, 190)), (255, 190, 84), glow)
    scene = lay(scene, (255, 250, 214), smoothstep(40, 34, np.hypot(x - 560, mirrored - 190)))
    clouds = noise(rng, x, 60, 3, 2.5)
    scene = lay(scene, (252, 226, 226), 0.7 * smoothstep(0.5, 1.6, clouds) * (mirrored < 200))
    far = ridge(rng, x, 250, 9, 60)
    scene = lay(scene, ramp((mirrored - 240) / 45, (116, 112, 186), (84, 128, 140)), smoothstep(-1, 1, mirrored - far))
    for cx, base, tall in ((395, 300, 120), (690, 292, 74), (480, 290, 50)):
        for side, color in ((1, (255, 244, 220)), (-0.62, (240, 132, 62))):
            across = (x - cx) * side / tall
            up = (base - mirrored) / tall
            scene = lay(scene, color, (across > 0.02) & (across < 0.42 * (1 - up)) & (up > 0.1) & (up < 1))
    scene = lay(scene, (30, 84, 146), 0.4 * (y > shore) * (1 - glow))
    path = np.exp(-(((x - 560) / (26 + (y - shore) * 0.25)) ** 2)) * (y > shore)
    scene = lay(scene, (255, 226, 128), path * smoothstep(-0.2, 0.8, noise(rng, x, 7, 2, 4)))
    reach = np.hypot((x - 95) * 0.75, y - 165)
    crown = np.minimum(150 + 34 * noise(rng, x, 45, 3), 172) - reach
    lit = 0.5 + 0.25 * noise(rng, x, 26, 2) + (x - 95 - (y - 165) * 0.6) / 420
    leaves = ramp(lit, (18, 62, 84), (36, 122, 62), (232, 214, 72))
    trunk = (np.abs(x - 92 - 8 * np.sin(y / 60)) < 15 + 8 * (y > 430)) & (y > 200) & (y < 520)
    scene = lay(scene, (92, 54, 84), trunk)
    scene = lay(scene, leaves, smoothstep(-2, 2, crown))
    bank = ridge(rng, x, 520, 12, 130) + (x - 300) * 0.12
    meadow = ramp(0.5 + 0.3 * noise(rng, x, 30, 2, 2) + (y - 600) / 300, (34, 96, 86), (78, 152, 60), (214, 206, 76))
    meadow = lay(meadow, (46, 62, 120), 0.7 * np.exp(-(((x - 140) / 150) ** 2) - ((y - bank - 45) / 30) ** 2))
    for color in ((232, 58, 70), (250, 170, 196), (255, 246, 232), (250, 186, 40), (150, 84, 190)):
        meadow = lay(meadow, color, smoothstep(1.25, 1.5, noise(rng, x, 13, 2)))
    return lay(scene, meadow, smoothstep(-2, 2, y - bank))


def orchard(rng: np.random.Generator, x: Field, y: Field) -> tuple[Field, Field, Field, Field]:
    """Orchards on round hills under a low sun: tone, direction of the pen, ink, and outlines."""
    sun = np.hypot(x - 610, y - 150)
    tone = 0.34 + 0.5 * np.exp(-((sun / 210) ** 2)) + 0.3 * smoothstep(0.2, 1.4, noise(rng, x, 60, 4, 1.8))
    tone = np.where(sun < 56, 0.55 + 0.35 * smoothstep(20, -40, x - 610 + y - 150), tone)
    form = np.zeros_like(x)
    ink = np.where(sun[..., None] < 150, np.float32((206, 92, 34)), np.float32((34, 62, 110)))
    outline = smoothstep(1.6, 0.8, np.abs(sun - 56))
    bumps = 0.085 * noise(rng, x, 12, 2)
    hills = (
        (290, 36, 260, -0.5, (92, 62, 112)),
        (370, 40, 240, 0.5, (36, 92, 100)),
        (450, 36, 300, -0.35, (140, 74, 38)),
        (560, 30, 360, 0.3, (54, 70, 36)),
    )
    for base, height, cell, heading, color in hills:
        top = ridge(rng, x, base, height, cell)
        below = y > top
        light = 0.74 - 0.5 * smoothstep(0, 150, y - top) - 5 * np.gradient(top[0])[None] / SCALE
        tone, form = np.where(below, light, tone), np.where(below, np.float32(heading), form)
        ink = np.where(below[..., None], np.float32(color), ink)
        outline = np.maximum(outline * ~below, smoothstep(1.5, 0.7, np.abs(y - top)))
        size = 15 + (base - 290) * 0.13
        for cx in np.arange(rng.uniform(0, 60), 860, size * 3.6):
            radius, cx = size * rng.uniform(0.75, 1.25), cx + rng.uniform(-1, 1) * size
            foot = top[0, int(np.clip(cx * SCALE, 0, x.shape[1] - 1))] + rng.uniform(0.1, 0.9) * size
            dx, dy = (x - cx) / radius, (y - foot) / radius + 1.9
            tone = tone - 0.7 * np.exp(-(((dx + 1.1) / 1.5) ** 2) - ((dy - 1.95) / 0.22) ** 2) * below
            trunk = (np.abs(dx) < 0.1 + 0.05 * (dy > 1.7)) & (dy > 0.7) & (dy < 1.95)
            disc = np.hypot(dx, dy) + bumps
            crown = disc < 1
            shade = 0.5 + 0.5 * (dx * 0.75 - dy * 0.65) + 1.1 * bumps
            tone = np.where(crown, shade, np.where(trunk, 0, tone))
            form = np.where(crown, np.float32(0.8), form)
            leaf = ((178, 46, 34), (34, 92, 58), (196, 112, 22))[rng.integers(3)]
            ink = np.where(crown[..., None], np.float32(leaf), np.where(trunk[..., None], np.float32(40), ink))
            outline = np.maximum(outline * ~(crown | trunk), smoothstep(1.4, 0.7, np.abs(disc - 1) * radius) * ~trunk)
            outline = np.maximum(outline, trunk & ~crown)
    return tone, form, ink, outline


def pond(rng: np.random.Generator, x: Field, y: Field) -> tuple[Field, NDArray[np.intp], Field, Field]:
    """Two koi around a lotus, in a frame: color, region, and the rows (u) and columns (v) of the tiles."""
    radius, theta = np.hypot(x, y), np.arctan2(y, x)
    ripple = radius + 7 * np.sin(5 * theta) * smoothstep(70, 160, radius)
    crest = 0.5 + 0.5 * np.sin(ripple / 19 + 0.5 * noise(rng, x, 90, 2))
    scene = ramp(crest, (12, 52, 104), (20, 112, 140), (120, 204, 190))
    region = np.zeros(x.shape, np.intp)
    u = ripple / 14
    v = theta / TAU * np.round(TAU * (np.floor(u) + 0.5))

    lotus = radius < 52 + 26 * np.abs(np.cos(4 * theta)) ** 0.7
    rose = ramp(radius / 78, (250, 190, 40), (250, 206, 70), (214, 62, 120), (248, 168, 190), (255, 240, 232))
    scene, region = lay(scene, rose, lotus), np.where(lotus, 1, region)

    for start, skin, patch in ((0.4, (250, 240, 222), (232, 84, 24)), (0.4 + np.pi, (246, 180, 40), (196, 60, 20))):
        tail = ((theta - start + np.pi) % TAU - np.pi) * 225 / 370 + 0.5
        across = radius - 225 - 16 * np.sin(tail * TAU)
        half = np.interp(tail, [0, 0.03, 0.1, 0.32, 0.6, 0.8, 0.86, 1, 1.01], [0, 22, 40, 56, 42, 17, 22, 62, 0])
        inside = half - np.abs(across)
        fins = np.hypot((tail - 0.4 - np.abs(across) / 900) / 0.06, (np.abs(across) - 66) / 34) < 1
        eyes = np.hypot((tail - 0.12) * 370, np.abs(across) - 24) < 8
        scales = lay(np.full_like(scene, skin), patch, smoothstep(0.1, 0.2, noise(rng, x, 60, 2)))
        scales = lay(scales, (20, 18, 30), eyes)
        parts = ((2, fins, (250, 214, 170)), (3, inside > 0, (34, 30, 52)), (4, inside > 9, scales), (5, eyes, scales))
        for part, mask, color in parts:
            scene, region = lay(scene, color, mask), np.where(mask, part, region)
            u = np.where(mask, 100 * start + (4 * np.sign(across) if part == 3 else across / 10 + 30), u)
            v = np.where(mask, tail * 370 / 11, v)

    edge, side = np.maximum(np.abs(x), np.abs(y)), np.where(np.abs(x) > np.abs(y), y, x)
    frame, middle = edge > 343, np.abs(edge - 364) < 7
    bands = lay(np.full_like(scene, (62, 40, 52)), (226, 180, 96), middle)
    bands = lay(bands, (184, 62, 40), middle & (side // 28 % 2 == 0))
    scene, region = lay(scene, bands, frame), np.where(frame, 6, region)
    return scene, region, np.where(frame, edge / 14 + 0.5, u), np.where(frame, side / 14, v)


def lake(rng: np.random.Generator, x: Field, y: Field) -> tuple[Field, Field]:
    """A sun, a snowy mountain, firs and a lake: the blocks of color, and the black of the key block."""
    warp_x, warp_y = x + 2 * noise(rng, x, 26, 2), y + 2 * noise(rng, x, 26, 2)
    sun_x, sun_y = warp_x - 440, warp_y - 215
    sun = np.hypot(sun_x, sun_y)
    blocks = ramp(y / 520, (214, 92, 44), (238, 156, 56), (248, 212, 120))
    dark = smoothstep(90, 520, sun) * 0.72 + 0.16
    key = cut(np.arctan2(sun_y, sun_x) / TAU * 96, 2.6 * np.log(sun + 1), dark, 16, rng)
    disc = sun < 88
    blocks = lay(blocks, (204, 34, 34), disc)
    key = np.where(disc, cut(warp_y / 12, warp_x / 60, np.clip((sun_y - 10) / 150, 0, 0.5), 12, rng), key)
    key = np.maximum(key, np.abs(sun - 90) < 3.5)

    peak_x, peak_y = warp_x - 225, warp_y - 225
    slope = 225 + 1.05 * np.abs(peak_x) ** 0.94 + 12 * np.abs(np.sin(peak_x / 22))
    mountain = warp_y > slope
    thaw = 350 + 34 * np.abs(np.sin(peak_x / 24 + 0.8 * noise(rng, x, 50, 2))) + 6 * noise(rng, x, 16, 2)
    snow = mountain & (warp_y < thaw)
    blocks = lay(lay(blocks, (40, 104, 132), mountain), (246, 238, 216), snow)
    shade = np.clip(0.5 - peak_x / 260, 0.14, 0.9) * np.where(snow, 0.6, 1)
    gouges = cut(np.arctan2(peak_x, peak_y + 40) * 40, np.hypot(peak_x, peak_y) / 56, shade, 9, rng)
    key = np.maximum(np.where(mountain, gouges, key), np.abs(warp_y - slope) < 3)

    water = warp_y > 575
    blocks = lay(blocks, ramp((y - 575) / 250, (58, 140, 148), (24, 76, 116)), water)
    gleam = np.abs(sun_x + 12 * np.sin(y / 9)) < 70 + (y - 575) * 0.1
    blocks = lay(blocks, (240, 150, 60), water & gleam)
    waves = warp_y + 5 * np.sin(x / 34 + y / 30)
    ripples = cut(waves / 12, warp_x / 74, np.where(gleam, 0.3, 0.62) + 0.12 * noise(rng, x, 60, 2), 12, rng)
    key = np.where(water, ripples, key)

    shore = rng.uniform((-20, 566, 40), (690, 590, 95), (46, 3))
    for cx, foot, tall in shore[np.argsort(shore[:, 1])]:
        key, blocks = fir(key, blocks, x, y, cx, foot, tall)
    for cx, foot, tall in ((70, 860, 420), (630, 870, 360), (165, 880, 300), (545, 890, 230)):
        key, blocks = fir(key, blocks, warp_x, warp_y, cx, foot, tall)
    return blocks, key


def fir(key: Field, blocks: Field, x: Field, y: Field, cx: float, foot: float, tall: float) -> tuple[Field, Field]:
    """A black fir with boughs cut out on its sunny side."""
    down = (y - foot + tall) / tall
    tiers = 4 + tall / 50
    bough = (down * tiers) % 1
    half = tall * 0.24 * down * (0.55 + 0.45 * bough)
    tree = (down > 0) & (down < 1) & (np.abs(x - cx) < half)
    light = np.abs(np.abs(x - cx) / (half + 1e-3) - 0.55) < 0.3
    light &= (np.abs((down * tiers * 2 - np.abs(x - cx) / tall * 9) % 1 - 0.5) < 0.16) & (tall > 100)
    return np.where(tree, ~light, key).astype(np.float32), lay(blocks, (70, 150, 96), tree)


def lotus(rng: np.random.Generator, x: Field, y: Field) -> tuple[Field, NDArray[np.intp]]:
    """A lotus on a lake before the sun: colors, and a number for each pane."""
    dx, dy = x - 352, y - 300
    sun, theta = np.hypot(dx, dy), (np.arctan2(dy, dx) + 0.17) % TAU
    ray = np.floor(theta / TAU * 18).astype(np.intp)
    ring = np.floor((sun - 100 + 40 * (ray % 2) * (sun > 100)) / 92).astype(np.intp)
    panes = np.where(sun < 100, np.floor(theta / TAU * 6).astype(np.intp), 100 + ray * 10 + ring)
    sky = ((255, 176, 50), (244, 120, 50), (222, 70, 100), (130, 64, 160), (48, 62, 160), (24, 44, 120))
    color = lay(ramp((sun - 100) / 350, *sky), (255, 226, 90), sun < 100)
    for lean, base, tall, tint in ((1, 515, 26, (60, 120, 130)), (-1, 556, 16, (40, 132, 84))):
        hill = y > ridge(rng, x, base, tall, 150)
        strips = 2000 + 100 * lean + np.floor((x + y * 0.5 * lean) / 84).astype(np.intp)
        color, panes = lay(color, tint, hill), np.where(hill, strips, panes)
    water = y > 590
    tiles, _, _ = cells((y + 9 * np.sin(x / 55)) / 36, x / 120, rng)
    depths = ramp((y - 590) / 300, (40, 150, 170), (20, 84, 150), (18, 40, 110))
    depths = lay(depths, (255, 190, 80), 0.8 * np.exp(-((dx / 90) ** 2)))
    color, panes = lay(color, depths, water), np.where(water, 3000 + tiles, panes)
    for cx, cy, width in ((130, 800, 150), (590, 790, 165), (360, 850, 190)):
        px, py = (x - cx) / width, (y - cy) / width * 2.6
        pad = np.hypot(px, py) < 1
        wedges = 10000 + 10 * cx + np.floor((np.arctan2(py, px) + np.pi + 0.2) / TAU * 9).astype(np.intp)
        color = lay(color, ramp(np.hypot(px, py), (150, 200, 70), (30, 120, 70)), pad)
        panes = np.where(pad, wedges, panes)
    color, panes = blossom(x - 352, y - 800, color, panes)
    left, top = np.minimum(x, 704 - x), np.minimum(y, 896 - y)
    frame = np.minimum(left, top) < 26
    side = np.floor(np.where(left < top, y / 56, x / 58.7)).astype(np.intp)
    tints = np.float32(((176, 24, 44), (244, 190, 60), (30, 80, 170)))[side % 3]
    return lay(color, tints, frame), np.where(frame, 90000 + side + 100 * (x > 352) + 200 * (y > 448), panes)


def blossom(x: Field, y: Field, color: Field, panes: NDArray[np.intp]) -> tuple[Field, NDArray[np.intp]]:
    """Pointed petals, each of two panes, fanned out around (0, 0): the outer ring first."""
    outer = ((-1.15, 1.15, -0.77, 0.77, -0.38, 0.38, 0), 225, 92, (226, 60, 124))
    inner = ((-1.3, 1.3, -0.75, 0.75, 0), 165, 84, (250, 140, 170))
    for turns, length, width, tint in (outer, inner):
        for turn in turns:
            along = (x * np.sin(turn) - y * np.cos(turn)) / length
            across = (x * np.cos(turn) + y * np.sin(turn)) / width
            inside = np.abs(across) < 0.5 * np.sin(np.pi * np.clip(along, 0, 1) ** 0.8) ** 0.8
            blush = lay(np.full_like(color, tint), (255, 236, 226), 0.9 * np.clip(1 - along, 0, 1) ** 2)
            color = lay(color, blush, inside)
            panes = np.where(inside, 20000 + 10 * length + 2 * round(10 * turn) + (across > 0), panes)
    return color, panes
