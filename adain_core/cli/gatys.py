"""``gatys``: the slow original, a photo in the style of pictures by optimization."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ..gatys import PRESETS, Result, Settings, Style, stylize
from ..images.pictures import read_picture, scale_short_side, write_picture
from ..pipeline.transfer import StyleTransfer
from .options import (
    add_encoder_options,
    check_picture_output,
    load_encoder,
    number_list,
    path_name,
    positive_int,
    progress_bar,
    read_mask,
)

_OVERRIDES = ("iterations", "optimizer", "scales", "pooling", "variation_weight", "tolerance", "seed")


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("gatys", help="a photo in the style of pictures by optimization (slow)")
    parser.add_argument("content", type=path_name, help="an image")
    parser.add_argument("style", type=path_name, nargs="+", help="one or more style images")
    parser.add_argument("-o", "--out", type=path_name, required=True, help="the result, an image")
    parser.add_argument("--size", type=positive_int, default=256, help="short side of the result (default: 256)")
    parser.add_argument("--style-size", type=positive_int, help="short side of the styles (default: as --size)")
    parser.add_argument(
        "--init", choices=("content", "noise", "adain"), default="content", help="where to start (default: content)"
    )
    parser.add_argument("--weights", type=number_list, metavar="W,W,...", help="weights of the styles (default: equal)")
    parser.add_argument("--mask", type=path_name, help="an image: stylize where it is white")
    add_optimization_options(parser)
    parser.set_defaults(run=run)


def add_optimization_options(parser: argparse.ArgumentParser) -> None:
    """What ``gatys`` and ``texture`` have in common."""
    parser.add_argument(
        "--preset", choices=PRESETS, default="gatys", help="layers and weights, for what is not given (default: gatys)"
    )
    parser.add_argument("--iterations", type=positive_int, help="evaluations of the loss in all, over all scales")
    parser.add_argument("--optimizer", choices=("lbfgs", "adam"))
    parser.add_argument("--scales", type=positive_int, help="from coarse to fine, each sqrt(2) larger")
    parser.add_argument("--pooling", choices=("max", "average"))
    parser.add_argument("--style-weight", type=float, default=1.0, help="multiplies the preset's (default: 1)")
    parser.add_argument("--variation-weight", type=float, help="of the total variation, for smoother results")
    parser.add_argument("--tolerance", type=float, help="stop early when the loss falls by less than this share")
    parser.add_argument("--seed", type=int, help="of the noise")
    add_encoder_options(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a result that exists")


def run(args: argparse.Namespace) -> int:
    check_picture_output(args.out, args.overwrite)
    picture = read_picture(args.content).scaled(args.size)
    mask = args.mask and read_mask(args.mask)
    styles = read_styles(args.style, args.style_size or args.size, args.weights, None if mask is None else mask[0])
    (encoder, _), settings = load_encoder(args), read_settings(args)
    init = _adain(args, picture.rgb, styles) if args.init == "adain" else args.init
    with progress_bar("gatys") as progress:
        result = stylize(encoder, picture.rgb, styles, settings, init, lambda step: progress(step.share))
    write_picture(replace(picture, rgb=result.picture), args.out)
    print(f"Wrote {args.out}: {describe(result)}, content at {result.settings.content_tap}")
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
    preset = PRESETS[args.preset]
    given = {name: getattr(args, name) for name in _OVERRIDES if getattr(args, name) is not None}
    return replace(preset, style_weight=args.style_weight * preset.style_weight, **given)


def describe(result: Result) -> str:
    """How the optimization went."""
    first, last = result.losses[0].total, min(losses.total for losses in result.losses)
    taps = ", ".join(result.settings.style_taps)
    return f"{len(result.losses)} evaluations, loss {first:.4g} to {last:.4g}; style at {taps}"


def _adain(args: argparse.Namespace, content: Tensor, styles: list[Style]) -> Tensor:
    model = StyleTransfer.from_pretrained(args.model, device=args.device, dtype="float32")
    return model(content, [style.image for style in styles], weights=[style.weight for style in styles])
