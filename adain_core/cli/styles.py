"""``style`` and ``styles``: a library of styles as small files."""

from __future__ import annotations

import argparse
from typing import get_args

from ..images.pictures import Picture, write_picture
from ..pipeline.analyzer import StyleAnalyzer
from ..styles.files import list_styles
from ..styles.stats import Detail, StyleStats, mix
from .options import (
    add_dtype_option,
    add_encoder_options,
    check_output,
    measure_style,
    number_list,
    path_name,
    positive_float,
    positive_int,
    read_style,
    tile_size,
)


def add_parser(commands: argparse._SubParsersAction) -> None:
    save = commands.add_parser("style", help="measure one or more pictures and save the style as a small file")
    save.add_argument("style", type=path_name, nargs="+", help="style images or style files")
    save.add_argument("-o", "--out", type=path_name, required=True, help="the style file (.safetensors)")
    save.add_argument("--name", default="", help="what to call the style (default: the file's name)")
    save.add_argument("--weights", type=number_list, metavar="W,W,...", help="weights of the styles (default: equal)")
    save.add_argument("--style-mask", type=path_name, help="an image: measure the pictures where it is white")
    save.add_argument("--style-size", type=positive_int, help="short side of the pictures (default: their own)")
    save.add_argument("--style-scale", type=positive_float, default=1.0, help="enlarge the pictures, and their strokes")
    save.add_argument(
        "--detail",
        choices=get_args(Detail),
        action="append",
        default=[],
        help="keep more than means and deviations: covariance for the transforms wct and gaussian-ot, quantiles for"
        " efdm and histogram; may be repeated",
    )
    save.add_argument("--tile", type=tile_size, default="auto", help="side of tiles in pixels, auto or off")
    save.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    add_encoder_options(save)
    add_dtype_option(save)
    save.set_defaults(run=run_save)

    show = commands.add_parser("styles", help="list the style files of a folder")
    show.add_argument("folder", type=path_name)
    show.add_argument("--thumbnails", type=path_name, metavar="FOLDER", help="write the styles' thumbnails there")
    show.add_argument("--overwrite", action="store_true", help="replace thumbnails that exist")
    show.set_defaults(run=run_list)


def run_save(args: argparse.Namespace) -> int:
    check_output(args.out, args.overwrite)
    pictures = [read_style(path, args) for path in args.style]
    analyzer = StyleAnalyzer.from_pretrained(args.model, device=args.device, dtype=args.dtype)
    for path, style in zip(args.style, pictures, strict=True):
        missing = [detail for detail in args.detail if isinstance(style, StyleStats) and not getattr(style, detail)]
        if missing:
            raise ValueError(
                f"{path} was measured without {' and '.join(missing)}; save that style anew from its picture."
            )
    styles = [measure_style(analyzer, picture, args, args.detail) for picture in pictures]
    mix(styles, args.weights).save(args.out, args.name)
    print(f"Wrote {args.out}")
    return 0


def run_list(args: argparse.Namespace) -> int:
    for style in list_styles(args.folder):
        print(f"{style.path.name}: {style.name}, space {style.space}")
        if args.thumbnails and style.thumbnail is not None:
            target = args.thumbnails / f"{style.path.stem}.png"
            check_output(target, args.overwrite)
            write_picture(Picture(style.thumbnail), target)
    return 0
