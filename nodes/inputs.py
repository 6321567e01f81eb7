"""Inputs that several nodes have, described once."""

from __future__ import annotations

from comfy_api.latest import io

from ..adain_core.color import COLOR_METHODS
from ..adain_core.transfer import TRANSFORMS

MERGE = "one style"
EACH = "each"
OFF = "off"


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


def transform_input() -> io.Combo.Input:
    return io.Combo.Input(
        "transform",
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
        tooltip="Keep the content's colours. luminance takes only light and shade from the result; covariance and"
        " histogram give the style the content's colours before it is measured.",
    )
