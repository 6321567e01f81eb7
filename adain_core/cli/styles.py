"""``style`` and ``styles``: a library of styles as small files."""

from __future__ import annotations

import argparse

from ..images.files import write_picture
from ..images.pictures import Picture
from ..models.weights import EMBEDDED_STYLES
from ..networks.encoder import DEEPEST_TAP
from ..options import DETAILS, ModelOptions, Options, StyleOptions
from ..pipeline.analyzer import StyleAnalyzer
from ..styles.files import list_styles
from ..styles.stats import StyleStats, mix
from .options import (
    add_options,
    add_output,
    add_style_options,
    check_output,
    measure_style,
    path_name,
    read_style,
)
from .output import say


def add_parser(commands: argparse._SubParsersAction) -> None:
    save = commands.add_parser("style", help="measure one or more pictures and save the style as a small file")
    save.add_argument("style", type=path_name, nargs="+", help="Style images or style files")
    add_output(save, "The style file (.safetensors)")
    add_options(save, StyleOptions, "name", "weights")
    add_style_options(save)
    add_options(save, StyleOptions, "detail")
    add_options(save, Options, "tile")
    add_options(save, ModelOptions, "model", "device", "dtype")
    save.set_defaults(run=run_save)

    show = commands.add_parser("styles", help="list the styles that come with the package, or those of a folder")
    show.add_argument("folder", type=path_name, nargs="?", default=EMBEDDED_STYLES, help="A folder of style files")
    show.add_argument("--thumbnails", type=path_name, metavar="FOLDER", help="Write the styles' thumbnails there")
    show.add_argument("--overwrite", action="store_true", help="Replace thumbnails that exist")
    show.set_defaults(run=run_list)


def run_save(args: argparse.Namespace) -> int:
    check_output(args.out, args.overwrite)
    pictures = [read_style(path, args) for path in args.style]
    details = DETAILS[args.detail]
    analyzer = StyleAnalyzer.from_pretrained(args.model, device=args.device, dtype=args.dtype)
    for path, style in zip(args.style, pictures, strict=True):
        known = isinstance(style, StyleStats)
        missing = [detail for detail in details if known and DEEPEST_TAP not in getattr(style, detail)]
        if missing:
            raise ValueError(
                f"{path} was measured without {' and '.join(missing)}; save that style anew from its picture."
            )
    styles = [measure_style(analyzer, picture, args, details) for picture in pictures]
    mix(styles, args.weights).save(args.out, args.name or "")
    say(f"Wrote {args.out}")
    return 0


def run_list(args: argparse.Namespace) -> int:
    for style in list_styles(args.folder):
        path = style.path.relative_to(args.folder)
        say(f"{path.as_posix()}: {style.name}, space {style.space}")
        if args.thumbnails and style.thumbnail is not None:
            target = args.thumbnails / path.with_suffix(".png")
            check_output(target, args.overwrite)
            write_picture(Picture(style.thumbnail), target)
    return 0
