"""``grid``: a contact sheet of results."""

from __future__ import annotations

import argparse

from torch import Tensor

from ..images.pictures import Picture, read_picture, scale_short_side, write_picture
from ..images.sheets import contact_sheet, thumbnail
from ..pipeline.transfer import StyleTransfer
from ..runtime.progress import Progress, section
from ..styles.stats import StyleStats
from .options import (
    add_model_options,
    check_picture_output,
    load_model,
    number_list,
    path_name,
    positive_int,
    progress_bar,
)


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("grid", help="a contact sheet: contents x styles, or styles x alphas")
    parser.add_argument("--content", type=path_name, nargs="+", required=True, help="one photo or several")
    parser.add_argument("--style", type=path_name, nargs="+", required=True, help="one style picture or several")
    parser.add_argument("-o", "--out", type=path_name, required=True, help="the sheet, an image file")
    parser.add_argument("--alphas", type=number_list, default=[1.0], metavar="A,A,...", help="strengths (default: 1)")
    parser.add_argument("--size", type=positive_int, default=512, help="short side to compute at (default: 512)")
    parser.add_argument("--cell", type=positive_int, default=256, help="long side of each picture (default: 256)")
    parser.add_argument("--overwrite", action="store_true", help="replace a sheet that exists")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check_picture_output(args.out, args.overwrite)
    if len(args.content) > 1 and len(args.alphas) > 1:
        raise ValueError("A sheet has two sides: give several contents or several alphas, not both.")
    contents = [scale_short_side(read_picture(path).rgb, args.size) for path in args.content]
    styles = [read_picture(path) for path in args.style]
    model = load_model(args)
    with progress_bar("grid") as progress:
        looks = [model.compute_style_stats(style) for style in styles]
        results = []
        for i, content in enumerate(contents):
            part = section(progress, i / len(contents), (i + 1) / len(contents))
            results.append(_results(model, content, looks, args.alphas, args.cell, part))
    pictures = [thumbnail(style.rgb, args.cell) for style in styles]
    if len(contents) > 1:
        rows = [pictures, *([row[0] for row in result] for result in results)]
        labels = ["", *(path.stem for path in args.content)], [path.stem for path in args.style]
    else:
        rows = [[picture, *row] for picture, row in zip(pictures, results[0], strict=True)]
        columns = [f"alpha {alpha:g}" for alpha in args.alphas]
        labels = [path.stem for path in args.style], ["style", *columns]
    write_picture(Picture(contact_sheet(rows, *labels, args.cell)), args.out)
    print(f"Wrote {args.out}")
    return 0


def _results(
    model: StyleTransfer, content: Tensor, styles: list[StyleStats], alphas: list[float], cell: int, progress: Progress
) -> list[list[Tensor]]:
    """A content in each style at each alpha, as small as the sheet shows it."""
    features = model.encode(content, keep_shallow=True)
    rows = []
    for i, style in enumerate(styles):
        rows.append([thumbnail(model.decode(model.blend(features, style, alpha)), cell) for alpha in alphas])
        progress((i + 1) / len(styles))
    return rows
