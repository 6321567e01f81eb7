"""``gatys``: the slow original, a photo in the style of pictures by optimization."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ..gatys import Result, Settings, Style, settings_of, stylize
from ..images.files import check_target, read_picture, write_picture
from ..images.pictures import scale_short_side
from ..options import GatysOptions, ModelOptions, Optimization, StyleOptions
from ..pipeline.transfer import StyleTransfer
from ..runtime.tables import options_of
from .options import (
    add_option,
    add_options,
    add_output,
    check_picture_output,
    chosen_encoder,
    path_name,
    progress_bar,
    read_mask,
)
from .output import say

_OVERRIDES = ("iterations", "optimizer", "scales", "pooling", "variation_weight", "tolerance", "seed")


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("gatys", help="a photo in the style of pictures by optimization (slow)")
    parser.add_argument("content", type=path_name, help="An image")
    parser.add_argument("style", type=path_name, nargs="+", help="One or more style images")
    add_output(parser, "The result, an image")
    add_options(parser, GatysOptions, "size", "style_size")
    init = options_of(GatysOptions)["init"]
    sentence = f"{init.sentence} adain starts from its result."
    add_option(parser, "init", replace(init, choices=(*init.choices, "adain"), sentence=sentence))
    add_options(parser, StyleOptions, "weights")
    parser.add_argument("--mask", type=path_name, help="An image: stylize where it is white")
    add_optimization_options(parser)
    parser.set_defaults(run=run)


def add_optimization_options(parser: argparse.ArgumentParser) -> None:
    """What ``gatys`` and ``texture`` have in common."""
    add_options(parser, GatysOptions, "preset", "style_weight")
    add_options(parser, Optimization, *_OVERRIDES, default=None, unset="the preset's")
    add_options(parser, ModelOptions, "model", "device")


def run(args: argparse.Namespace) -> int:
    check_picture_output(args.out, args.overwrite)
    picture = read_picture(args.content).scaled(args.size)
    check_target(args.out, picture.rgb.shape[-2:])
    mask = args.mask and read_mask(args.mask)
    styles = read_styles(args.style, args.style_size or args.size, args.weights, None if mask is None else mask[0])
    (encoder, _), settings = chosen_encoder(args), read_settings(args)
    init = _adain(args, picture.rgb, styles) if args.init == "adain" else args.init
    with progress_bar("gatys") as progress:
        result = stylize(encoder, picture.rgb, styles, settings, init, lambda step: progress(step.share))
    write_picture(replace(picture, rgb=result.picture), args.out)
    say(f"Wrote {args.out}: {describe(result)}, content at {result.settings.content_tap}")
    return 0


def read_styles(
    paths: list[Path], short_side: int | None, weights: list[float] | None = None, mask: Tensor | None = None
) -> list[Style]:
    """Style images, scaled where a short side is given.

    Raises:
        ValueError: there are not as many weights as images.
    """
    weights = [1.0] * len(paths) if weights is None else weights
    if len(weights) != len(paths):
        raise ValueError(f"There are {len(paths)} styles but {len(weights)} weights; give one weight for each style.")
    images = [scale_short_side(read_picture(path).rgb, short_side) for path in paths]
    return [Style(image, weight, mask) for image, weight in zip(images, weights, strict=True)]


def read_settings(args: argparse.Namespace) -> Settings:
    """The preset with what the user gave."""
    options = GatysOptions(preset=args.preset, style_weight=args.style_weight)
    return settings_of(options, **{name: getattr(args, name) for name in _OVERRIDES})


def describe(result: Result) -> str:
    """How the optimization went."""
    first, last = result.losses[0].total, min(losses.total for losses in result.losses)
    taps = ", ".join(result.settings.style_taps)
    return f"{len(result.losses)} evaluations, loss {first:.4g} to {last:.4g}; style at {taps}"


def _adain(args: argparse.Namespace, content: Tensor, styles: list[Style]) -> Tensor:
    model = StyleTransfer.from_pretrained(args.model, device=args.device, dtype="float32")
    return model(content, [style.image for style in styles], weights=[style.weight for style in styles])
