"""Inputs that several nodes have, described once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from comfy_api.latest import io

from ..adain_core.images.color import COLOR_METHODS
from ..adain_core.pipeline.tiling import TileSize
from ..adain_core.styles.transforms import TRANSFORMS

MERGE = "one style"
EACH = "each"
OFF = "off"
_LARGEST = 16384


def connected(inputs: Mapping[str, Any], name: str, most: int) -> dict[int, Any]:
    """What is connected to the inputs ``name_1``, ``name_2``, ..., by their numbers."""
    values = {i: inputs.get(f"{name}_{i}") for i in range(1, most + 1)}
    return {i: value for i, value in values.items() if value is not None}


def check_choices(node: type[io.ComfyNode], **choices: str | None) -> bool | str:
    """Whether a node's combos have these choices, or else what is wrong: an answer for ``validate_inputs``, since many
    versions of ComfyUI do not look at such combos. None is something connected."""
    for i in node.define_schema().inputs:
        choice = choices.get(i.id)
        if choice is not None and choice not in (known := i.as_dict()["options"]):
            return f"'{i.id}' is '{choice}'; expected one of: {', '.join(known)}."
    return True


def alpha_input() -> io.Float.Input:
    return io.Float.Input(
        "alpha",
        default=1.0,
        min=0.0,
        max=1.0,
        step=0.01,
        display_mode=io.NumberDisplay.slider,
        tooltip="Strength of the style: 0 gives the content as the decoder renders it, 1 the full style.",
    )


def style_size_input() -> io.Int.Input:
    tooltip = "Short side in pixels at which the style picture is measured; 0 keeps its own size."
    return _short_side_input("style_size", tooltip, optional=True)


def style_scale_input() -> io.Float.Input:
    return io.Float.Input(
        "style_scale",
        default=1.0,
        min=0.1,
        max=4.0,
        step=0.05,
        tooltip="Scales the style picture before it is measured: larger gives larger strokes.",
    )


def batch_input() -> io.Combo.Input:
    return io.Combo.Input(
        "batch",
        options=[MERGE, EACH],
        default=MERGE,
        tooltip="A batch of style pictures is one style seen several times, or (each) one style for each content.",
    )


def size_input(optional: bool = False) -> io.Int.Input:
    return _short_side_input("size", "Short side of the result in pixels; 0 keeps the content's size.", optional)


def work_size_input(optional: bool = False) -> io.Int.Input:
    tooltip = (
        "Short side at which to stylize, for large strokes in a large result: the content's detail is brought back"
        " afterwards. 0 is the size of the result."
    )
    return _short_side_input("work_size", tooltip, optional)


def _short_side_input(name: str, tooltip: str, optional: bool) -> io.Int.Input:
    return io.Int.Input(name, optional=optional, default=0, min=0, max=_LARGEST, step=8, tooltip=tooltip)


def tile_input(optional: bool = False) -> io.Combo.Input:
    return io.Combo.Input(
        "tile",
        optional=optional,
        options=["auto", "off", "256", "512", "1024", "2048"],
        default="auto",
        tooltip="Side of the tiles in pixels. auto fits them to the memory, off takes each picture as a whole. The"
        " result is the same.",
    )


def tile_size(tile: str) -> TileSize:
    """The choice of :func:`tile_input` as adain_core takes it."""
    return int(tile) if tile.isdecimal() else cast(Literal["auto", "off"], tile)


def transform_input(optional: bool = False) -> io.Combo.Input:
    return io.Combo.Input(
        "transform",
        optional=optional,
        options=list(TRANSFORMS),
        default="adain",
        tooltip="How the features take on the style. adain matches means and standard deviations; wct and gaussian-ot"
        " also covariances; efdm and histogram whole distributions; instance-norm removes the content's own style.",
    )


def keep_colors_input() -> io.Combo.Input:
    return io.Combo.Input(
        "keep_colors",
        options=[OFF, *COLOR_METHODS],
        default=OFF,
        tooltip="Keep the content's colors. luminance takes only light and shade from the result; covariance and"
        " histogram give the style the content's colors before it is measured.",
    )
