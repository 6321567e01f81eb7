"""``texture``: a new texture from pictures, of any size."""

from __future__ import annotations

import argparse

from ..gatys import synthesize_texture
from ..images.files import check_target, write_picture
from ..images.pictures import Picture
from ..options import Options, TextureOptions
from ..runtime.tables import options_of
from .gatys import add_optimization_options, describe, read_settings, read_styles
from .options import (
    add_options,
    add_output,
    as_type,
    check_picture_output,
    chosen_encoder,
    path_name,
    progress_bar,
)
from .output import say

_SIDES = options_of(TextureOptions).values()


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("texture", help="a new texture with the look of pictures, of any size (slow)")
    parser.add_argument("style", type=path_name, nargs="+", help="One or more images")
    add_output(parser, "The result, an image")
    width, height = _SIDES
    parser.add_argument(
        "--size",
        type=as_type(width_and_height),
        default=(width.default, height.default),
        metavar="WxH",
        help=f"Width and height in pixels, each {width.range} (default: {width.default}x{height.default})",
    )
    add_options(parser, Options, "style_size")
    add_optimization_options(parser)
    parser.set_defaults(run=run)


def width_and_height(text: str) -> tuple[int, int]:
    """A size such as 512x384.

    Raises:
        ValueError: it is none, or a side is out of range.
    """
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() for side in sides):
        raise ValueError(f"'{text}' is not a size such as 512x384")
    width, height = (option.parse(side) for option, side in zip(_SIDES, sides, strict=True))
    return width, height


def run(args: argparse.Namespace) -> int:
    check_picture_output(args.out, args.overwrite)
    width, height = args.size
    check_target(args.out, (height, width))
    styles = read_styles(args.style, args.style_size)
    (encoder, _), settings = chosen_encoder(args), read_settings(args)
    with progress_bar("texture") as progress:
        result = synthesize_texture(encoder, styles, (height, width), settings, lambda step: progress(step.share))
    write_picture(Picture(result.picture), args.out)
    say(f"Wrote {args.out}: {describe(result)}")
    return 0
