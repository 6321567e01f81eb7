"""``texture``: a new texture from pictures, of any size."""

from __future__ import annotations

import argparse

from ..gatys import synthesize_texture
from ..images.pictures import Picture, write_picture
from .gatys import add_optimization_options, describe, read_settings, read_styles
from .options import check_picture_output, load_encoder, path_name, positive_int, progress_bar


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("texture", help="a new texture with the look of pictures, of any size (slow)")
    parser.add_argument("style", type=path_name, nargs="+", help="one or more images")
    parser.add_argument("-o", "--out", type=path_name, required=True, help="the result, an image")
    parser.add_argument("--size", type=width_and_height, default=(256, 256), help="WxH (default: 256x256)")
    parser.add_argument("--style-size", type=positive_int, help="short side of the styles (default: their own)")
    add_optimization_options(parser)
    parser.set_defaults(run=run)


def width_and_height(text: str) -> tuple[int, int]:
    """An argparse type: a size such as 512x384."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 512x384")
    return int(width), int(height)


def run(args: argparse.Namespace) -> int:
    check_picture_output(args.out, args.overwrite)
    width, height = args.size
    styles = read_styles(args.style, args.style_size)
    (encoder, _), settings = load_encoder(args), read_settings(args)
    with progress_bar("texture") as progress:
        result = synthesize_texture(encoder, styles, (height, width), settings, lambda step: progress(step.share))
    write_picture(Picture(result.picture), args.out)
    print(f"Wrote {args.out}: {describe(result)}")
    return 0
